/**
 * Checksums of what goes to several peers: a batch leaves in a frame for each follower, and every frame has a checksum
 * of its own over all of it. A large chunk is looked at once; each frame then joins its sum with that of what lies
 * before it. A megabyte costs 0.1 to 0.5 ms of the leader's only thread to look at, and a microsecond to join.
 *
 * Chunks are frozen from the moment they are sent (TurnWriter.push), so a sum stays true. One that did not would make a
 * frame that its receiver refuses.
 */
import { type Crc32c, crc32cJoin } from '../protocol/index.ts';

/** Below this a look is cheaper than keeping a sum and joining it. */
const SHARED_BYTES_MIN = 16 * 1024;

/** A Crc32c with the same results that looks at a large chunk once, as long as somebody holds it. */
export function sharingCrc32c(crc32c: Crc32c): Crc32c {
  const sums = new WeakMap<Uint8Array, number>();
  return (bytes, seed = 0) => {
    if (bytes.byteLength < SHARED_BYTES_MIN) return crc32c(bytes, seed);
    let sum = sums.get(bytes);
    if (sum === undefined) {
      sum = crc32c(bytes);
      sums.set(bytes, sum);
    }
    return crc32cJoin(seed, sum, bytes.byteLength);
  };
}
