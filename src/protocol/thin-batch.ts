/**
 * Looking through a batch for its keys, and taking records out of it: what key compaction does to stored batches. A
 * record that stays keeps its bytes; offsets are deltas to the base offset, so that none of them changes.
 *
 * A tombstone is a record with a key and no value. Kafka's null and an empty value read alike in this log (records.ts),
 * so both are tombstones.
 */
import type { Crc32c } from './crc32c.ts';
import { LogError } from './errors.ts';
import { BATCH_OVERHEAD_BYTES, correctBatchHeader, readBatchHeader } from './record-batch.ts';
import { Cursor } from './records.ts';

/** A record as compaction sees it. Borrowed: its fields change with the next record. */
export interface KeyedRecord {
  readonly offset: number;
  /** A view of the batch; undefined: the record has no key. */
  readonly key: Uint8Array | undefined;
  readonly isTombstone: boolean;
}

const NO_BYTES: Uint8Array = Object.freeze(new Uint8Array(0));

/** Whether the records lie in the batch as they are, neither compressed nor of a kind that clients do not send. */
export function hasPlainRecords(batch: Uint8Array): boolean {
  return readBatchHeader(batch).attributes === 0;
}

/** Calls `visit` for each record, in order. @throws LogError INVALID when the batch is malformed. */
export function visitKeys(batch: Uint8Array, visit: (record: KeyedRecord) => void): void {
  walk(batch, (record) => visit(record));
}

/**
 * The batch without the records `isKept` says no to: the same array when all are kept, no bytes when none is.
 * @throws LogError INVALID when the batch is malformed.
 */
export function thinBatch(batch: Uint8Array, isKept: (record: KeyedRecord) => boolean, crc32c: Crc32c): Uint8Array {
  const ranges: { readonly start: number; end: number }[] = [];
  let recordCount = 0;
  let bytes = 0;
  let maxTimestampMs = 0;
  const { recordCount: before } = walk(batch, (record) => {
    if (!isKept(record)) return;
    recordCount += 1;
    bytes += record.end - record.start;
    maxTimestampMs = Math.max(maxTimestampMs, record.timestampMs);
    const last = ranges.at(-1);
    if (last?.end === record.start) last.end = record.end;
    else ranges.push({ start: record.start, end: record.end });
  });
  if (recordCount === before) return batch;
  if (recordCount === 0) return NO_BYTES;
  const thinned = new Uint8Array(BATCH_OVERHEAD_BYTES + bytes);
  thinned.set(batch.subarray(0, BATCH_OVERHEAD_BYTES));
  let at = BATCH_OVERHEAD_BYTES;
  for (const { start, end } of ranges) {
    thinned.set(batch.subarray(start, end), at);
    at += end - start;
  }
  correctBatchHeader(thinned, { recordCount, maxTimestampMs }, crc32c);
  return thinned;
}

interface WalkedRecord {
  offset: number;
  key: Uint8Array | undefined;
  isTombstone: boolean;
  timestampMs: number;
  /** Of the record's bytes in the batch, its length included. */
  start: number;
  end: number;
}

/** One object for all records: nothing is allocated for each of them but the view of its key. */
function walk(batch: Uint8Array, visit: (record: WalkedRecord) => void): { readonly recordCount: number } {
  const header = readBatchHeader(batch);
  if (header.batchBytes !== batch.length) throw new LogError('INVALID', 'A record batch is not as long as it says.');
  const cursor = new Cursor(batch, BATCH_OVERHEAD_BYTES, batch.length);
  let deltaMin = 0;
  const record: WalkedRecord = { offset: 0, key: undefined, isTombstone: false, timestampMs: 0, start: 0, end: 0 };
  for (let left = header.recordCount; left > 0; left -= 1) {
    record.start = cursor.at;
    record.end = cursor.length() + cursor.at;
    cursor.skipByte();
    record.timestampMs = header.baseTimestampMs + cursor.zigzag();
    const delta = cursor.zigzag();
    if (delta < deltaMin || delta > header.lastOffsetDelta) {
      throw new LogError('INVALID', `A record has offset delta ${delta}, not one from ${deltaMin} on.`);
    }
    deltaMin = delta + 1;
    record.offset = header.baseOffset + delta;
    record.key = cursor.optionalBytes();
    const valueBytes = cursor.zigzag();
    record.isTombstone = record.key !== undefined && valueBytes <= 0;
    if (cursor.at > record.end) throw new LogError('INVALID', 'A record ends before its value begins.');
    visit(record);
    cursor.at = record.end;
  }
  if (cursor.left !== 0)
    throw new LogError('INVALID', `A record batch has ${cursor.left} bytes after its last record.`);
  return header;
}
