import { describe, expect, test } from 'vitest';
import { EMPTY_CHAIN } from '../../storage/index.ts';
import type { LogPoint } from '../../storage/log-point.ts';
import { TailPoints } from '../../storage/tail-points.ts';

const point = (index: number): LogPoint => ({
  index,
  term: 1,
  nextOffset: index,
  appendTimeMs: 0,
  chain: EMPTY_CHAIN,
});

/** Points 3, then 7 and 8: damage hides what lies between. */
function withHole(): TailPoints {
  const points = new TailPoints(point(3));
  points.push(point(7));
  points.push(point(8));
  return points;
}

describe('tail points', () => {
  test('cannot be cut at a point that damage hides', () => {
    expect(() => withHole().cutAfter(5)).toThrow('no point known at 5; known are 3 to 8');
  });

  test('can be cut behind an entry that was put back in its place', () => {
    const points = withHole();
    for (const index of [4, 5]) points.insert(point(index));
    expect([4, 5, 6, 7].map((index) => points.at(index)?.index)).toEqual([4, 5, undefined, 7]);
    expect(points.cutAfter(5)).toEqual(point(5));
    expect([points.last.index, points.at(7)]).toEqual([5, undefined]);
  });

  test('take nothing twice, and nothing below what is remembered', () => {
    const points = withHole();
    for (const index of [2, 3, 7]) points.insert(point(index));
    expect([2, 3, 7, 8].map((index) => points.at(index)?.index)).toEqual([undefined, 3, 7, 8]);
    points.forgetBelow(7);
    points.insert(point(6));
    expect([points.first.index, points.at(6)]).toEqual([7, undefined]);
  });
});
