import { describe, expect, test } from 'vitest';
import { distributionOf, median, percentile } from '../../bench/statistics.ts';

describe('statistics of a bench', () => {
  test('a percentile is the smallest sample that the share does not exceed', () => {
    const ascending = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    expect([0, 0.1, 0.11, 0.5, 0.99, 1].map((p) => percentile(ascending, p))).toEqual([1, 1, 2, 5, 10, 10]);
  });

  test('the median of an even count lies between the middle two, and the order given does not matter', () => {
    expect(median([10, 1, 3, 2])).toBe(2.5);
    expect(median([30, 4, 100])).toBe(30);
  });

  test('no samples have no percentile and no median', () => {
    expect(() => percentile([], 0.5)).toThrow(/no samples/);
    expect(() => median([])).toThrow(/no samples/);
    expect(() => percentile([1], 1.5)).toThrow(/1.5/);
  });

  test('a distribution sorts by number, not by text', () => {
    const samples = Array.from({ length: 1_000 }, (_, at) => 1_000 - at);
    expect(distributionOf(samples)).toEqual({
      count: 1_000,
      min: 1,
      p50: 500,
      p90: 900,
      p99: 990,
      p999: 999,
      max: 1_000,
    });
  });
});
