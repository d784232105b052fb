import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CommitWaiter, PendingEntries } from '../../src/partition/pending-entries.ts';
import type { LogEntry } from '../../storage/index.ts';
import { entries, entriesAfter, follow } from './support/entries.ts';

function waiter(told: string[], name: string): CommitWaiter {
  return { applied: () => told.push(`${name} applied`), lost: () => told.push(`${name} lost`) };
}

const A = 'aa'.repeat(16);
const B = 'bb'.repeat(16);

describe('entries that are not applied', () => {
  test('are taken out in order, with the payload of those whose effect needs it', () => {
    const pending = new PendingEntries();
    const payload = Buffer.from('{"v":1}');
    for (const entry of entries({ values: ['a'] }, { kind: 'control', payload })) pending.push(entry);
    expect(pending.shift().payload).toHaveLength(0);
    expect(pending.shift().payload).toEqual(payload);
    expect(pending.firstIndex).toBeUndefined();
  });

  test('must follow each other, and exist to be applied', () => {
    const pending = new PendingEntries();
    const [first, , third] = entries({}, {}, {});
    pending.push(first!);
    expect(() => pending.push(third!)).toThrow(/pendingContiguous/);
    pending.shift();
    expect(() => pending.shift()).toThrow(/never accepted/);
  });

  test('the newest one of a producer and epoch that begins below a sequence is found', () => {
    const pending = new PendingEntries();
    const rows = [
      { producer: { id: A, epoch: 1, sequence: 0 } },
      { producer: { id: B, epoch: 1, sequence: 0 } },
      { producer: { id: A, epoch: 1, sequence: 1 } },
      { kind: 'no-op' as const },
      { producer: { id: A, epoch: 2, sequence: 0 } },
    ];
    for (const entry of entries(...rows)) pending.push(entry);
    const find = (epoch: number, sequence: number): number | undefined =>
      pending.newestBelow({ id: A, epoch, sequence: 0 }, sequence)?.header.index;
    expect([find(1, 0), find(1, 1), find(1, 2), find(1, 9), find(2, 1), find(3, 9)]).toEqual([
      undefined,
      1,
      3,
      3,
      5,
      undefined,
    ]);
    pending.shift();
    expect(find(1, 1)).toBeUndefined();
  });
});

describe('those who wait', () => {
  test('for entries that are cut hear that they are lost, once, and nobody else does', () => {
    const pending = new PendingEntries();
    const told: string[] = [];
    for (const entry of entries({}, {}, {})) {
      pending.push(entry).waiters = [waiter(told, `${entry.header.index}`)];
    }
    pending.truncateSuffix(2);
    expect(told.sort()).toEqual(['2 lost', '3 lost']);
    pending.truncateSuffix(2);
    pending.loseWaiters();
    pending.loseWaiters();
    expect(told.sort()).toEqual(['1 lost', '2 lost', '3 lost']);
    expect(pending.shift().waiters).toBeUndefined();
  });
});

describe('against a plain list', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant('push' as const) },
    { weight: 3, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.record({ back: fc.integer({ min: 1, max: 8 }) }) },
  );

  test('every sequence of pushes, shifts and cuts gives the same entries', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pending = new PendingEntries();
        let applied = 0;
        let log: LogEntry[] = [];
        for (const one of steps) {
          if (one === 'push') {
            const [entry] = entriesAfter(follow(log.at(-1)), { kind: 'no-op' });
            log.push(entry!);
            pending.push(entry!);
          } else if (one === 'shift') {
            if (applied === log.length) continue;
            expect(pending.shift().header).toBe(log[applied]!.header);
            applied += 1;
          } else {
            const keep = Math.max(applied, log.length - one.back);
            pending.truncateSuffix(keep + 1);
            log = log.slice(0, keep);
          }
          expect([...pending.headers()]).toEqual(log.slice(applied).map(({ header }) => header));
          expect(log.map(({ header }) => pending.get(header.index)?.header)).toEqual(
            log.map(({ header }, at) => (at < applied ? undefined : header)),
          );
        }
      }),
      { numRuns: 150 },
    );
  });

  test('thousands of entries may pass through', () => {
    const pending = new PendingEntries();
    let last: LogEntry | undefined;
    for (let i = 1; i <= 3_000; i += 1) {
      [last] = entriesAfter(follow(last), { kind: 'no-op' });
      pending.push(last!);
      if (i > 10) expect(pending.shift().header.index).toBe(i - 10);
    }
    expect(pending.firstIndex).toBe(2_991);
  });
});
