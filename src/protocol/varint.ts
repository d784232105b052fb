/**
 * Zigzag varints, the numbers inside record batches: 7 bits a byte, low bits first, the sign in the lowest bit.
 * They hold every safe integer, in plain numbers: the first byte carries the sign and 6 bits of the magnitude, so that
 * doubling, which would leave the safe range, is never done as arithmetic.
 */

const INT31_MAX = 0x3fff_ffff;

/** Bytes of the encoding: 1 to 8 for safe integers. */
export function zigzagBytes(value: number): number {
  let rest = value < 0 ? -value - 1 : value;
  if (rest <= INT31_MAX) return rest < 0x40 ? 1 : rest < 0x2000 ? 2 : rest < 0x10_0000 ? 3 : rest < 0x800_0000 ? 4 : 5;
  let bytes = 1;
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Writes a safe integer; the caller has made room. @returns The position after it. */
export function writeZigzag(target: Uint8Array, at: number, value: number): number {
  const magnitude = value < 0 ? -value - 1 : value;
  const sign = value < 0 ? 1 : 0;
  let next = at;
  if (magnitude <= INT31_MAX) {
    let rest = (magnitude << 1) | sign;
    while (rest > 0x7f) {
      target[next++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    target[next++] = rest;
    return next;
  }
  target[next++] = ((magnitude % 64) << 1) | sign | 0x80;
  let rest = Math.floor(magnitude / 64);
  while (rest > 0x7f) {
    target[next++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  target[next++] = rest;
  return next;
}
