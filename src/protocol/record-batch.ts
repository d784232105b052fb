/**
 * The record batch: Kafka's RecordBatch v2, byte for byte. A producer makes these bytes once; the wire, the disk, the
 * replicas and the consumers see the same ones (design decision 3). This file is the outside of a batch: its header,
 * its checks, and the two fields a leader fills in. records.ts is the inside. Big-endian throughout.
 *
 *     0  i64  base offset          offset of the first record; 0 from a producer; set by the leader
 *     8  i32  length               bytes after this field
 *    12  i32  leader epoch         term that appended it; -1 from a producer; set by the leader
 *    16  i8   magic                2
 *    17  u32  CRC-32C              of everything from 21 to the end, and of nothing before: so the leader can fill in
 *                                  offset and epoch without touching what the producer's checksum covers
 *    21  i16  attributes           bits 0-2 compression (0: none), 3 timestamp type, 4 transactional, 5 control;
 *                                  logdrive takes 0 alone
 *    23  i32  last offset delta    count - 1: offsets in a produced batch have no hole. Compaction takes records out
 *                                  and leaves this as it was
 *    27  i64  base timestamp       ms; that of the first record
 *    35  i64  max timestamp        ms; the largest of all records, kept here so that time can be searched by batch
 *    43  i64  producer id          -1: identity travels in the APPEND header, wider than these fields are
 *    51  i16  producer epoch       -1
 *    53  i32  base sequence        -1
 *    57  i32  count                1..BATCH_RECORDS_MAX
 *    61       records
 */
import type { Crc32c } from './crc32c.ts';
import { assert, LogError } from './errors.ts';
import { BATCH_RECORDS_MAX, NUMBER_MAX } from './limits.ts';

export interface BatchHeader {
  readonly baseOffset: number;
  /** The whole batch, its first 12 bytes included. */
  readonly batchBytes: number;
  /** -1: not set yet. */
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly attributes: number;
  readonly recordCount: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
}

export const BATCH_OVERHEAD_BYTES = 61;

const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const COUNT_AT = 57;

const MAGIC = 2;
/** Bytes before and within the length field, which the length does not count. */
const LENGTH_EXCLUDES = 12;
const COMPRESSION_MASK = 0b111;
const TRANSACTIONAL_BIT = 1 << 4;
const CONTROL_BIT = 1 << 5;
const INT32_MAX = 0x7fff_ffff;

/**
 * Reads the header of the batch that begins at `at`; the records behind it need not be there.
 * @throws LogError INVALID when it is too short or holds what no batch can, UNSUPPORTED for another magic.
 */
export function readBatchHeader(bytes: Uint8Array, at = 0): BatchHeader {
  const view = viewOf(bytes, at);
  const batchBytes = readBatchBytes(view);
  const recordCount = view.getInt32(COUNT_AT);
  const lastOffsetDelta = view.getInt32(LAST_OFFSET_DELTA_AT);
  // Fewer records than offsets is what compaction will leave; more is nonsense.
  if (recordCount < 1 || recordCount > BATCH_RECORDS_MAX || lastOffsetDelta < recordCount - 1) {
    throw new LogError('INVALID', `A record batch claims ${recordCount} records up to delta ${lastOffsetDelta}.`);
  }
  const baseOffset = readInt64(view, 0, 'base offset');
  if (baseOffset < 0 || baseOffset + lastOffsetDelta >= NUMBER_MAX) {
    throw new LogError('INVALID', `A record batch claims base offset ${baseOffset}.`);
  }
  return {
    baseOffset,
    batchBytes,
    leaderEpoch: view.getInt32(LEADER_EPOCH_AT),
    crc: view.getUint32(CRC_AT),
    attributes: view.getInt16(ATTRIBUTES_AT),
    recordCount,
    lastOffsetDelta,
    baseTimestampMs: readInt64(view, BASE_TIMESTAMP_AT, 'base timestamp'),
    maxTimestampMs: readInt64(view, MAX_TIMESTAMP_AT, 'max timestamp'),
  };
}

