import { describe, expect, it } from 'vitest';
import { flushesAtOnce } from '../../src/server/node-env.ts';
import { realWorld } from './world.ts';

describe('the real source of chance', () => {
  it('draws numbers from 0 to below 1, none twice, also where one handful of bytes ends and the next begins', () => {
    const { random } = realWorld().env;
    // More than are drawn ahead at once, three times over.
    const drawn = Array.from({ length: 1_000 }, () => random.next());
    expect(drawn.every((number) => number >= 0 && number < 1)).toBe(true);
    expect(new Set(drawn).size).toBe(drawn.length);
    const mean = drawn.reduce((sum, number) => sum + number, 0) / drawn.length;
    // Ten standard deviations: only a draw that leaves bytes out or reads them twice is that far off.
    expect(Math.abs(mean - 0.5)).toBeLessThan(10 / Math.sqrt(12 * drawn.length));
  });

  it('gives two nodes different numbers', () => {
    expect(realWorld().env.random.next()).not.toBe(realWorld().env.random.next());
  });
});

describe('flushes at once', () => {
  it('leave threads of the pool free for reads, whatever its size (N3)', () => {
    expect(['1', '2', '4', '8', '12', '128'].map(flushesAtOnce)).toEqual([1, 1, 3, 6, 8, 8]);
    expect(flushesAtOnce('many')).toBe(flushesAtOnce('4'));
  });
});
