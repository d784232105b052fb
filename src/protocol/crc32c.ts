/**
 * CRC-32C (Castagnoli), slicing-by-8, in plain JavaScript: the checksum of record batches, the same in Node and in
 * browsers. Imports nothing. Servers may inject a native one of the same shape; results are equal bit for bit.
 *
 * Reflected polynomial 0x82f63b78, initial value and final xor 0xffffffff. crc32c('123456789') is 0xe3069283.
 */

/** @param seed The checksum of the bytes before these, to go on from. */
export type Crc32c = (bytes: Uint8Array, seed?: number) => number;

const POLYNOMIAL = 0x82f63b78;

// Eight tables of 256, end to end: table k advances a byte through k more zero bytes, and a turn takes eight bytes.
// One array, since a bundler makes its constants variables, and loading eight of those a turn costs a quarter.
const TABLES = buildTables();

function buildTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256]!;
    tables[at] = (before >>> 8) ^ tables[before & 0xff]!;
  }
  return tables;
}

/** Of x^0 and x^1 as remainders of the polynomial: bits are reflected, so the highest power is bit 0. */
const X0 = 0x8000_0000 | 0;
const X1 = 0x4000_0000;
/** A byte is 2^3 bits. */
const BYTE_POWER = 3;
const LENGTH_BITS_MAX = 32;

/** The remainder of x^(2^k) for each k: what 2^k more bits multiply the checksum before them by. */
const POWERS = buildPowers();

function buildPowers(): Int32Array {
  const powers = new Int32Array(BYTE_POWER + LENGTH_BITS_MAX);
  powers[0] = X1;
  for (let k = 1; k < powers.length; k++) powers[k] = multiply(powers[k - 1]!, powers[k - 1]!);
  return powers;
}

/** Two remainders multiplied, modulo the polynomial. */
function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let mask = X0; mask !== 0; mask >>>= 1) {
    if ((a & mask) !== 0) product ^= factor;
    factor = factor & 1 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product;
}

/**
 * The checksum of two runs of bytes, one behind the other, from the checksum of each: what crc32c(second, first) gives,
 * without another look at the bytes. About a microsecond, whatever the length.
 * @param secondBytes The length of the second run, below 2^32.
 */
export function crc32cJoin(first: number, second: number, secondBytes: number): number {
  let shift = X0;
  for (let rest = secondBytes, k = BYTE_POWER; rest > 0; rest = Math.floor(rest / 2), k++) {
    if (rest % 2 === 1) shift = multiply(POWERS[k]!, shift);
  }
  return (multiply(shift, first) ^ second) >>> 0;
}

/** Works everywhere; about 1.2 GB/s. */
export function crc32cPortable(bytes: Uint8Array, seed = 0): number {
  const tables = TABLES;
  let crc = ~seed;
  let at = 0;
  const end = bytes.length;
  for (const blocksEnd = end - 7; at < blocksEnd; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      tables[0x700 | (crc & 0xff)]! ^
      tables[0x600 | ((crc >>> 8) & 0xff)]! ^
      tables[0x500 | ((crc >>> 16) & 0xff)]! ^
      tables[0x400 | (crc >>> 24)]! ^
      tables[0x300 | bytes[at + 4]!]! ^
      tables[0x200 | bytes[at + 5]!]! ^
      tables[0x100 | bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = tables[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
