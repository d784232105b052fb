/** What rot does to a file: a page of it with one bit changed, or gone, or as another one is. */
import type { Prng } from '../raft/support/prng.ts';

const PAGE = 4096;

/** Changes `bytes` in place, and returns them. */
export function spoil(bytes: Uint8Array, random: Prng): Uint8Array {
  const pages = Math.ceil(bytes.length / PAGE);
  const from = random.below(pages) * PAGE;
  const how = random.below(3);
  if (how === 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  else if (how === 1) bytes.fill(0, from, from + PAGE);
  else bytes.copyWithin(from, random.below(pages) * PAGE, random.below(pages) * PAGE + PAGE);
  return bytes;
}
