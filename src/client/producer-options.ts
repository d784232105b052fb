/** Every option of topic.producer(): unit, default, check. docs/client.md lists the same ones. */
import { BATCH_BYTES_MAX, BATCH_RECORDS_MAX, LogError, PRODUCER_WINDOW_BATCHES } from '../protocol/index.ts';
import { integer, number } from './options.ts';
import type { Platform } from './platform.ts';

export interface ProducerOptions {
  /**
   * A name of your own, 1 to 200 characters, for fencing and for de-duplication across restarts; needs `epoch`.
   * Default: random, which is idempotent for as long as this producer lives.
   */
  readonly id?: string;
  /**
   * 0 to 4,000,000,000; needs `id`. A higher one fences all lower ones of the same id. The producer itself raises it by
   * one when it goes on after a failure, so leave room between the epochs you give.
   */
  readonly epoch?: number;
  /** Longest wait for a batch to fill, ms. 0: batches fill while earlier ones are in flight, and never wait idly. */
  readonly lingerMs?: number;
  /** Records in one batch. */
  readonly maxBatchRecords?: number;
  /** Bytes of one batch. A larger record travels alone. */
  readonly maxBatchBytes?: number;
  /** Batches sent and not answered, per partition; at most 5, what the log remembers for de-duplication. */
  readonly maxInFlight?: number;
  /** Bytes of records not acknowledged yet; above it `onFull` decides. */
  readonly maxBufferedBytes?: number;
  /** When the buffer is full: 'wait' lets send() wait for room, 'reject' fails it with OVERLOADED. */
  readonly onFull?: 'wait' | 'reject';
}

export const PRODUCER_DEFAULTS: Required<Omit<ProducerOptions, 'id' | 'epoch'>> = {
  lingerMs: 0,
  // Measured with 100 B records, three nodes: a third less processor time a record than with 1,000; 1 MiB is reached
  // first.
  maxBatchRecords: 10_000,
  maxBatchBytes: 1024 * 1024,
  maxInFlight: 5,
  maxBufferedBytes: 32 * 1024 * 1024,
  onFull: 'wait',
};

export interface ProducerSettings {
  readonly id: string | undefined;
  readonly epoch: number;
  readonly lingerMs: number;
  readonly maxBatchRecords: number;
  readonly maxBatchBytes: number;
  readonly maxInFlight: number;
  readonly maxBufferedBytes: number;
  readonly onFull: 'wait' | 'reject';
}

/** Leaves room below 2^32 for every raise a producer makes by itself. */
const EPOCH_MAX = 4_000_000_000;
const ID_BYTES = 16;
const ID_CHARS_MAX = 200;
const LINGER_MS_MAX = 60_000;
const BATCH_BYTES_MIN = 1024;
const BUFFERED_BYTES_MAX = 1024 * 1024 * 1024;

export function producerSettings(options: ProducerOptions): ProducerSettings {
  const { id, epoch } = options;
  if ((id === undefined) !== (epoch === undefined)) {
    // An id alone would begin at epoch 0 again after a restart, and new records would pass for copies of old ones.
    throw new LogError('INVALID', 'A producer takes id and epoch together, or neither.');
  }
  if (id !== undefined && (typeof id !== 'string' || id === '' || id.length > ID_CHARS_MAX)) {
    throw new LogError('INVALID', `The id of a producer is a text of 1 to ${ID_CHARS_MAX} characters.`);
  }
  const onFull = options.onFull ?? PRODUCER_DEFAULTS.onFull;
  if (onFull !== 'wait' && onFull !== 'reject') throw new LogError('INVALID', "onFull is 'wait' or 'reject'.");
  const { maxBatchRecords, maxBatchBytes, maxInFlight, maxBufferedBytes } = PRODUCER_DEFAULTS;
  return {
    id,
    epoch: integer('epoch', epoch ?? 0, 0, EPOCH_MAX),
    lingerMs: number('lingerMs', options.lingerMs ?? PRODUCER_DEFAULTS.lingerMs, 0, LINGER_MS_MAX),
    maxBatchRecords: integer('maxBatchRecords', options.maxBatchRecords ?? maxBatchRecords, 1, BATCH_RECORDS_MAX),
    maxBatchBytes: integer('maxBatchBytes', options.maxBatchBytes ?? maxBatchBytes, BATCH_BYTES_MIN, BATCH_BYTES_MAX),
    maxInFlight: integer('maxInFlight', options.maxInFlight ?? maxInFlight, 1, PRODUCER_WINDOW_BATCHES),
    maxBufferedBytes: integer(
      'maxBufferedBytes',
      options.maxBufferedBytes ?? maxBufferedBytes,
      BATCH_BYTES_MIN,
      BUFFERED_BYTES_MAX,
    ),
    onFull,
  };
}

/** What goes over the wire: 16 random bytes, or the first 16 of the SHA-256 of the application's own name. */
export async function producerIdOf(id: string | undefined, platform: Platform): Promise<string> {
  if (id === undefined) return randomProducerId(platform);
  const digest = await platform.sha256(new TextEncoder().encode(id));
  return hex(digest.subarray(0, ID_BYTES));
}

export function randomProducerId(platform: Platform): string {
  return hex(platform.random.bytes(ID_BYTES));
}

function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
