import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeZigzag, zigzagBytes } from '../../src/protocol/varint.ts';
import { SEED } from './support/fuzz.ts';

/** The textbook way, in arbitrary precision. */
function reference(value: number): number[] {
  const wide = BigInt(value);
  let rest = wide < 0n ? -wide * 2n - 1n : wide * 2n;
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

function encode(value: number): number[] {
  const target = new Uint8Array(12).fill(0xee);
  const end = writeZigzag(target, 1, value);
  expect(target[0]).toBe(0xee);
  expect(target[end]).toBe(0xee);
  return [...target.subarray(1, end)];
}

describe('zigzag varints', () => {
  test('equal the textbook encoding at every power of two and around it', () => {
    for (let bits = 0; bits <= 53; bits++) {
      for (const near of [-2, -1, 0, 1, 2]) {
        for (const value of [2 ** bits + near, -(2 ** bits) + near]) {
          if (!Number.isSafeInteger(value)) continue;
          expect(encode(value), String(value)).toEqual(reference(value));
          expect(zigzagBytes(value), String(value)).toBe(reference(value).length);
        }
      }
    }
  });

  test('equal the textbook encoding for any safe integer', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(encode(value)).toEqual(reference(value));
        expect(zigzagBytes(value)).toBe(reference(value).length);
      }),
      { seed: SEED, numRuns: 5_000 },
    );
  });
});
