import { describe, expect, test } from 'vitest';
import { hash128, KeyMap } from '../../src/partition/key-map.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('the hash of a key', () => {
  test.each([
    ['', '00000000000000000000000000000000'],
    ['The quick brown fox jumps over the lazy dog', '2f1583c3ecee2c675d7bf66ce5e91d2c'],
  ])('of %j is that of MurmurHash3 x86_128', (text, expected) => {
    const words = [...hash128(bytes(text))].map((word) => word.toString(16).padStart(8, '0'));
    expect(words.join('')).toBe(expected);
  });

  test('differs for keys that differ in a byte, in length, or in trailing zeros alone', () => {
    const seen = new Set<string>();
    for (let length = 0; length < 40; length++) {
      for (let at = 0; at <= length; at++) {
        const key = new Uint8Array(length);
        if (at < length) key[at] = 1;
        seen.add([...hash128(key)].join());
      }
    }
    expect(seen.size).toBe((40 * 41) / 2);
  });
});

describe('the table of keys', () => {
  test('knows the highest offset of each key, like a Map, whatever order they come in', () => {
    const map = new KeyMap(24 * 4_096);
    const model = new Map<string, number>();
    for (let i = 0; map.hasRoomFor(1); i++) {
      const text = `key ${(i * 7_919) % 5_000}`;
      const offset = (i * 104_729) % 100_003;
      expect(map.put(bytes(text), offset)).toBe(true);
      model.set(text, Math.max(model.get(text) ?? 0, offset));
    }
    expect(map.size).toBe(model.size);
    expect(model.size).toBe(3_072);
    for (const [text, offset] of model) expect(map.latest(bytes(text))).toBe(offset);
    expect(map.latest(bytes('another'))).toBeUndefined();
    expect(map.put(bytes('another'), 1)).toBe(false);
    expect(map.put(bytes('key 0'), 200_000)).toBe(true);
    expect(map.latest(bytes('key 0'))).toBe(200_000);
    map.clear();
    expect([map.size, map.latest(bytes('key 0'))]).toEqual([0, undefined]);
  });

  test('keeps offset 0 apart from no offset, and offsets up to 2^53 - 2', () => {
    const map = new KeyMap(2_048);
    map.put(bytes('a'), 0);
    map.put(bytes('b'), Number.MAX_SAFE_INTEGER - 1);
    expect([map.latest(bytes('a')), map.latest(bytes('b'))]).toEqual([0, Number.MAX_SAFE_INTEGER - 1]);
  });
});
