import { describe, expect, test } from 'vitest';
import { History } from './history.ts';

/** Two writers: a1 and a2 acknowledged, a3 unknown; b1 acknowledged, b2 surely not done. */
function history(): History {
  const written = new History();
  for (const value of ['a1', 'a2', 'a3']) written.attempt('a', value);
  for (const value of ['b1', 'b2']) written.attempt('b', value);
  written.note('a1', { kind: 'acked', offset: 0 });
  written.note('b1', { kind: 'acked', offset: 1 });
  written.note('a2', { kind: 'acked', offset: 2 });
  written.note('b2', { kind: 'none' });
  return written;
}

const log = (...values: readonly string[]) => values.map((value, offset) => ({ offset, value }));

describe('History', () => {
  test('finds nothing wrong with a log that keeps the promises, unknown fates there or not', () => {
    expect(history().judge(log('a1', 'b1', 'a2'))).toEqual([]);
    expect(history().judge(log('a1', 'b1', 'a2', 'a3'))).toEqual([]);
  });

  test.each([
    ['a lost record', log('a1', 'b1'), 'a2, acknowledged at 2, is lost'],
    ['a duplicate', log('a1', 'b1', 'a2', 'a2'), 'a2 is there twice: at 2 and 3'],
    ['a duplicate of an unknown fate', log('a1', 'b1', 'a2', 'a3', 'a3'), 'a3 is there twice: at 3 and 4'],
    ['a moved record', log('b1', 'a1', 'a2'), 'a1, acknowledged at 0, is at 1'],
    ['a changed order', log('a1', 'b1', 'a3', 'a2'), 'a2 at 3 is out of order'],
    ['what was refused', log('a1', 'b1', 'a2', 'b2'), 'b2, surely not done, is at 3'],
    ['what nobody wrote', log('a1', 'b1', 'a2', 'x'), 'x at 3 was never written'],
    ['a hole', [...log('a1', 'b1', 'a2'), { offset: 4, value: 'a3' }], 'record 3 has offset 4'],
  ])('finds %s', (_, records, problem) => {
    expect(history().judge(records)).toContain(problem);
  });

  test('counts fates', () => {
    const written = history();
    expect([written.count('acked'), written.count('none'), written.count('unknown')]).toEqual([3, 1, 1]);
  });
});
