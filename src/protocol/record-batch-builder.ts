/**
 * Makes record batches: the producer's hot path. Records are encoded as they are added, into one buffer that grows up
 * to a bound, so that adding a record costs its bytes and no object. The format is drawn in record-batch.ts and
 * records.ts.
 */
import type { Crc32c } from './crc32c.ts';
import { assert, LogError } from './errors.ts';
import { RECORD_HEADERS_MAX } from './limits.ts';
import { BATCH_OVERHEAD_BYTES, writeBatchHeader } from './record-batch.ts';
import type { RecordHeader } from './records.ts';
import { writeZigzag, zigzagBytes } from './varint.ts';

export interface NewRecord {
  readonly value: Uint8Array;
  readonly key?: Uint8Array | undefined;
  readonly headers?: readonly RecordHeader[];
  /** A safe integer >= 0; the time of adding when absent. */
  readonly timestampMs?: number;
}

/** Length, attributes, two deltas, key length, value length and header count, each at its widest. */
const RECORD_OVERHEAD_BYTES_MAX = 5 + 1 + 8 + 5 + 5 + 5 + 5;
const HEADER_OVERHEAD_BYTES_MAX = 5 + 5;
const UTF8_BYTES_PER_UNIT_MAX = 3;
const FIRST_BUFFER_BYTES = 1024;
const GROWTH = 4;
const LONE_SURROGATE = /\p{Surrogate}/u;
const TEXT = new TextEncoder();
const NO_HEADER_KEYS: readonly Uint8Array[] = Object.freeze([]);

/** An upper bound of the bytes the record takes in a batch. */
export function recordBytes(record: NewRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES_MAX + record.value.length + (record.key?.length ?? 0);
  for (const header of record.headers ?? []) {
    bytes += HEADER_OVERHEAD_BYTES_MAX + header.key.length * UTF8_BYTES_PER_UNIT_MAX + header.value.length;
  }
  return bytes;
}

/** Collects records into one batch. Spent after build(). */
export class RecordBatchBuilder {
  readonly #bytesMax: number;
  readonly #recordsMax: number;
  #buffer: Uint8Array;
  /** Where the next record goes; also the bytes of the batch so far. Invariant: <= bytesMax once a record is in. */
  #at = BATCH_OVERHEAD_BYTES;
  #recordCount = 0;
  #baseTimestampMs = 0;
  #maxTimestampMs = 0;
  #isSpent = false;

