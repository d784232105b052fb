import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BATCH_OVERHEAD_BYTES,
  BATCH_RECORDS_MAX,
  checkProducedBatch,
  crc32cPortable,
  decodeRecords,
  encodeRecordBatch,
  LogError,
  type NewRecord,
  patchBatch,
  RECORD_HEADERS_MAX,
  RecordBatchBuilder,
  recordBytes,
} from '../../src/protocol/index.ts';
import { SEED } from './support/fuzz.ts';
import { bytesOfHex, GOLDEN_RECORDS, readGolden } from './support/golden.ts';

const GOLDEN = bytesOfHex(readGolden('record-batch-v2.hex'));
const text = new TextEncoder();
const crc32c = crc32cPortable;

/** A batch around hand-made record bytes. */
function batchOf(records: readonly number[], count: number, lastOffsetDelta = count - 1): Uint8Array {
  const bytes = new Uint8Array(BATCH_OVERHEAD_BYTES + records.length);
  bytes.set(GOLDEN.subarray(0, BATCH_OVERHEAD_BYTES));
  bytes.set(records, BATCH_OVERHEAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(8, bytes.length - 12);
  view.setInt32(23, lastOffsetDelta);
  view.setInt32(57, count);
  view.setUint32(17, crc32c(bytes.subarray(21)));
  return bytes;
}

const arbitraryBytes = fc.uint8Array({ maxLength: 40 });
const arbitraryRecord: fc.Arbitrary<NewRecord> = fc.record({
  value: fc.oneof(arbitraryBytes, fc.uint8Array({ minLength: 100, maxLength: 400 })),
  key: fc.option(arbitraryBytes, { nil: undefined }),
  headers: fc.array(fc.record({ key: fc.string({ unit: 'binary', maxLength: 8 }), value: arbitraryBytes }), {
    maxLength: 4,
  }),
  timestampMs: fc.maxSafeNat(),
});

describe('decodeRecords', () => {
  test('reads the golden batch', () => {
    const batch = GOLDEN.slice();
    patchBatch(batch, 1_000, 3);
    const expected = GOLDEN_RECORDS.map((record, at) => ({
      headers: [],
      key: undefined,
      ...record,
      offset: 1_000 + at,
    }));
    expect(decodeRecords(batch)).toEqual(expected);
  });

  test('gives back any records that were encoded', () => {
    fc.assert(
      fc.property(fc.array(arbitraryRecord, { minLength: 1, maxLength: 20 }), (records) => {
        const batch = encodeRecordBatch(records, { nowMs: 0, crc32c });
        const header = checkProducedBatch(batch, { batchBytesMax: batch.length }, crc32c);
        expect(header.maxTimestampMs).toBe(Math.max(...records.map((record) => record.timestampMs!)));
        expect(decodeRecords(batch)).toEqual(records.map((record, offset) => ({ ...record, offset })));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test('gives plain Uint8Array views of the batch, also when that is a Buffer', () => {
    const buffer = Buffer.concat([Buffer.alloc(7), GOLDEN]).subarray(7);
    const [first] = decodeRecords(buffer);
    expect(first!.value.constructor).toBe(Uint8Array);
    expect(first!.value.buffer).toBe(buffer.buffer);
    expect(first!.value).toEqual(text.encode('first'));
  });

  test('reads null values of foreign producers as empty', () => {
    const batch = batchOf([0x0c + 6, 0, 0, 0, 0x01, 0x01, 0x02, 0x02, 0x61, 0x01], 1);
    expect(decodeRecords(batch)).toEqual([
      {
        offset: 0,
        timestampMs: 1_700_000_000_000,
        key: undefined,
        value: new Uint8Array(0),
        headers: [{ key: 'a', value: new Uint8Array(0) }],
      },
    ]);
  });

  test('takes the holes that compaction leaves, but no offset twice and none past the last', () => {
    const record = (delta: number) => [0x0c, 0, 0, delta * 2, 0x01, 0x00, 0x00];
    const offsets = (deltas: readonly number[], last: number) =>
      decodeRecords(batchOf(deltas.flatMap(record), deltas.length, last)).map((decoded) => decoded.offset);
    expect(offsets([0, 1, 2], 2)).toEqual([0, 1, 2]);
    expect(offsets([1, 5], 9)).toEqual([1, 5]);
    expect(() => offsets([0, 0], 1)).toThrow(LogError);
    expect(() => offsets([1, 0], 1)).toThrow(LogError);
    expect(() => offsets([0, 3], 2)).toThrow(LogError);
  });

  test.each<[string, readonly number[], number]>([
    ['a record that says it is longer than the batch', [0x7e, 0, 0, 0, 1, 0, 0], 1],
    ['a record that says it is shorter than it is', [0x0a, 0, 0, 0, 1, 0, 0], 1],
    ['a record of negative length', [0x01, 0, 0, 0, 1, 0, 0], 1],
    ['a length of 2^31', [0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0, 1, 0, 0], 1],
    ['a length past 2^53', [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0, 0, 1, 0, 0], 1],
    ['a varint without end', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], 1],
    ['a key past the end', [0x0c, 0, 0, 0, 0x40, 0, 0], 1],
    ['a key length of -2', [0x0c, 0, 0, 0, 0x03, 0, 0], 1],
    ['a value past the end', [0x0c, 0, 0, 0, 1, 0x40, 0], 1],
    ['more headers than bytes', [0x0c, 0, 0, 0, 1, 0, 0x40], 1],
    ['a negative header count', [0x0c, 0, 0, 0, 1, 0, 0x01], 1],
    ['a header without a key', [0x10, 0, 0, 0, 1, 0, 0x02, 0x01, 0], 1],
    ['a header past the end', [0x10, 0, 0, 0, 1, 0, 0x02, 0x20, 0], 1],
    ['a timestamp past 2^53', [0x1a, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 1, 0, 0], 1],
    // -(2^53 + 1): rounded, the sum with the base would be in range again, and wrong.
    ['a timestamp delta past 2^53', [0x1a, 0, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0, 1, 0, 0], 1],
    ['a negative offset delta', [0x0c, 0, 0, 1, 1, 0, 0], 1],
    ['bytes after the last record', [0x0c, 0, 0, 0, 1, 0, 0, 0], 1],
    ['fewer records than claimed', [0x0c, 0, 0, 0, 1, 0, 0], 2],
    ['fewer bytes than the claimed records can have', [0x0c, 0, 0, 0, 1, 0, 0], BATCH_RECORDS_MAX],
    ['no bytes', [], 1],
  ])('refuses %s', (_, records, count) => {
    expect(() => decodeRecords(batchOf(records, count))).toThrow(expect.objectContaining({ code: 'INVALID' }));
  });

  test('refuses compressed and control batches', () => {
    const batch = GOLDEN.slice();
    new DataView(batch.buffer).setInt16(21, 2);
    expect(() => decodeRecords(batch)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }));
    new DataView(batch.buffer).setInt16(21, 1 << 5);
    expect(() => decodeRecords(batch)).toThrow(expect.objectContaining({ code: 'INVALID' }));
  });

  test('refuses bytes that are more or less than one batch', () => {
    expect(() => decodeRecords(Uint8Array.of(...GOLDEN, 0))).toThrow(LogError);
    expect(() => decodeRecords(GOLDEN.subarray(0, -1))).toThrow(LogError);
  });

  test('shows a header key that is not UTF-8 instead of making the partition unreadable', () => {
    const batch = batchOf([0x12, 0, 0, 0, 1, 0, 0x02, 0x02, 0xff, 0x00], 1);
    expect(decodeRecords(batch)[0]!.headers).toEqual([{ key: '\ufffd', value: new Uint8Array(0) }]);
  });
});

describe('RecordBatchBuilder', () => {
  const value = new Uint8Array(100).fill(7);

  test('takes the time given when a record has none, and keeps the largest for the header', () => {
    const builder = new RecordBatchBuilder({ bytesMax: 1_000, recordsMax: 10 });
    builder.tryAdd({ value, timestampMs: 500 }, 1);
    builder.tryAdd({ value }, 900);
    builder.tryAdd({ value }, 400);
    const batch = builder.build(crc32c);
    expect(decodeRecords(batch).map((record) => record.timestampMs)).toEqual([500, 900, 400]);
    expect(checkProducedBatch(batch, { batchBytesMax: 1_000 }, crc32c)).toMatchObject({
      baseTimestampMs: 500,
      maxTimestampMs: 900,
    });
  });

  test('says false, and changes nothing, when the next record does not fit', () => {
    const builder = new RecordBatchBuilder({ bytesMax: 400, recordsMax: 10 });
    let added = 0;
    while (builder.tryAdd({ value }, 1)) added++;
    expect(added).toBe(3);
    expect(builder.recordCount).toBe(3);
    expect(builder.bytes).toBeLessThanOrEqual(400);
    const batch = builder.build(crc32c);
    expect(batch.length).toBe(builder.bytes);
    expect(decodeRecords(batch)).toHaveLength(3);
  });

  test('fills a batch to its last byte', () => {
    const one = encodeRecordBatch([{ value }], { nowMs: 1, crc32c });
    const exact = new RecordBatchBuilder({ bytesMax: one.length, recordsMax: 10 });
    expect(exact.tryAdd({ value }, 1)).toBe(true);
    expect(exact.build(crc32c)).toEqual(one);
    const short = new RecordBatchBuilder({ bytesMax: one.length - 1, recordsMax: 10 });
    expect(() => short.tryAdd({ value }, 1)).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE', details: { limitBytes: one.length - 1, actualBytes: one.length } }),
    );
    expect(short.recordCount).toBe(0);
  });

  test('stops at its cap of records', () => {
    const builder = new RecordBatchBuilder({ bytesMax: 10_000, recordsMax: 2 });
    expect([1, 2, 3].map(() => builder.tryAdd({ value }, 1))).toEqual([true, true, false]);
  });

  test('keeps a copy: what the caller does to a value afterwards changes nothing', () => {
    const mine = Uint8Array.of(1, 2, 3);
    const builder = new RecordBatchBuilder({ bytesMax: 1_000, recordsMax: 2 });
    builder.tryAdd({ value: mine }, 1);
    mine.fill(9);
    expect(decodeRecords(builder.build(crc32c))[0]!.value).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('grows over many records and stays one valid batch', () => {
    const builder = new RecordBatchBuilder({ bytesMax: 4_194_304, recordsMax: 100_000 });
    for (let i = 0; i < 20_000; i++) expect(builder.tryAdd({ value, key: text.encode(`k${i}`) }, i)).toBe(true);
    const batch = builder.build(crc32c);
    checkProducedBatch(batch, { batchBytesMax: 4_194_304 }, crc32c);
    const records = decodeRecords(batch);
    expect(records).toHaveLength(20_000);
    expect(records[19_999]).toEqual({
      offset: 19_999,
      timestampMs: 19_999,
      key: text.encode('k19999'),
      value,
      headers: [],
    });
  });

  test('does not keep a large buffer alive behind a small batch', () => {
    const builder = new RecordBatchBuilder({ bytesMax: 1_000_000, recordsMax: 100 });
    builder.tryAdd({ value: Uint8Array.of(1) }, 1);
    const small = builder.build(crc32c);
    expect(small.buffer.byteLength).toBeLessThanOrEqual(small.length * 2);
  });

  test('is spent once built, and has nothing to build when empty', () => {
    const builder = new RecordBatchBuilder({ bytesMax: 1_000, recordsMax: 2 });
    expect(() => builder.build(crc32c)).toThrow(/invariant/);
    builder.tryAdd({ value }, 1);
    builder.build(crc32c);
    expect(() => builder.build(crc32c)).toThrow(/invariant/);
    expect(() => builder.tryAdd({ value }, 1)).toThrow(/invariant/);
  });

  test.each<[string, unknown]>([
    ['a text as value', { value: 'text' }],
    ['no value', {}],
    ['a text as key', { value, key: 'text' }],
    ['a negative timestamp', { value, timestampMs: -1 }],
    ['a timestamp that is no integer', { value, timestampMs: 0.5 }],
    ['a timestamp that is no number', { value, timestampMs: Number.NaN }],
    ['a timestamp past 2^53', { value, timestampMs: 2 ** 53 }],
    ['a header key that is not well-formed', { value, headers: [{ key: '\ud800', value }] }],
    ['a header value that is a text', { value, headers: [{ key: 'a', value: 'b' }] }],
    [
      'too many headers',
      { value, headers: Array.from({ length: RECORD_HEADERS_MAX + 1 }, () => ({ key: 'a', value })) },
    ],
  ])('refuses %s, and goes on with the next record', (_, record) => {
    const builder = new RecordBatchBuilder({ bytesMax: 1_000_000, recordsMax: 2 });
    const refused = () => builder.tryAdd(record as NewRecord, 1);
    expect(refused).toThrow(expect.objectContaining({ code: 'INVALID', outcome: 'none' }));
    expect(builder.tryAdd({ value }, 1)).toBe(true);
    expect(decodeRecords(builder.build(crc32c))).toHaveLength(1);
  });

  test('takes as many headers as are allowed', () => {
    const headers = Array.from({ length: RECORD_HEADERS_MAX }, (_, i) => ({ key: `h${i}`, value }));
    const batch = encodeRecordBatch([{ value, headers }], { nowMs: 1, crc32c });
    expect(decodeRecords(batch)[0]!.headers).toEqual(headers);
  });

  test('never takes more bytes for a record than recordBytes() says', () => {
    fc.assert(
      fc.property(arbitraryRecord, (record) => {
        const batch = encodeRecordBatch([record], { nowMs: 0, crc32c });
        expect(batch.length - BATCH_OVERHEAD_BYTES).toBeLessThanOrEqual(recordBytes(record));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});

describe('encodeRecordBatch', () => {
  test('has no batch for no records', () => {
    expect(() => encodeRecordBatch([], { nowMs: 1, crc32c })).toThrow(expect.objectContaining({ code: 'INVALID' }));
  });

  test('makes no batch when one record of many cannot be in one', () => {
    const records = [{ value: Uint8Array.of(1) }, {} as NewRecord];
    const refused = () => encodeRecordBatch(records, { nowMs: 1, crc32c });
    expect(refused).toThrow(expect.objectContaining({ code: 'INVALID' }));
  });
});
