import { describe, expect, test } from 'vitest';
import { crc32cJoin, crc32cPortable } from '../../src/protocol/index.ts';
import { randomBelow, randomBytes, SEED } from './support/fuzz.ts';

const text = new TextEncoder();
// An optional dependency: absent where no binary was built for the platform.
const native = await import('@node-rs/crc32').then((module) => module.crc32c).catch(() => undefined);

describe('crc32cPortable', () => {
  // The check value of the polynomial, and the examples of RFC 3720 appendix B.4.
  test.each([
    ['nothing', new Uint8Array(0), 0],
    ['the check string', text.encode('123456789'), 0xe306_9283],
    ['32 zeros', new Uint8Array(32), 0x8a91_36aa],
    ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8_ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd_794e],
    ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113f_db5c],
  ])('knows the published checksum of %s', (_, bytes, expected) => {
    expect(crc32cPortable(bytes)).toBe(expected);
  });

  test('goes on from the checksum of the bytes before, wherever they are cut', () => {
    const bytes = randomBytes(randomBelow(SEED), 67);
    const whole = crc32cPortable(bytes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(crc32cPortable(bytes.subarray(cut), crc32cPortable(bytes.subarray(0, cut)))).toBe(whole);
    }
  });

  test.skipIf(native === undefined)('equals the native one at every length and alignment', () => {
    const below = randomBelow(SEED);
    const bytes = randomBytes(below, 4096);
    for (let length = 0; length < 200; length++) {
      const at = below(16);
      const part = bytes.subarray(at, at + length);
      expect(crc32cPortable(part)).toBe(native!(part));
    }
    for (let round = 0; round < 200; round++) {
      const start = below(bytes.length);
      const part = bytes.subarray(start, start + below(bytes.length - start));
      const seed = below(0x1_0000_0000);
      expect(crc32cPortable(part, seed)).toBe(native!(part, seed));
    }
  });
});

describe('crc32cJoin', () => {
  test('gives the checksum of two runs from those of each, wherever they are cut', () => {
    const below = randomBelow(SEED);
    for (const length of [0, 1, 2, 31, 64, 255, 256, 4097, 1 << 20]) {
      const bytes = randomBytes(below, length);
      const whole = crc32cPortable(bytes);
      for (const cut of [0, 1, length >> 1, length - 1, length, below(length + 1)].filter((at) => at >= 0)) {
        const [first, second] = [bytes.subarray(0, cut), bytes.subarray(cut)];
        expect(crc32cJoin(crc32cPortable(first), crc32cPortable(second), second.length)).toBe(whole);
      }
    }
  });

  test('of runs of gigabytes is that of their parts, joined one by one', () => {
    const zeros = crc32cPortable(new Uint8Array(1 << 20));
    let joined = zeros;
    let bytes = 1 << 20;
    // Doubled eleven times: 2 GiB of zeros behind a text.
    for (; bytes < 2 ** 31; bytes *= 2) joined = crc32cJoin(joined, joined, bytes);
    const text32 = crc32cPortable(text.encode('123456789'));
    const oneByOne = Array.from({ length: 2 ** 31 / (1 << 20) }).reduce<number>(
      (sum) => crc32cJoin(sum, zeros, 1 << 20),
      text32,
    );
    expect(crc32cJoin(text32, joined, bytes)).toBe(oneByOne);
  });
});
