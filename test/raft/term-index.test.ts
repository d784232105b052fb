import { describe, expect, test } from 'vitest';
import { TermIndex } from '../../src/raft/term-index.ts';
import { at } from './support/solo.ts';

/** log([1, 1, 2]) holds 1@1, 2@1 and 3@2; with a base of 3@1, it holds 4@1, 5@1 and 6@2. */
function log(terms: readonly number[], base = at(0, 0)): TermIndex {
  const index = new TermIndex(base, []);
  terms.forEach((term, i) => {
    index.append(term, base.index + i + 1);
  });
  return index;
}

function termsOf(index: TermIndex): number[] {
  const terms: number[] = [];
  for (let i = index.base.index + 1; i <= index.lastIndex; i += 1) terms.push(index.termAt(i)!);
  return terms;
}

describe('the log as runs of terms', () => {
  test('keeps one run per term, however many entries', () => {
    const index = log([1, 1, 1, 3, 3]);
    expect(index.runs()).toEqual([
      { term: 1, lastIndex: 3 },
      { term: 3, lastIndex: 5 },
    ]);
    expect(index.last).toEqual(at(5, 3));
  });

  test('is the same when built from its own runs', () => {
    const index = log([2, 2, 5], at(7, 2));
    expect(termsOf(new TermIndex(at(7, 2), index.runs()))).toEqual([2, 2, 5]);
  });

  test('knows the term of its base and of no entry outside', () => {
    const index = log([2, 3], at(4, 1));
    expect([3, 4, 5, 6, 7].map((i) => index.termAt(i))).toEqual([undefined, 1, 2, 3, undefined]);
  });

  test('refuses a term below the last one, and an append that does not extend it', () => {
    expect(() => log([3, 2])).toThrow('append of term 2 after term 3');
    expect(() => log([1, 1]).append(1, 2)).toThrow('does not extend');
  });

  test.each([
    { name: 'inside a run', from: 2, left: [1] },
    { name: 'at the start of a run', from: 4, left: [1, 1, 1] },
    { name: 'at the first entry', from: 1, left: [] },
    { name: 'past the end', from: 9, left: [1, 1, 1, 2, 5] },
  ])('truncates $name', ({ from, left }) => {
    const index = log([1, 1, 1, 2, 5]);
    index.truncateFrom(from);
    expect(termsOf(index)).toEqual(left);
    expect(index.lastTerm).toBe(left.at(-1) ?? 0);
    index.append(7, index.lastIndex + 1);
    expect(termsOf(index)).toEqual([...left, 7]);
  });

  test('falls back to the term of its base when truncated to nothing', () => {
    const index = log([4, 4], at(6, 3));
    index.truncateFrom(7);
    expect(index.last).toEqual(at(6, 3));
    expect(() => index.truncateFrom(6)).toThrow('would cut the base');
  });

  test.each([
    { name: 'inside a run', base: at(2, 1), left: [1, 2, 5] },
    { name: 'at the end of a run', base: at(3, 1), left: [2, 5] },
    { name: 'at the end of the log', base: at(5, 5), left: [] },
  ])('trims $name', ({ base, left }) => {
    const index = log([1, 1, 1, 2, 5]);
    index.trimTo(base);
    expect(index.base).toEqual(base);
    expect(termsOf(index)).toEqual(left);
    expect(index.last).toEqual(at(5, 5));
  });

  test('does not trim what is trimmed already, nor to an entry it does not hold', () => {
    const index = log([2, 2], at(4, 1));
    index.trimTo(at(3, 1));
    expect(index.base).toEqual(at(4, 1));
    expect(() => index.trimTo(at(5, 9))).toThrow('not an entry of this log');
  });

  test.each([
    { name: 'the entry itself', index: 5, term: 4, found: at(5, 4) },
    { name: 'a lower term skips whole runs', index: 8, term: 3, found: at(3, 1) },
    { name: 'an index past the end starts at the end', index: 99, term: 9, found: at(8, 6) },
    { name: 'a term between two runs', index: 7, term: 5, found: at(5, 4) },
    { name: 'nothing but the base', index: 2, term: 0, found: at(0, 0) },
  ])('finds the last entry at or below an index and a term: $name', ({ index, term, found }) => {
    expect(log([1, 1, 1, 4, 4, 6, 6, 6]).lastAtOrBelow(index, term)).toEqual(found);
  });

  test('finds nothing below its base', () => {
    const index = log([4, 4], at(6, 3));
    expect(index.lastAtOrBelow(5, 9)).toBeUndefined();
    expect(index.lastAtOrBelow(7, 2)).toBeUndefined();
    expect(index.lastAtOrBelow(7, 3)).toEqual(at(6, 3));
  });

  test('answers questions about any run of many', () => {
    const terms = Array.from({ length: 200 }, (_, i) => 1 + Math.floor(i / 3));
    const index = log(terms);
    expect(termsOf(index)).toEqual(terms);
  });
});
