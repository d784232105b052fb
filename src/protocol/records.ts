/**
 * The inside of a record batch, as a consumer reads it. The outside, with header and checksum, is record-batch.ts.
 *
 *     length            zigzag varint   bytes of the record after this field
 *     attributes        i8              0; not looked at
 *     timestamp delta   zigzag varint   ms, to the batch's base timestamp; may be negative
 *     offset delta      zigzag varint   to the base offset; grows from record to record
 *     key length        zigzag varint   -1: no key
 *     key
 *     value length      zigzag varint   -1 (a Kafka client's null) reads as empty
 *     value
 *     header count      zigzag varint
 *     headers           key length, key (UTF-8), value length (-1 reads as empty), value
 *
 * The bytes come from whoever could write to the topic and no broker has looked at them, so every length is checked
 * against the bytes that are left before it is used, and no count makes room for anything: what is allocated is what
 * the bytes were seen to hold.
 */
import { LogError } from './errors.ts';
import { NUMBER_MAX } from './limits.ts';
import { BATCH_OVERHEAD_BYTES, checkAttributes, readBatchHeader } from './record-batch.ts';

export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Key, value and header values are views of the batch. */
export interface DecodedRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array;
  readonly headers: readonly RecordHeader[];
}

const HEADER_BYTES_MIN = 2;
const VARINT_BYTES_MAX = 10;
const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);
const EMPTY: Uint8Array = new Uint8Array(0);
/** Not fatal: one odd header key of a foreign producer must not make a partition unreadable. */
const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * All records of one whole batch, in order.
 * @throws LogError INVALID when the batch is not exactly well formed, UNSUPPORTED when it is compressed.
 */
export function decodeRecords(batch: Uint8Array): DecodedRecord[] {
  const header = readBatchHeader(batch);
  if (header.batchBytes !== batch.length) {
    throw new LogError('INVALID', `A record batch says it has ${header.batchBytes} bytes; there are ${batch.length}.`);
  }
  checkAttributes(header.attributes);
  const cursor = new Cursor(batch, BATCH_OVERHEAD_BYTES, batch.length);
  const records: DecodedRecord[] = [];
  let nextDelta = 0;
  for (let count = header.recordCount; count > 0; count--) {
    const length = cursor.length();
    const end = cursor.at + length;
    cursor.skipByte();
    const timestampMs = header.baseTimestampMs + cursor.zigzag();
    const offsetDelta = cursor.zigzag();
    if (offsetDelta < nextDelta || offsetDelta > header.lastOffsetDelta || !Number.isSafeInteger(timestampMs)) {
      throw new LogError('INVALID', `A record has offset delta ${offsetDelta} and timestamp ${timestampMs}.`);
    }
    nextDelta = offsetDelta + 1;
    const key = cursor.optionalBytes();
    const value = cursor.optionalBytes() ?? EMPTY;
    const headers = decodeHeaders(cursor, end);
    if (cursor.at !== end) throw new LogError('INVALID', `A record of ${length} bytes ends at the wrong one.`);
    records.push({ offset: header.baseOffset + offsetDelta, timestampMs, key, value, headers });
  }
  if (cursor.left !== 0)
    throw new LogError('INVALID', `A record batch has ${cursor.left} bytes after its last record.`);
  return records;
}

function decodeHeaders(cursor: Cursor, end: number): readonly RecordHeader[] {
  const count = cursor.zigzag();
  if (count === 0) return NO_HEADERS;
  if (count < 0 || count * HEADER_BYTES_MIN > end - cursor.at) {
    throw new LogError('INVALID', `A record claims ${count} headers in ${end - cursor.at} bytes.`);
  }
  const headers: RecordHeader[] = [];
  for (let left = count; left > 0; left--) {
    const key = cursor.optionalBytes();
    if (key === undefined) throw new LogError('INVALID', 'A record header has no key.');
    headers.push({ key: TEXT.decode(key), value: cursor.optionalBytes() ?? EMPTY });
  }
  return headers;
}

/** A checked walk over bytes: nothing is read at or past `end`. */
export class Cursor {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.at;
  }

  skipByte(): void {
    if (this.at >= this.#end) throw pastEnd();
    this.at++;
  }

  zigzag(): number {
    const bytes = this.#bytes;
    let at = this.at;
    if (at >= this.#end) throw pastEnd();
    let byte = bytes[at++]!;
    if (byte < 0x80) {
      this.at = at;
      return (byte >>> 1) ^ -(byte & 1);
    }
    const sign = byte & 1;
    let magnitude = (byte & 0x7f) >>> 1;
    let scale = 64;
    for (let count = 1; count < VARINT_BYTES_MAX; count++) {
      if (at >= this.#end) throw pastEnd();
      byte = bytes[at++]!;
      magnitude += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (magnitude > NUMBER_MAX - sign) throw new LogError('INVALID', 'A number in a record is past 2^53 - 1.');
        this.at = at;
        return sign === 0 ? magnitude : -magnitude - 1;
      }
      scale *= 128;
    }
    throw new LogError('INVALID', 'A number in a record has more than ten bytes.');
  }

  /** A length of bytes that are there. */
  length(): number {
    const length = this.zigzag();
    if (length < 0 || length > this.left) throw pastEnd();
    return length;
  }

  /** Length -1: undefined. */
  optionalBytes(): Uint8Array | undefined {
    const length = this.zigzag();
    if (length === -1) return undefined;
    if (length < 0 || length > this.left) throw pastEnd();
    if (length === 0) return EMPTY;
    const bytes = this.#bytes;
    // Not subarray(): of a Buffer that makes a Buffer, whose slice() shares memory where a Uint8Array's copies.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset + this.at, length);
    this.at += length;
    return view;
  }
}

function pastEnd(): LogError {
  return new LogError('INVALID', 'A record runs past the end of its batch.');
}
