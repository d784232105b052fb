/**
 * Record values for benches: text of a given size that neither the SDK nor a later compression can do anything with.
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** As many values as asked, each of `bytes` bytes, the same at every run. */
export function makeValues(count: number, bytes: number): Uint8Array[] {
  let state = 0x2545f491;
  // xorshift32: any fixed sequence does; a random one would make runs differ.
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) & 63;
  };
  const codes = Buffer.from(ALPHABET);
  return Array.from({ length: count }, () => Uint8Array.from({ length: bytes }, () => codes[next()]!));
}