  /**
   * @param options bytesMax bounds the whole batch, recordsMax its records. `buffer`: given, of bytesMax bytes; what is
   *   in it does not matter. Without one, a small buffer grows with the batch.
   */
  constructor(options: {
    readonly bytesMax: number;
    readonly recordsMax: number;
    readonly buffer?: Uint8Array | undefined;
  }) {
    assert(options.bytesMax > BATCH_OVERHEAD_BYTES, 'bytesMax leaves room for a record');
    assert(options.recordsMax >= 1, 'recordsMax allows a record');
    this.#bytesMax = options.bytesMax;
    this.#recordsMax = options.recordsMax;
    assert(
      (options.buffer?.length ?? options.bytesMax) === options.bytesMax,
      'a given buffer is as large as the batch',
    );
    this.#buffer = options.buffer ?? new Uint8Array(Math.min(FIRST_BUFFER_BYTES, options.bytesMax));
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Of the batch, were it built now. */
  get bytes(): number {
    return this.#at;
  }

  /**
   * Adds a copy of the record, or says false and changes nothing when this batch is full.
   * @throws LogError TOO_LARGE when an empty batch could not hold the record, INVALID when no batch could.
   */
  tryAdd(record: NewRecord, nowMs: number): boolean {
    assert(!this.#isSpent, 'a batch is built once');
    const { value, key } = record;
    const timestampMs = record.timestampMs ?? nowMs;
    checkRecord(record, timestampMs);
    const headerKeys = encodeHeaderKeys(record);
    if (this.#recordCount >= this.#recordsMax) return false;

    const timestampDelta = this.#recordCount === 0 ? 0 : timestampMs - this.#baseTimestampMs;
    const keyLength = key === undefined ? -1 : key.length;
    const length =
      1 +
      zigzagBytes(timestampDelta) +
      zigzagBytes(this.#recordCount) +
      zigzagBytes(keyLength) +
      (key === undefined ? 0 : key.length) +
      zigzagBytes(value.length) +
      value.length +
      headersBytes(record, headerKeys);
    const end = this.#at + zigzagBytes(length) + length;
    if (end > this.#bytesMax) {
      if (this.#recordCount > 0) return false;
      throw new LogError('TOO_LARGE', `A record that makes a batch of ${end} bytes is over ${this.#bytesMax}.`, {
        details: { limitBytes: this.#bytesMax, actualBytes: end },
      });
    }
    if (end > this.#buffer.length) this.#grow(end);

    const buffer = this.#buffer;
    let at = writeZigzag(buffer, this.#at, length);
    buffer[at++] = 0;
    at = writeZigzag(buffer, at, timestampDelta);
    at = writeZigzag(buffer, at, this.#recordCount);
    at = writeZigzag(buffer, at, keyLength);
    if (key !== undefined) at = writeBytes(buffer, at, key);
    at = writeZigzag(buffer, at, value.length);
    at = writeBytes(buffer, at, value);
    at = writeHeaders(buffer, at, record, headerKeys);
    // Not assert(): its text would be put together for every record.
    if (at !== end) throw new Error(`invariant broken: a record measured to end at ${end} ends at ${at}`);

    if (this.#recordCount === 0) this.#baseTimestampMs = timestampMs;
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
    this.#at = at;
    this.#recordCount++;
    return true;
  }

  /** The finished batch. The bytes are the caller's; the builder is spent. */
  build(crc32c: Crc32c): Uint8Array {
    assert(!this.#isSpent && this.#recordCount > 0, 'a batch with records is built once');
    this.#isSpent = true;
    const used = this.#buffer.subarray(0, this.#at);
    // Batches wait in queues: one that fills little of its buffer must not keep the rest of it alive.
    const batch = this.#at * 2 < this.#buffer.length ? used.slice() : used;
    this.#buffer = batch;
    const header = {
      recordCount: this.#recordCount,
      baseTimestampMs: this.#baseTimestampMs,
      maxTimestampMs: this.#maxTimestampMs,
    };
    writeBatchHeader(batch, header, crc32c);
    return batch;
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.min(this.#bytesMax, Math.max(bytes, this.#buffer.length * GROWTH)));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }
}

/** All records in one batch, however many bytes that takes. */
export function encodeRecordBatch(
  records: readonly NewRecord[],
  options: { readonly nowMs: number; readonly crc32c: Crc32c },
): Uint8Array {
  if (records.length === 0) throw new LogError('INVALID', 'A record batch has at least one record.');
  let bytesMax = BATCH_OVERHEAD_BYTES;
  for (const record of records) {
    checkRecord(record, record.timestampMs ?? options.nowMs);
    bytesMax += recordBytes(record);
  }
  const builder = new RecordBatchBuilder({ bytesMax, recordsMax: records.length });
  for (const record of records) {
    assert(builder.tryAdd(record, options.nowMs), 'recordBytes() is an upper bound');
  }
  return builder.build(options.crc32c);
}

function checkRecord(record: NewRecord, timestampMs: number): void {
  // Anything else with a length, a string least of all, would be copied as zeros without a word.
  if (!(record.value instanceof Uint8Array)) throw new LogError('INVALID', 'The value of a record is a Uint8Array.');
  if (record.key !== undefined && !(record.key instanceof Uint8Array)) {
    throw new LogError('INVALID', 'The key of a record is a Uint8Array or undefined.');
  }
  if (!Number.isSafeInteger(timestampMs) || timestampMs < 0) {
    throw new LogError('INVALID', `The timestamp of a record is an integer from 0 to 2^53 - 1, not ${timestampMs}.`);
  }
}

function encodeHeaderKeys(record: NewRecord): readonly Uint8Array[] {
  const headers = record.headers;
  if (headers === undefined || headers.length === 0) return NO_HEADER_KEYS;
  if (headers.length > RECORD_HEADERS_MAX) {
    throw new LogError('INVALID', `A record has at most ${RECORD_HEADERS_MAX} headers, not ${headers.length}.`);
  }
  return headers.map((header) => {
    if (typeof header.key !== 'string' || LONE_SURROGATE.test(header.key)) {
      throw new LogError('INVALID', 'The key of a record header is well-formed text.');
    }
    if (!(header.value instanceof Uint8Array)) {
      throw new LogError('INVALID', 'The value of a record header is a Uint8Array.');
    }
    return TEXT.encode(header.key);
  });
}

function headersBytes(record: NewRecord, headerKeys: readonly Uint8Array[]): number {
  let bytes = zigzagBytes(headerKeys.length);
  for (let i = 0; i < headerKeys.length; i++) {
    const key = headerKeys[i]!;
    const value = record.headers![i]!.value;
    bytes += zigzagBytes(key.length) + key.length + zigzagBytes(value.length) + value.length;
  }
  return bytes;
}

function writeHeaders(target: Uint8Array, start: number, record: NewRecord, headerKeys: readonly Uint8Array[]): number {
  let at = writeZigzag(target, start, headerKeys.length);
  for (let i = 0; i < headerKeys.length; i++) {
    const key = headerKeys[i]!;
    const value = record.headers![i]!.value;
    at = writeBytes(target, writeZigzag(target, at, key.length), key);
    at = writeBytes(target, writeZigzag(target, at, value.length), value);
  }
  return at;
}

function writeBytes(target: Uint8Array, at: number, bytes: Uint8Array): number {
  target.set(bytes, at);
  return at + bytes.length;
}
