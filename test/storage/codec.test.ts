/** Checksums, chain and entries: known values, both implementations, what a reader refuses. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chainAfter } from '../../storage/chain.ts';
import { crc32c, crc32cPortable } from '../../storage/checksum.ts';
import { FieldReader, FieldWriter, getU64, putU64 } from '../../storage/fields.ts';
import {
  decodeEntries,
  EMPTY_CHAIN,
  ENTRY_HEADER_BYTES,
  encodeEntry,
  entryBytes,
  isStorageError,
  type LogEntry,
  MemoryDisk,
  type NewEntry,
} from '../../storage/index.ts';
import { TermRuns } from '../../storage/term-runs.ts';
import { asBatch, bytesOf, nextEntries, openLog } from '../support/storage-fixture.ts';

const plain: NewEntry = {
  kind: 'control',
  groupId: 1,
  index: 1,
  term: 1,
  baseOffset: 0,
  recordCount: 0,
  appendTimeMs: 0,
  producer: undefined,
  payload: bytesOf('p', 10),
};

function wire(entries: readonly LogEntry[]): Uint8Array {
  return new Uint8Array(Buffer.concat(entries.flatMap((entry) => [entry.headerBytes, entry.payload])));
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isStorageError(error)) return error.code;
    throw error;
  }
  return 'no error';
}

describe('CRC-32C', () => {
  test('has the values of RFC 3720', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe306_9283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8_ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd_794e);
    expect(crc32c(new Uint8Array(0), 77)).toBe(77);
  });

  test('is the same however it is computed, in one piece or in several', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(700), fc.nat(0xffff_ffff), (bytes, cut, seed) => {
        const whole = crc32c(bytes, seed);
        expect(crc32cPortable(bytes, seed)).toBe(whole);
        expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut), seed))).toBe(whole);
      }),
    );
  });
});

describe('fields', () => {
  test('64-bit numbers are safe integers, exactly', () => {
    const view = new DataView(new ArrayBuffer(8));
    for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER]) {
      putU64(view, 0, value);
      expect(getU64(view, 0)).toBe(value);
    }
    for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => putU64(view, 0, value)).toThrow();
    view.setBigUint64(0, 2n ** 53n, true);
    expect(getU64(view, 0)).toBeUndefined();
  });

  test('what is written is read; a read past the end throws', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(0xffff_ffff), fc.maxSafeNat(), fc.string({ maxLength: 60 }), (a, b, c, text) => {
        const reader = new FieldReader(new FieldWriter().u8(a).u32(b).u64(c).text(text).finish());
        expect([reader.u8(), reader.u32(), reader.u64(), reader.text()]).toEqual([a, b, c, text]);
        expect(() => reader.u8()).toThrow(RangeError);
      }),
    );
  });
});

describe('the chain', () => {
  test('differs in both halves when any single bit of what it covers differs', () => {
    const bytes = bytesOf('chain', 84);
    const sound = chainAfter(EMPTY_CHAIN, bytes, 0, 84);
    for (let bit = 0; bit < 84 * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const chain = chainAfter(EMPTY_CHAIN, flipped, 0, 84);
      expect(chain.high).not.toBe(sound.high);
      expect(chain.low).not.toBe(sound.low);
    }
  });

  test('depends on everything before: two histories never meet again', () => {
    const seen = new Set<string>();
    let a = EMPTY_CHAIN;
    let b = { high: 0, low: 1 };
    for (let i = 0; i < 2000; i++) {
      const bytes = bytesOf(i, 8);
      a = chainAfter(a, bytes, 0, 8);
      b = chainAfter(b, bytes, 0, 8);
      seen.add(`${a.high}/${a.low}`).add(`${b.high}/${b.low}`);
    }
    expect(seen.size).toBe(4000);
  });
});

describe('entries', () => {
  test('are decoded to what was encoded, whatever their fields', () => {
    const entry = fc.record({
      kind: fc.constantFrom('batch' as const, 'no-op' as const, 'membership' as const, 'control' as const),
      groupId: fc.nat(0xffff_ffff),
      index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 }),
      term: fc.maxSafeNat(),
      baseOffset: fc.nat(2 ** 30),
      recordCount: fc.integer({ min: 1, max: 1000 }),
      appendTimeMs: fc.maxSafeNat(),
      producer: fc.option(
        fc.record({
          id: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex')),
          epoch: fc.nat(0xffff_ffff),
          sequence: fc.maxSafeNat(),
        }),
        { nil: undefined },
      ),
      payload: fc.uint8Array({ maxLength: 400 }),
    });
    fc.assert(
      fc.property(entry, (drawn) => {
        const isBatch = drawn.kind === 'batch';
        const fields = {
          ...drawn,
          recordCount: isBatch ? drawn.recordCount : 0,
          payload: isBatch ? asBatch(drawn.payload) : drawn.payload,
        };
        const encoded = encodeEntry(fields, { high: 5, low: 6 });
        const [decoded] = decodeEntries(wire([encoded]), { high: 5, low: 6 });
        expect(decoded!.header).toEqual(encoded.header);
        expect(decoded!.header).toMatchObject({ index: fields.index, producer: fields.producer, term: fields.term });
        expect(Buffer.compare(decoded!.payload, fields.payload)).toBe(0);
        expect(entryBytes(encoded)).toBe(ENTRY_HEADER_BYTES + fields.payload.length);
      }),
    );
  });

  test('of a batch carry the checksum of the batch itself, and refuse one that is not its own', () => {
    const payload = asBatch(bytesOf('b', 90));
    const entry = encodeEntry({ ...plain, kind: 'batch', recordCount: 1, payload }, EMPTY_CHAIN);
    expect(entry.header.payloadChecksum).toBe(crc32c(payload.subarray(21)));
    expect(entry.payload).toBe(payload);
    // The leader patches base offset and epoch before it encodes: those bytes are the header checksum's.
    for (const at of [0, 7, 12, 20, 21, 60]) {
      const bytes = wire([entry]);
      bytes[ENTRY_HEADER_BYTES + at]! ^= 1;
      expect(codeOf(() => decodeEntries(bytes, EMPTY_CHAIN))).toBe('CORRUPT');
    }
  });

  test('back to back must follow each other in index, term, offset, time, group and chain', () => {
    const first = encodeEntry({ ...plain, appendTimeMs: 5, term: 2 }, EMPTY_CHAIN);
    const good = { ...plain, index: 2, term: 2, appendTimeMs: 5 };
    const bad: Partial<NewEntry>[] = [
      { index: 3 },
      { index: 1 },
      { term: 1 },
      { baseOffset: 1 },
      { appendTimeMs: 4 },
      { groupId: 2 },
    ];
    const pairWith = (change: Partial<NewEntry>) =>
      wire([first, encodeEntry({ ...good, ...change }, first.header.chain)]);
    expect(decodeEntries(pairWith({}), EMPTY_CHAIN)).toHaveLength(2);
    for (const change of bad) expect(codeOf(() => decodeEntries(pairWith(change), EMPTY_CHAIN))).toBe('CORRUPT');
    const unchained = wire([first, encodeEntry(good, EMPTY_CHAIN)]);
    expect(codeOf(() => decodeEntries(unchained, EMPTY_CHAIN))).toBe('CORRUPT');
    expect(codeOf(() => decodeEntries(wire([first]), { high: 1, low: 1 }))).toBe('CORRUPT');
    expect(decodeEntries(wire([first]), undefined)).toHaveLength(1);
  });

  test('of an unknown version, kind or flag are named, not guessed: only when their checksum is right', () => {
    const entry = encodeEntry(plain, EMPTY_CHAIN);
    for (const at of [8, 9, 10]) {
      const bytes = wire([entry]);
      bytes[at] = 9;
      expect(codeOf(() => decodeEntries(bytes, EMPTY_CHAIN))).toBe('CORRUPT');
      new DataView(bytes.buffer).setUint32(0, crc32c(bytes.subarray(4, ENTRY_HEADER_BYTES)), true);
      expect(codeOf(() => decodeEntries(bytes, EMPTY_CHAIN))).toBe('UNSUPPORTED');
    }
  });

  test('never make a reader allocate for a length that is not there', () => {
    const bytes = wire([encodeEntry(plain, EMPTY_CHAIN)]);
    const view = new DataView(bytes.buffer);
    for (const length of [0x7fff_ffff, 0xffff_ffff, 11]) {
      view.setUint32(4, length, true);
      view.setUint32(0, crc32c(bytes.subarray(4, ENTRY_HEADER_BYTES)), true);
      expect(codeOf(() => decodeEntries(bytes, EMPTY_CHAIN))).toBe('CORRUPT');
    }
  });

  test('of an unknown kind in a segment stop the log by name', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await openLog(disk);
    log.append(nextEntries(log, [{}]));
    await log.flush();
    await directory.close();
    const path = '/data/logs/0000000001/0000000000000001.segment';
    const file = await disk.open(path, 'write');
    const header = new Uint8Array(ENTRY_HEADER_BYTES);
    await file.read(4096 + 96, header);
    header[9] = 77;
    new DataView(header.buffer).setUint32(0, crc32c(header.subarray(4)), true);
    await file.write(4096 + 96, [header]);
    await expect(openLog(disk)).rejects.toMatchObject({ code: 'UNSUPPORTED', file: path, index: 1 });
  });
});

describe('term runs', () => {
  test('answer as a plain list of terms does, through appends, cuts and trims', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), raise: fc.nat(2), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant('cut' as const), back: fc.nat(8), count: fc.constant(0), raise: fc.constant(0) }),
      fc.record({ kind: fc.constant('trim' as const), back: fc.nat(8), count: fc.constant(0), raise: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const runs = new TermRuns({ term: 0, index: 0 });
        let base = { term: 0, index: 0 };
        let terms: number[] = [];
        for (const one of steps) {
          const last = base.index + terms.length;
          if (one.kind === 'add') {
            const term = (terms.at(-1) ?? base.term) + one.raise;
            for (let i = 0; i < one.count; i++) terms.push(term);
            runs.add(term, last + one.count);
          } else if (one.kind === 'cut') {
            const to = Math.max(base.index, last - one.back);
            terms = terms.slice(0, to - base.index);
            runs.cutAfter(to);
          } else {
            const to = Math.min(last, base.index + one.back);
            const term = to === base.index ? base.term : terms[to - base.index - 1]!;
            terms = terms.slice(to - base.index);
            base = { term, index: to };
            runs.trimTo(base);
          }
          expect(runs.last.index).toBe(base.index + terms.length);
          expect(runs.termAt(base.index)).toBe(base.term);
          for (const [i, term] of terms.entries()) expect(runs.termAt(base.index + 1 + i)).toBe(term);
          expect(runs.termAt(base.index - 1)).toBeUndefined();
          expect(runs.termAt(base.index + terms.length + 1)).toBeUndefined();
        }
      }),
    );
  });
});