/**
 * The whole check of a batch a producer sent: `bytes` is exactly one batch, intact, of a kind this log takes. Constant
 * work besides the checksum; records are not looked at.
 * @throws LogError TOO_LARGE, INVALID, UNSUPPORTED or CRC, all with outcome none.
 */
export function checkProducedBatch(
  bytes: Uint8Array,
  limits: { readonly batchBytesMax: number },
  crc32c: Crc32c,
): BatchHeader {
  if (bytes.length > limits.batchBytesMax) {
    throw new LogError('TOO_LARGE', `A record batch of ${bytes.length} bytes is over ${limits.batchBytesMax}.`, {
      details: { limitBytes: limits.batchBytesMax, actualBytes: bytes.length },
    });
  }
  const header = verifyBatch(bytes, crc32c);
  checkAttributes(header.attributes);
  if (header.lastOffsetDelta !== header.recordCount - 1) {
    throw new LogError(
      'INVALID',
      `A record batch of ${header.recordCount} records claims last offset delta ${header.lastOffsetDelta}.`,
    );
  }
  const view = viewOf(bytes, 0);
  const hasProducer =
    view.getInt32(PRODUCER_ID_AT) !== -1 ||
    view.getInt32(PRODUCER_ID_AT + 4) !== -1 ||
    view.getInt16(PRODUCER_EPOCH_AT) !== -1 ||
    view.getInt32(BASE_SEQUENCE_AT) !== -1;
  if (hasProducer) {
    throw new LogError('INVALID', 'The producer fields of a record batch must be -1; identity goes beside the batch.');
  }
  return header;
}

/**
 * What a consumer checks of a batch it was sent: exactly one, and the producer's bytes unharmed.
 * The checksum is judged before the fields it covers, so that damage is called CRC (send again), not INVALID.
 */
export function verifyBatch(batch: Uint8Array, crc32c: Crc32c): BatchHeader {
  const view = viewOf(batch, 0);
  const batchBytes = readBatchBytes(view);
  if (batchBytes !== batch.length) {
    throw new LogError('INVALID', `A record batch says it has ${batchBytes} bytes; there are ${batch.length}.`);
  }
  const expected = view.getUint32(CRC_AT);
  const received = crc32c(batch.subarray(ATTRIBUTES_AT));
  if (expected !== received) {
    throw new LogError('CRC', 'A record batch does not match its checksum.', { details: { expected, received } });
  }
  return readBatchHeader(batch);
}

/** Fills in what the leader assigns: the 12 bytes outside the checksum. The bytes must be the caller's to change. */
export function patchBatch(bytes: Uint8Array, baseOffset: number, leaderEpoch: number): void {
  // Asked for only when it fails: its text would be put together for every batch.
  if (!(Number.isSafeInteger(baseOffset) && baseOffset >= 0))
    assert(false, `base offset ${baseOffset} is a safe integer`);
  if (!(Number.isInteger(leaderEpoch) && leaderEpoch >= 0 && leaderEpoch <= INT32_MAX))
    assert(false, `leader epoch ${leaderEpoch} fits 31 bits`);
  const view = viewOf(bytes, 0);
  writeInt64(view, 0, baseOffset);
  view.setInt32(LEADER_EPOCH_AT, leaderEpoch);
}

/**
 * Cuts back-to-back batches apart: views, in order.
 * @throws LogError INVALID when they do not fill the bytes exactly.
 */
export function splitBatches(bytes: Uint8Array): Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + readBatchBytes(viewOf(bytes, at));
    if (end > bytes.length) throw new LogError('INVALID', `A record batch ends ${end - bytes.length} bytes too late.`);
    batches.push(bytes.subarray(at, end));
    at = end;
  }
  return batches;
}

/** Refuses every batch that is not plain records. */
export function checkAttributes(attributes: number): void {
  if (attributes === 0) return;
  if ((attributes & COMPRESSION_MASK) !== 0) {
    throw new LogError(
      'UNSUPPORTED',
      `Compressed record batches (codec ${attributes & COMPRESSION_MASK}) are not taken.`,
    );
  }
  if ((attributes & TRANSACTIONAL_BIT) !== 0) {
    throw new LogError('UNSUPPORTED', 'Transactional record batches are not taken.');
  }
  if ((attributes & CONTROL_BIT) !== 0) throw new LogError('INVALID', 'A client must not send control batches.');
  throw new LogError('INVALID', `A record batch has unknown attributes 0x${(attributes & 0xffff).toString(16)}.`);
}

