import { describe, expect, test } from 'vitest';
import {
  BATCH_OVERHEAD_BYTES,
  BATCH_RECORDS_MAX,
  checkProducedBatch,
  crc32cPortable,
  encodeRecordBatch,
  patchBatch,
  readBatchHeader,
  splitBatches,
  verifyBatch,
} from '../../src/protocol/index.ts';
import { codeOf } from './support/code-of.ts';
import { bytesOfHex, GOLDEN_RECORDS, readGolden } from './support/golden.ts';

const GOLDEN = bytesOfHex(readGolden('record-batch-v2.hex'));
const limits = { batchBytesMax: 1_024 };

/** The golden batch with one field replaced, and the checksum put right unless the field is the checksum. */
function altered(change: (view: DataView, bytes: Uint8Array) => void, options = { fixCrc: true }): Uint8Array {
  const bytes = GOLDEN.slice();
  const view = new DataView(bytes.buffer);
  change(view, bytes);
  if (options.fixCrc) view.setUint32(17, crc32cPortable(bytes.subarray(21)));
  return bytes;
}

function check(bytes: Uint8Array, batchBytesMax = limits.batchBytesMax): string {
  return codeOf(() => checkProducedBatch(bytes, { batchBytesMax }, crc32cPortable));
}

describe('a record batch', () => {
  test('is laid out byte for byte as in the golden file', () => {
    const built = encodeRecordBatch(GOLDEN_RECORDS, { nowMs: 1, crc32c: crc32cPortable });
    expect(built).toEqual(GOLDEN);
  });

  test('tells its header', () => {
    expect(readBatchHeader(GOLDEN)).toEqual({
      baseOffset: 0,
      batchBytes: GOLDEN.length,
      leaderEpoch: -1,
      crc: 0x3ee9_3c37,
      attributes: 0,
      recordCount: 3,
      lastOffsetDelta: 2,
      baseTimestampMs: 1_700_000_000_000,
      maxTimestampMs: 1_700_000_000_300,
    });
  });

  test('tells its header from any position, without the records behind it', () => {
    const padded = new Uint8Array(5 + BATCH_OVERHEAD_BYTES);
    padded.set(GOLDEN.subarray(0, BATCH_OVERHEAD_BYTES), 5);
    expect(readBatchHeader(padded, 5)).toEqual(readBatchHeader(GOLDEN));
    expect(codeOf(() => readBatchHeader(padded, 6))).toBe('INVALID');
    expect(codeOf(() => readBatchHeader(padded, -1))).toBe('INVALID');
    expect(codeOf(() => readBatchHeader(padded, 2 ** 53))).toBe('INVALID');
  });
});

describe('readBatchHeader', () => {
  test('refuses more records than offsets, which even compaction cannot leave', () => {
    expect(codeOf(() => readBatchHeader(altered((view) => view.setInt32(57, 4))))).toBe('INVALID');
    expect(readBatchHeader(altered((view) => view.setInt32(57, 2))).recordCount).toBe(2);
  });

  test('refuses a base offset whose last record would be past 2^53', () => {
    const at = (offset: number) => {
      const batch = GOLDEN.slice();
      patchBatch(batch, offset, 1);
      return () => readBatchHeader(batch);
    };
    // The offset after the last one has to be a number too: it is the next position.
    expect(at(Number.MAX_SAFE_INTEGER - 3)().baseOffset).toBe(Number.MAX_SAFE_INTEGER - 3);
    for (const under of [0, 1, 2]) expect(codeOf(at(Number.MAX_SAFE_INTEGER - under))).toBe('INVALID');
  });
});

