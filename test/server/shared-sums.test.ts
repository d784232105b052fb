import { describe, expect, test } from 'vitest';
import { crc32cPortable } from '../../src/protocol/index.ts';
import { encodePeerHead } from '../../src/server/peer-frame.ts';
import { sharingCrc32c } from '../../src/server/shared-sums.ts';

const LARGE_BYTES = 100_000;

/** A Crc32c that counts the bytes it looks at. */
function counting(): { crc32c: (bytes: Uint8Array, seed?: number) => number; looked: () => number } {
  let looked = 0;
  const crc32c = (bytes: Uint8Array, seed?: number): number => {
    looked += bytes.byteLength;
    return crc32cPortable(bytes, seed);
  };
  return { crc32c, looked: () => looked };
}

describe('sharingCrc32c', () => {
  test('makes the same heads as the plain one, for frames of small and large chunks', () => {
    const body = [
      new Uint8Array(96).fill(1),
      new Uint8Array(LARGE_BYTES).fill(2),
      new Uint8Array(0),
      Buffer.from('end'),
    ];
    const shared = sharingCrc32c(crc32cPortable);
    for (const sequence of [0, 1, 7]) {
      expect(encodePeerHead('batch', sequence, body, shared)).toEqual(
        encodePeerHead('batch', sequence, body, crc32cPortable),
      );
    }
  });

  test('looks at each byte of a batch once, however many peers it goes to', () => {
    const batch = new Uint8Array(LARGE_BYTES).fill(3);
    const { crc32c, looked } = counting();
    const shared = sharingCrc32c(crc32c);
    for (let peer = 0; peer < 4; peer++) encodePeerHead('batch', peer, [new Uint8Array(50), batch], shared);
    const headsBytes = 4 * (50 + 100);
    expect(looked()).toBeGreaterThanOrEqual(LARGE_BYTES);
    expect(looked()).toBeLessThan(LARGE_BYTES + headsBytes);
  });
});
