import { describe, expect, test } from 'vitest';
import { guarded, Nondeterminism } from './world/guard.ts';

describe('the determinism guard', () => {
  test.each([
    ['a timer', () => setTimeout(() => undefined, 1)],
    ['the next turn', () => setImmediate(() => undefined)],
    ['the next tick', () => process.nextTick(() => undefined)],
    ['the clock', () => Date.now()],
    ['the monotonic clock', () => performance.now()],
    ['dice', () => Math.random()],
    ['random bytes', () => crypto.getRandomValues(new Uint8Array(1))],
    ['a deadline', () => AbortSignal.timeout(1)],
    ['a thread of Web Crypto', () => crypto.subtle.digest('SHA-256', new Uint8Array(1))],
  ])('refuses %s', (_what, reach) => {
    expect(() => guarded(reach)).toThrow(Nondeterminism);
  });

  test('gives everything back afterwards, whatever happened', () => {
    expect(() =>
      guarded(() => {
        throw new Error('ended early');
      }),
    ).toThrow('ended early');
    expect(Date.now()).toBeGreaterThan(0);
    expect(Math.random()).toBeLessThan(1);
    expect(crypto.getRandomValues(new Uint8Array(4))).toHaveLength(4);
  });
});
