import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/partition/bytes.ts';
import { PRODUCER_EXPIRY_MS, ProducerTable } from '../../src/partition/producer-table.ts';
import type { EntryHeader } from '../../storage/index.ts';
import { atOnce } from './support/state-bytes.ts';

const A = 'aa'.repeat(16);
const B = 'bb'.repeat(16);

interface Fields {
  readonly id?: string;
  readonly epoch?: number;
  readonly sequence: number;
  readonly recordCount?: number;
  readonly appendTimeMs?: number;
}

/** Headers as a leader would make them: indexes and offsets follow. */
function headers(...rows: readonly Fields[]): EntryHeader[] {
  let baseOffset = 0;
  return rows.map(({ id = A, epoch = 0, sequence, recordCount = 1, appendTimeMs = 1 }, at) => {
    const header: EntryHeader = {
      kind: 'batch',
      flags: 0,
      groupId: 1,
      index: at + 1,
      term: 1,
      baseOffset,
      recordCount,
      appendTimeMs,
      producer: { id, epoch, sequence },
      payloadBytes: 100,
      payloadChecksum: 0,
      chain: { high: 0, low: 0 },
    };
    baseOffset += recordCount;
    return header;
  });
}

function applied(...rows: readonly Fields[]): ProducerTable {
  const table = new ProducerTable();
  for (const header of headers(...rows)) {
    table.appended(header);
    table.applied(header);
  }
  return table;
}

function copyOf(table: ProducerTable): ProducerTable {
  const writer = new ByteWriter();
  atOnce(table.freeze().encode(writer));
  const copy = new ProducerTable();
  copy.adopt(atOnce(ProducerTable.decode(new ByteReader(writer.finish()))));
  return copy;
}

describe('judging a batch', () => {
  test.each([
    ['the first of a new producer', [], { sequence: 0 }, 'new'],
    ['a new producer that does not begin at 0', [], { sequence: 5 }, 'gap'],
    ['the next one', [{ sequence: 0, recordCount: 3 }], { sequence: 3 }, 'new'],
    ['the same one', [{ sequence: 0, recordCount: 3 }], { sequence: 0, recordCount: 3 }, 'duplicate'],
    ['the same sequence with another count', [{ sequence: 0, recordCount: 3 }], { sequence: 0, recordCount: 2 }, 'gap'],
    ['one too far ahead', [{ sequence: 0 }], { sequence: 2 }, 'gap'],
    ['a lower epoch', [{ sequence: 0, epoch: 2 }], { sequence: 1, epoch: 1 }, 'fenced'],
    ['a higher epoch from 0', [{ sequence: 0 }], { sequence: 0, epoch: 1 }, 'new'],
    ['a higher epoch not from 0', [{ sequence: 0 }], { sequence: 1, epoch: 1 }, 'gap'],
    [
      'one older than the window',
      [0, 1, 2, 3, 4, 5].map((sequence) => ({ sequence })),
      { sequence: 0 },
      'old-duplicate',
    ],
    ['the oldest in the window', [0, 1, 2, 3, 4, 5].map((sequence) => ({ sequence })), { sequence: 1 }, 'duplicate'],
  ] as const)('%s', (_, before, { sequence, ...rest }, kind) => {
    const { epoch = 0, recordCount = 1 } = rest as { epoch?: number; recordCount?: number };
    expect(applied(...before).check({ id: A, epoch, sequence }, recordCount).kind).toBe(kind);
  });

  test('a duplicate is answered with where it lies', () => {
    const verdict = applied({ sequence: 0, recordCount: 4 }, { sequence: 4, recordCount: 2 }).check(
      { id: A, epoch: 0, sequence: 4 },
      2,
    );
    expect(verdict).toMatchObject({ kind: 'duplicate', batch: { baseOffset: 4, index: 2 } });
  });
});

describe('the overlay', () => {
  test('sees what is in the log and not applied, and forgets what was cut', () => {
    const table = new ProducerTable();
    const [first, second] = headers({ sequence: 0 }, { sequence: 1 });
    table.appended(first!);
    table.appended(second!);
    expect(table.check({ id: A, epoch: 0, sequence: 1 }, 1).kind).toBe('duplicate');
    table.truncated([first!]);
    expect(table.check({ id: A, epoch: 0, sequence: 1 }, 1).kind).toBe('new');
    expect(table.check({ id: A, epoch: 0, sequence: 0 }, 1).kind).toBe('duplicate');
    table.truncated([]);
    expect(table.check({ id: A, epoch: 0, sequence: 0 }, 1).kind).toBe('new');
  });

  test('a higher epoch that was cut leaves the committed one in force', () => {
    const table = applied({ sequence: 0 });
    const raised = { ...headers({ sequence: 0, epoch: 1 })[0]!, index: 2, baseOffset: 1 };
    table.appended(raised);
    expect(table.check({ id: A, epoch: 0, sequence: 1 }, 1).kind).toBe('fenced');
    table.truncated([]);
    expect(table.check({ id: A, epoch: 0, sequence: 1 }, 1).kind).toBe('new');
  });
});

describe('replicated state', () => {
  test('a snapshot holds the same answers', () => {
    const table = applied(
      { sequence: 0 },
      { id: B, sequence: 0, recordCount: 7 },
      { sequence: 1, epoch: 0 },
      { id: B, sequence: 0, epoch: 3 },
    );
    const copy = copyOf(table);
    for (const [id, epoch, sequence, count] of [
      [A, 0, 0, 1],
      [A, 0, 1, 1],
      [A, 0, 2, 1],
      [B, 0, 7, 1],
      [B, 3, 1, 1],
      [B, 4, 0, 1],
    ] as const) {
      expect(copy.check({ id, epoch, sequence }, count)).toEqual(table.check({ id, epoch, sequence }, count));
    }
  });

  test('a producer that was silent too long, by append times, is forgotten on every replica alike', () => {
    const rows = [
      { id: A, sequence: 0, appendTimeMs: 1_000 },
      { id: B, sequence: 0, appendTimeMs: 1_001 + PRODUCER_EXPIRY_MS },
    ];
    const table = applied(...rows);
    expect(table.size).toBe(1);
    expect(table.check({ id: A, epoch: 0, sequence: 1 }, 1)).toEqual({ kind: 'gap', expected: 0 });
    expect(table.check({ id: B, epoch: 0, sequence: 1 }, 1).kind).toBe('new');
  });

  test('whatever is appended, the table after a snapshot in the middle is the table without one', () => {
    const row = fc.record({
      id: fc.constantFrom(A, B),
      epoch: fc.nat(2),
      sequence: fc.nat(6),
      recordCount: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), fc.nat(40), (rows, cut) => {
        let whole = new ProducerTable();
        let halves = new ProducerTable();
        let at = 0;
        for (const header of headers(...rows)) {
          if (at === cut) halves = copyOf(halves);
          at += 1;
          const verdict = whole.check(header.producer!, header.recordCount);
          expect(halves.check(header.producer!, header.recordCount)).toEqual(verdict);
          if (verdict.kind !== 'new') continue;
          for (const table of [whole, halves]) {
            table.appended(header);
            table.applied(header);
          }
        }
        whole = copyOf(whole);
        for (const id of [A, B])
          for (let sequence = 0; sequence < 12; sequence += 1) {
            expect(halves.check({ id, epoch: 1, sequence }, 1)).toEqual(whole.check({ id, epoch: 1, sequence }, 1));
          }
      }),
      { numRuns: 200, seed: 7 },
    );
  });
});
