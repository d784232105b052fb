import { describe, expect, it } from 'vitest';
import { flushesAtOnce } from '../../src/server/node-env.ts';
import { realWorld } from './support/world.ts';

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

describe('the end of a turn', () => {
  const { timers } = realWorld().env;

  it('comes once for all that was asked for, in order, and again at once for what that asks for', async () => {
    const calls: string[] = [];
    timers.soon(() => {
      calls.push('append 1');
      setImmediate(() => calls.push('the next turn'));
      timers.soon(() => calls.push('send both'));
    });
    timers.soon(() => calls.push('append 2'));
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(calls.slice(0, 3)).toEqual(['append 1', 'append 2', 'send both']);
  });

  it('lets others have a turn when it is asked for over and over', async () => {
    let isOver = false;
    let calls = 0;
    const again = (): void => {
      calls++;
      if (!isOver) timers.soon(again);
    };
    timers.soon(again);
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
    isOver = true;
    expect(calls).toBeGreaterThan(0);
  });

  it('is cut short by nobody: a call that throws leaves the others theirs', async () => {
    const errors: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => errors.push(error));
    const calls: string[] = [];
    timers.soon(() => calls.push('first'));
    timers.soon(() => {
      throw new Error('broken');
    });
    timers.soon(() => calls.push('last'));
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(calls).toEqual(['first', 'last']);
    expect(errors).toMatchObject([{ message: 'broken' }]);
  });
});

describe('flushes at once', () => {
  it('leave threads of the pool free for reads, whatever its size (N3)', () => {
    expect(['1', '2', '4', '8', '12', '128'].map(flushesAtOnce)).toEqual([1, 1, 3, 6, 8, 8]);
    expect(flushesAtOnce('many')).toBe(flushesAtOnce('4'));
  });
});
