/** Records as applications see them, on the way in and on the way out, and what an append answers. */
import type { NewRecord as EncodedRecord, RecordHeader } from '../protocol/index.ts';
import { LogError } from '../protocol/index.ts';
import type { Codec } from './codec.ts';

export interface NewRecord<V, K = Uint8Array> {
  readonly value: V;
  readonly key?: K;
  /** An array when a key is to appear twice. Text is sent as UTF-8. */
  readonly headers?: Readonly<Record<string, string | Uint8Array>> | readonly RecordHeader[];
  /** Ms since the epoch; the time of the call when absent. Data, not order. */
  readonly timestamp?: number;
  /** Default: by the hash of the key, else in turn. */
  readonly partition?: number;
}

/** Key, value and header values are views of the received batch: copy what is to be kept for long. */
export interface LogRecord<V, K = Uint8Array> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Ms since the epoch: the record's own. */
  readonly timestamp: number;
  readonly key: K | undefined;
  readonly value: V;
  readonly headers: readonly RecordHeader[];
}

/** Answer to one appended record: fsynced on a majority, at this offset for ever. */
export interface Ack {
  readonly topic: string;
  readonly partition: number;
  /** undefined: a duplicate so old that only the fact that it is in the log is remembered. */
  readonly offset: number | undefined;
  /** When the leader appended it, in ms since the epoch. */
  readonly timestamp: number;
  readonly term: number;
  /** True: the record was in the log already, from an earlier attempt or an earlier run with the same producer id. */
  readonly duplicate: boolean;
  /** For reads at level atLeast that must have this record; undefined with an unknown offset. */
  readonly token: string | undefined;
}

/** Answer to a batch: its records lie at offset .. lastOffset without a hole. */
export interface BatchAck extends Ack {
  readonly lastOffset: number | undefined;
  readonly count: number;
}

const ENCODER = new TextEncoder();

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);

/** The record's parts as bytes. Always of one shape: filled anew for every record of a producer's hot path. */
export interface RecordScratch extends EncodedRecord {
  value: Uint8Array;
  key: Uint8Array | undefined;
  headers: readonly RecordHeader[];
  timestampMs: number;
}

export function newScratch(): RecordScratch {
  return { value: new Uint8Array(0), key: undefined, headers: NO_HEADERS, timestampMs: 0 };
}

/**
 * Encodes into `scratch`.
 * @param nowMs For a record without a timestamp.
 * @throws LogError INVALID when the codec or the record is at fault.
 */
export function encodeInto<V, K>(
  scratch: RecordScratch,
  record: NewRecord<V, K>,
  codec: Codec<V, K>,
  nowMs: number,
): void {
  const { key, headers } = record;
  try {
    scratch.value = codec.encodeValue(record.value);
    scratch.key =
      key === undefined || key === null ? undefined : (codec.encodeKey?.(key) ?? (key as unknown as Uint8Array));
  } catch (cause) {
    throw new LogError('INVALID', `The codec (${codec.contentType}) could not encode a record.`, { cause });
  }
  if (!(scratch.value instanceof Uint8Array) || !(scratch.key === undefined || scratch.key instanceof Uint8Array)) {
    throw new LogError('INVALID', `The codec (${codec.contentType}) makes Uint8Arrays of values and keys.`);
  }
  scratch.headers = headers === undefined ? NO_HEADERS : encodeHeaders(headers);
  scratch.timestampMs = record.timestamp ?? nowMs;
}

/** A copy that shares no bytes with the caller's buffers. Not slice(): on a Buffer that is a view. */
export function ownedCopy({ value, key, headers, timestampMs }: RecordScratch): RecordScratch {
  return {
    value: new Uint8Array(value),
    key: key === undefined ? undefined : new Uint8Array(key),
    headers: headers.map((header) => ({ key: header.key, value: new Uint8Array(header.value) })),
    timestampMs,
  };
}

/** Bytes of a record as its limit counts them: key, value and headers, their names in UTF-8. */
function payloadBytes(record: RecordScratch): number {
  let total = record.value.length + (record.key?.length ?? 0);
  for (const header of record.headers) total += ENCODER.encode(header.key).length + header.value.length;
  return total;
}

/** @throws LogError TOO_LARGE that names the limit, instead of letting the whole batch be refused. */
export function checkRecordBytes(record: RecordScratch, limitBytes: number): void {
  const actualBytes = payloadBytes(record);
  if (actualBytes <= limitBytes) return;
  throw new LogError('TOO_LARGE', `A record of ${actualBytes} bytes is over ${limitBytes}.`, {
    details: { limitBytes, actualBytes },
  });
}

function encodeHeaders(headers: NonNullable<NewRecord<unknown>['headers']>): readonly RecordHeader[] {
  if (Array.isArray(headers)) return headers as readonly RecordHeader[];
  return Object.entries(headers as Readonly<Record<string, string | Uint8Array>>).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? ENCODER.encode(value) : value,
  }));
}