/** What a batch without some of its records says of those that are left. */
export interface ThinnedHeader {
  readonly recordCount: number;
  readonly maxTimestampMs: number;
}

/**
 * Finishes a batch that was made of another one's header and some of its records: what they are is corrected, the
 * checksum last. Offsets stay what they were: base offset and last offset delta are those of the whole batch.
 */
export function correctBatchHeader(batch: Uint8Array, header: ThinnedHeader, crc32c: Crc32c): void {
  const view = viewOf(batch, 0);
  view.setInt32(LENGTH_AT, batch.length - LENGTH_EXCLUDES);
  writeInt64(view, MAX_TIMESTAMP_AT, header.maxTimestampMs);
  view.setInt32(COUNT_AT, header.recordCount);
  view.setUint32(CRC_AT, crc32c(batch.subarray(ATTRIBUTES_AT)));
}

/** What writeBatchHeader() puts in front of the records; leader's and producer's fields are set to "none". */
export interface ProducedHeader {
  readonly recordCount: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
}

/** Writes the header of a produced batch that fills `batch`, the checksum last. */
export function writeBatchHeader(batch: Uint8Array, header: ProducedHeader, crc32c: Crc32c): void {
  const view = viewOf(batch, 0);
  writeInt64(view, 0, 0);
  view.setInt32(LENGTH_AT, batch.length - LENGTH_EXCLUDES);
  view.setInt32(LEADER_EPOCH_AT, -1);
  view.setInt8(MAGIC_AT, MAGIC);
  view.setInt16(ATTRIBUTES_AT, 0);
  view.setInt32(LAST_OFFSET_DELTA_AT, header.recordCount - 1);
  writeInt64(view, BASE_TIMESTAMP_AT, header.baseTimestampMs);
  writeInt64(view, MAX_TIMESTAMP_AT, header.maxTimestampMs);
  writeInt64(view, PRODUCER_ID_AT, -1);
  view.setInt16(PRODUCER_EPOCH_AT, -1);
  view.setInt32(BASE_SEQUENCE_AT, -1);
  view.setInt32(COUNT_AT, header.recordCount);
  view.setUint32(CRC_AT, crc32c(batch.subarray(ATTRIBUTES_AT)));
}

function viewOf(bytes: Uint8Array, at: number): DataView {
  if (!Number.isSafeInteger(at) || at < 0 || bytes.length - at < BATCH_OVERHEAD_BYTES) {
    throw new LogError(
      'INVALID',
      `A record batch has at least ${BATCH_OVERHEAD_BYTES} bytes; ${bytes.length - at} are left.`,
    );
  }
  return new DataView(bytes.buffer, bytes.byteOffset + at, BATCH_OVERHEAD_BYTES);
}

/** The size of the whole batch; checks the magic first, since other formats put other things there. */
function readBatchBytes(view: DataView): number {
  const magic = view.getInt8(MAGIC_AT);
  if (magic !== MAGIC) throw new LogError('UNSUPPORTED', `Record batches of magic ${magic} are not supported; 2 is.`);
  const batchBytes = view.getInt32(LENGTH_AT) + LENGTH_EXCLUDES;
  if (batchBytes < BATCH_OVERHEAD_BYTES)
    throw new LogError('INVALID', `A record batch says it has ${batchBytes} bytes.`);
  return batchBytes;
}

function readInt64(view: DataView, at: number, what: string): number {
  const value = view.getInt32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
  if (!Number.isSafeInteger(value)) throw new LogError('INVALID', `The ${what} of a record batch is past 2^53 - 1.`);
  return value;
}

function writeInt64(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / 0x1_0000_0000));
  view.setInt32(at + 4, value % 0x1_0000_0000);
}