describe('checkProducedBatch', () => {
  test('takes a good batch, up to the byte of the limit', () => {
    expect(checkProducedBatch(GOLDEN, { batchBytesMax: GOLDEN.length }, crc32cPortable).recordCount).toBe(3);
    expect(check(GOLDEN, GOLDEN.length - 1)).toBe('TOO_LARGE');
  });

  test('names the limit and the size of a batch over it', () => {
    const refused = () => checkProducedBatch(GOLDEN, { batchBytesMax: 100 }, crc32cPortable);
    expect(refused).toThrow(expect.objectContaining({ details: { limitBytes: 100, actualBytes: GOLDEN.length } }));
  });

  test.each<[string, (view: DataView, bytes: Uint8Array) => void, string]>([
    ['magic 1', (view) => view.setInt8(16, 1), 'UNSUPPORTED'],
    ['magic 3', (view) => view.setInt8(16, 3), 'UNSUPPORTED'],
    ['a length one too small', (view) => view.setInt32(8, view.getInt32(8) - 1), 'INVALID'],
    ['a length one too large', (view) => view.setInt32(8, view.getInt32(8) + 1), 'INVALID'],
    ['length 0', (view) => view.setInt32(8, 0), 'INVALID'],
    ['a negative length', (view) => view.setInt32(8, -1), 'INVALID'],
    ['the largest length', (view) => view.setInt32(8, 0x7fff_ffff), 'INVALID'],
    ['no records', (view) => view.setInt32(57, 0), 'INVALID'],
    ['a negative count', (view) => view.setInt32(57, -3), 'INVALID'],
    ['a count below its offsets', (view) => view.setInt32(57, 2), 'INVALID'],
    ['a count above its offsets', (view) => view.setInt32(57, 4), 'INVALID'],
    ['a negative last offset delta', (view) => view.setInt32(23, -1), 'INVALID'],
    ['gzip', (view) => view.setInt16(21, 1), 'UNSUPPORTED'],
    ['zstd', (view) => view.setInt16(21, 4), 'UNSUPPORTED'],
    ['an unknown codec', (view) => view.setInt16(21, 7), 'UNSUPPORTED'],
    ['log append time', (view) => view.setInt16(21, 1 << 3), 'INVALID'],
    ['the transactional bit', (view) => view.setInt16(21, 1 << 4), 'UNSUPPORTED'],
    ['the control bit', (view) => view.setInt16(21, 1 << 5), 'INVALID'],
    ['the delete horizon bit', (view) => view.setInt16(21, 1 << 6), 'INVALID'],
    ['the highest attribute bit', (view) => view.setInt16(21, -0x8000), 'INVALID'],
    ['a producer id', (view) => view.setInt32(47, 7), 'INVALID'],
    ['the high half of a producer id', (view) => view.setInt32(43, 0), 'INVALID'],
    ['a producer epoch', (view) => view.setInt16(51, 0), 'INVALID'],
    ['a base sequence', (view) => view.setInt32(53, 0), 'INVALID'],
    ['a base timestamp past 2^53', (view) => view.setInt32(27, 0x7fff_ffff), 'INVALID'],
    ['a max timestamp past 2^53', (view) => view.setInt32(35, 0x0020_0000), 'INVALID'],
    ['a negative base offset', (view) => view.setInt32(0, -1), 'INVALID'],
    ['a base offset past 2^53', (view) => view.setInt32(0, 0x0020_0000), 'INVALID'],
  ])('refuses %s', (_, change, code) => {
    expect(check(altered(change))).toBe(code);
  });

  test('refuses more records than a batch may have', () => {
    const claims = (count: number) =>
      altered((view) => {
        view.setInt32(57, count);
        view.setInt32(23, count - 1);
      });
    expect(check(claims(BATCH_RECORDS_MAX + 1))).toBe('INVALID');
    // Whether the records are there is the reader's business: a broker does no work per record.
    expect(check(claims(BATCH_RECORDS_MAX))).toBe('no error');
  });

  test('calls damage under the checksum CRC, whatever field it hit, so that the sender sends again', () => {
    for (let at = 17; at < GOLDEN.length; at++) {
      const damaged = altered((_, bytes) => (bytes[at]! ^= 0x10), { fixCrc: false });
      expect(check(damaged), `byte ${at}`).toBe('CRC');
    }
  });

  test('ignores what a producer wrote where the leader writes', () => {
    const patched = GOLDEN.slice();
    patchBatch(patched, 1_234_567_890_123, 42);
    expect(check(patched)).toBe('no error');
  });

  test('refuses every shorter and every longer piece of bytes', () => {
    for (let length = 0; length < GOLDEN.length; length++) {
      expect(check(GOLDEN.subarray(0, length)), `${length} bytes`).toBe('INVALID');
    }
    expect(check(Uint8Array.of(...GOLDEN, 0))).toBe('INVALID');
    expect(check(Uint8Array.of(...GOLDEN, ...GOLDEN))).toBe('INVALID');
  });
});

describe('patchBatch', () => {
  test('changes the twelve bytes outside the checksum and no other', () => {
    const patched = GOLDEN.slice();
    patchBatch(patched, Number.MAX_SAFE_INTEGER - 10, 0x7fff_ffff);
    expect(patched.subarray(8, 12)).toEqual(GOLDEN.subarray(8, 12));
    expect(patched.subarray(16)).toEqual(GOLDEN.subarray(16));
    expect(verifyBatch(patched, crc32cPortable)).toMatchObject({
      baseOffset: Number.MAX_SAFE_INTEGER - 10,
      leaderEpoch: 0x7fff_ffff,
    });
  });

  test('writes offsets around 2^32 exactly', () => {
    for (const offset of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 5]) {
      const patched = GOLDEN.slice();
      patchBatch(patched, offset, 1);
      expect(readBatchHeader(patched).baseOffset).toBe(offset);
    }
  });

  test('stops at numbers the fields cannot hold', () => {
    for (const offset of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => patchBatch(GOLDEN.slice(), offset, 1)).toThrow(/invariant/);
    }
    for (const epoch of [-1, 0.5, Number.NaN, 2 ** 31]) {
      expect(() => patchBatch(GOLDEN.slice(), 1, epoch)).toThrow(/invariant/);
    }
  });
});

describe('splitBatches', () => {
  const single = encodeRecordBatch([{ value: Uint8Array.of(1) }], { nowMs: 5, crc32c: crc32cPortable });

  test('cuts batches apart without copying them', () => {
    const both = Uint8Array.of(...GOLDEN, ...single, ...GOLDEN);
    const batches = splitBatches(both);
    expect(batches).toEqual([GOLDEN, single, GOLDEN]);
    expect(batches.every((batch) => batch.buffer === both.buffer)).toBe(true);
  });

  test('finds none in nothing', () => {
    expect(splitBatches(new Uint8Array(0))).toEqual([]);
  });

  test('does not go round and round on a batch that says it has no bytes, or fewer', () => {
    for (const length of [-12, -13, -100, -0x8000_0000, 0, 48]) {
      const batch = altered((view) => view.setInt32(8, length));
      expect(
        codeOf(() => splitBatches(Uint8Array.of(...GOLDEN, ...batch))),
        `length ${length}`,
      ).toBe('INVALID');
    }
  });

  test('refuses bytes that end inside a batch or between two', () => {
    const both = Uint8Array.of(...single, ...single);
    for (let length = 1; length < both.length; length++) {
      const expected = length === single.length ? 'no error' : 'INVALID';
      expect(
        codeOf(() => splitBatches(both.subarray(0, length))),
        `${length} bytes`,
      ).toBe(expected);
    }
  });
});
