/**
 * The batch being filled for one partition: records are encoded as they come, and the promises of those who wait for an
 * ack lie beside them. A record whose sender does not wait (enqueue) leaves no object behind.
 */
import { type AckMessage, type Crc32c, formatReadToken, type LogError, RecordBatchBuilder } from '../protocol/index.ts';
import type { Ack, RecordScratch } from './record.ts';

/** Who waits for one record's ack. */
export interface Waiter {
  resolve(ack: Ack): void;
  reject(error: LogError): void;
}

export class OpenBatch {
  readonly #builder: RecordBatchBuilder;
  // Three arrays in step rather than one of objects: this is the producer's hot path.
  readonly #indexes: number[] = [];
  readonly #resolves: ((ack: Ack) => void)[] = [];
  readonly #rejects: ((error: LogError) => void)[] = [];

  /** What the batch is made in, when it is to be used again (batch-buffers.ts). */
  readonly buffer: Uint8Array | undefined;

  constructor(bytesMax: number, recordsMax: number, buffer?: Uint8Array) {
    this.buffer = buffer;
    this.#builder = new RecordBatchBuilder({ bytesMax, recordsMax, buffer });
  }

  get bytes(): number {
    return this.#builder.bytes;
  }

  get recordCount(): number {
    return this.#builder.recordCount;
  }

  /** False: the batch is full. @throws LogError TOO_LARGE for a record that no batch of this size could hold. */
  tryAdd(record: RecordScratch, waiter: Waiter | undefined): boolean {
    const index = this.#builder.recordCount;
    if (!this.#builder.tryAdd(record, record.timestampMs)) return false;
    if (waiter !== undefined) {
      this.#indexes.push(index);
      this.#resolves.push(waiter.resolve);
      this.#rejects.push(waiter.reject);
    }
    return true;
  }

  build(crc32c: Crc32c): Uint8Array {
    return this.#builder.build(crc32c);
  }

  resolveAll(topic: string, ack: AckMessage): void {
    for (let i = 0; i < this.#indexes.length; i++) this.#resolves[i]!(ackOf(topic, ack, this.#indexes[i]!));
  }

  rejectAll(error: LogError): void {
    for (const reject of this.#rejects) reject(error);
  }
}

/** The ack of the record at `index` of its batch. */
export function ackOf(topic: string, ack: AckMessage, index: number): Ack {
  const { topicId, partition, baseOffset, term } = ack;
  const offset = baseOffset === undefined ? undefined : baseOffset + index;
  return {
    topic,
    partition,
    offset,
    timestamp: ack.appendTimeMs,
    term,
    duplicate: ack.duplicate,
    token: offset === undefined ? undefined : formatReadToken({ topicId, partition, offset, term }),
  };
}
