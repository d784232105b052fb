/** What the fuzz tests share: a seeded source of bytes, and the one outcome damaged input may have. */
import { expect } from 'vitest';
import { LogError } from '../../../src/protocol/index.ts';

/** Printed by every failure; `FUZZ_SEED=n` tries another. */
export const SEED: number = Number(process.env.FUZZ_SEED ?? 20_251_121);

/** Uniform integers below `end`, the same for the same seed (mulberry32). */
export function randomBelow(seed: number): (end: number) => number {
  let state = seed >>> 0;
  return (end) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * end);
  };
}

export function randomBytes(below: (end: number) => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => below(256));
}

/** Every buffer that differs from this one in exactly one bit. */
export function* singleBitFlips(bytes: Uint8Array): Generator<{ flipped: Uint8Array; at: number }> {
  for (let at = 0; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = bytes.slice();
      flipped[at]! ^= 1 << bit;
      yield { flipped, at };
    }
  }
}

/** Runs a decoder on input of any kind: it returns, or it throws a LogError that nothing was done. */
export function decodes<T>(decode: () => T, about: string): T | LogError {
  try {
    return decode();
  } catch (error) {
    if (!LogError.is(error)) expect.fail(`${about} (seed ${SEED}) threw ${String(error)}`);
    if (error.outcome !== 'none') expect.fail(`${about} (seed ${SEED}) has outcome ${error.outcome}`);
    return error;
  }
}

/** Throws when something reached the prototype every object shares (rule S14). */
export function expectPrototypesUntouched(): void {
  expect(Reflect.ownKeys(Object.prototype)).toEqual(PROTOTYPE_KEYS);
  expect(Reflect.ownKeys(Array.prototype)).toEqual(ARRAY_KEYS);
}

const PROTOTYPE_KEYS = Reflect.ownKeys(Object.prototype);
const ARRAY_KEYS = Reflect.ownKeys(Array.prototype);
