import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CacheBudget, cachedBytes, TailCache } from '../../src/partition/tail-cache.ts';
import { entryBytes, type LogEntry } from '../../storage/index.ts';
import { entries, entriesAfter, follow } from './support/entries.ts';

function bytesOf(list: readonly LogEntry[]): number {
  return list.reduce((sum, entry) => sum + entryBytes(entry), 0);
}

/** What they count for in the budget. */
function costOf(list: readonly LogEntry[]): number {
  return list.reduce((sum, entry) => sum + cachedBytes(entry), 0);
}

const FIVE = entries(
  { values: ['a', 'b'] },
  { kind: 'no-op' },
  { values: ['c'] },
  { kind: 'control', payload: Buffer.from('{}') },
  { values: ['d', 'e', 'f'] },
);

function holding(list: readonly LogEntry[], bytesMax = 1_000_000): TailCache {
  const cache = new TailCache(new CacheBudget(bytesMax));
  cache.append(list);
  return cache;
}

describe('looking up', () => {
  test('an entry is found by its index, and nothing outside', () => {
    const cache = holding(FIVE);
    expect(FIVE.map(({ header }) => cache.get(header.index))).toEqual(FIVE);
    expect([cache.get(0), cache.get(6)]).toEqual([undefined, undefined]);
    expect(new TailCache(new CacheBudget(1)).get(1)).toBeUndefined();
  });

  test('the entry that holds an offset is found, whatever lies between', () => {
    const cache = holding(FIVE);
    expect([0, 1, 2, 3, 4, 5].map((offset) => cache.indexOfOffset(offset))).toEqual([1, 1, 3, 5, 5, 5]);
    expect(cache.indexOfOffset(6)).toBeUndefined();
  });

  test('a slice has at least one entry, ends at its last index and stays within its bytes', () => {
    const cache = holding(FIVE);
    expect(cache.slice(2, 5, 1)).toEqual([FIVE[1]]);
    expect(cache.slice(1, 3, 1_000_000)).toEqual(FIVE.slice(0, 3));
    expect(cache.slice(1, 5, bytesOf(FIVE.slice(0, 2)))).toEqual(FIVE.slice(0, 2));
    expect(cache.slice(1, 5, bytesOf(FIVE.slice(0, 2)) - 1)).toEqual(FIVE.slice(0, 1));
    expect(cache.slice(6, 6, 1_000_000)).toBeUndefined();
  });
});

describe('the budget', () => {
  test('what it is over, the log that was appended to longest ago gives up first, oldest entries first', () => {
    const budget = new CacheBudget(costOf(FIVE) + costOf(FIVE.slice(3)));
    const cold = new TailCache(budget);
    const warm = new TailCache(budget);
    cold.append(FIVE);
    warm.append(FIVE);
    expect(cold.firstIndex).toBe(4);
    expect(warm.firstIndex).toBe(1);
    expect(budget.bytes).toBeLessThanOrEqual(costOf(FIVE) + costOf(FIVE.slice(3)));
    // The other one is the colder now.
    cold.append(entriesAfter(follow(FIVE[4]), { values: ['g'] }));
    expect(warm.firstIndex).toBe(2);
  });

  test('more than all of it leaves nothing, and what comes then begins anew', () => {
    const budget = new CacheBudget(costOf(FIVE.slice(4)));
    const cache = new TailCache(budget);
    cache.append(FIVE.slice(0, 4));
    cache.append(FIVE.slice(4));
    expect(cache.firstIndex).toBe(5);
    expect(budget.bytes).toBe(costOf(FIVE.slice(4)));
  });

  test('a cleared cache counts for nothing', () => {
    const budget = new CacheBudget(1_000_000);
    const cache = new TailCache(budget);
    cache.append(FIVE);
    cache.clear();
    expect([budget.bytes, cache.firstIndex]).toEqual([0, undefined]);
  });
});

describe('against a plain list', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ do: fc.constant('cut' as const), back: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ do: fc.constant('drop' as const) }),
    fc.record({ do: fc.constant('clear' as const) }),
  );

  test('every sequence of appends, cuts and evictions gives the same answers', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const budget = new CacheBudget(1_000_000);
        const cache = new TailCache(budget);
        // The whole log, and how much of its front the cache has given up.
        let log: LogEntry[] = [];
        let gone = 0;
        for (const one of steps) {
          if (one.do === 'append') {
            const more = entriesAfter(follow(log.at(-1)), ...Array.from({ length: one.count }, () => ({})));
            log = [...log, ...more];
            cache.append(more);
          } else if (one.do === 'cut') {
            const keep = Math.max(0, log.length - one.back);
            log = log.slice(0, keep);
            cache.truncateSuffix(keep + 1);
            gone = Math.min(gone, keep);
            // With nothing left the cache begins anew wherever the next entry lies.
            if (gone === keep) gone = keep;
          } else if (one.do === 'drop') {
            if (cache.dropOldest()) gone += 1;
          } else {
            cache.clear();
            gone = log.length;
          }
          const expected = log.slice(gone);
          expect(log.map(({ header }) => cache.get(header.index))).toEqual(
            log.map((entry, at) => (at < gone ? undefined : entry)),
          );
          expect(cache.firstIndex).toBe(expected[0]?.header.index);
          expect(budget.bytes).toBe(costOf(expected));
          for (const { header } of expected) expect(cache.indexOfOffset(header.baseOffset)).toBe(header.index);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('thousands of entries may pass through', () => {
    const cache = holding([], 1_000_000);
    let last: LogEntry | undefined;
    for (let i = 0; i < 3_000; i += 1) {
      const [entry] = entriesAfter(follow(last), { kind: 'no-op' });
      cache.append([entry!]);
      if (i >= 10) cache.dropOldest();
      last = entry;
    }
    expect([cache.firstIndex, cache.get(3_000)]).toEqual([2_991, last]);
  });
});
