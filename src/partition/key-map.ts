/**
 * The latest offset of each key, for one round of compaction: a table of fixed size, whatever the keys are. Keys are
 * known by a 128-bit hash (MurmurHash3 x86_128): with 2^32 keys in one round the chance that any two meet is below
 * 2^-64. The hash is no secret and need not be: who can write a key that meets another one can as well write that one.
 *
 * Memory is 24 bytes a slot, three quarters of which may be used: 32 bytes a key.
 */
import assert from 'node:assert';

const SLOT_BYTES = 24;
const LOAD_MAX = 0.75;
/** Offsets are stored plus one: 0 marks a free slot. */
const FREE = 0;

export class KeyMap {
  /** Four words a slot. */
  readonly #hashes: Uint32Array;
  readonly #offsets: Float64Array;
  readonly #mask: number;
  readonly #sizeMax: number;
  #size = 0;

  /** @param bytesMax At least 1,536. The largest power of two of slots within it is used. */
  constructor(bytesMax: number) {
    const slots = 2 ** Math.floor(Math.log2(bytesMax / SLOT_BYTES));
    assert.ok(slots >= 64, `a key map of ${bytesMax} bytes`);
    this.#hashes = new Uint32Array(4 * slots);
    this.#offsets = new Float64Array(slots);
    this.#mask = slots - 1;
    this.#sizeMax = Math.floor(slots * LOAD_MAX);
  }

  get size(): number {
    return this.#size;
  }

  /** Whether any number of new keys up to `count` fits. */
  hasRoomFor(count: number): boolean {
    return this.#size + count <= this.#sizeMax;
  }

  /** Notes a record; the highest offset of a key counts. False when the key is new and the table is full. */
  put(key: Uint8Array, offset: number): boolean {
    const slot = this.#slotOf(key);
    if (this.#offsets[slot] === FREE) {
      if (this.#size >= this.#sizeMax) return false;
      this.#size += 1;
      this.#hashes.set(hash, 4 * slot);
    }
    if (offset + 1 > this.#offsets[slot]!) this.#offsets[slot] = offset + 1;
    return true;
  }

  /** The highest offset noted of a key. */
  latest(key: Uint8Array): number | undefined {
    const stored = this.#offsets[this.#slotOf(key)]!;
    return stored === FREE ? undefined : stored - 1;
  }

  clear(): void {
    this.#offsets.fill(FREE);
    this.#size = 0;
  }

  /** Where the key is, or would go. */
  #slotOf(key: Uint8Array): number {
    hash128(key);
    const hashes = this.#hashes;
    for (let slot = hash[0]! & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = 4 * slot;
      if (this.#offsets[slot] === FREE) return slot;
      const isSame =
        hashes[at] === hash[0] &&
        hashes[at + 1] === hash[1] &&
        hashes[at + 2] === hash[2] &&
        hashes[at + 3] === hash[3];
      if (isSame) return slot;
    }
  }
}

/** The result of the last hash128(): calls are synchronous and never overlap. */
const hash = new Uint32Array(4);
const tail = new Uint8Array(16);
const tailView = new DataView(tail.buffer);
const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** MurmurHash3 x86_128 with seed 0, into `hash`. */
export function hash128(key: Uint8Array): Uint32Array {
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  const view = new DataView(key.buffer, key.byteOffset, key.length);
  const blocksEnd = key.length & ~15;
  for (let at = 0; at < blocksEnd; at += 16) {
    h1 ^= scrambled(view.getUint32(at, true), C1, 15, C2);
    h1 = (Math.imul((rotated(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= scrambled(view.getUint32(at + 4, true), C2, 16, C3);
    h2 = (Math.imul((rotated(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= scrambled(view.getUint32(at + 8, true), C3, 17, C4);
    h3 = (Math.imul((rotated(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= scrambled(view.getUint32(at + 12, true), C4, 18, C1);
    h4 = (Math.imul((rotated(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  if (blocksEnd < key.length) {
    tail.fill(0);
    tail.set(key.subarray(blocksEnd));
    // A word of zeros scrambles to zero: words the key does not reach change nothing, as in the reference.
    h1 ^= scrambled(tailView.getUint32(0, true), C1, 15, C2);
    h2 ^= scrambled(tailView.getUint32(4, true), C2, 16, C3);
    h3 ^= scrambled(tailView.getUint32(8, true), C3, 17, C4);
    h4 ^= scrambled(tailView.getUint32(12, true), C4, 18, C1);
  }
  h1 ^= key.length;
  h2 ^= key.length;
  h3 ^= key.length;
  h4 ^= key.length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = mixed(h1);
  h2 = mixed(h2);
  h3 = mixed(h3);
  h4 = mixed(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  hash[0] = h1;
  hash[1] = h2 + h1;
  hash[2] = h3 + h1;
  hash[3] = h4 + h1;
  return hash;
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function scrambled(word: number, first: number, bits: number, second: number): number {
  return Math.imul(rotated(Math.imul(word, first), bits), second);
}

function mixed(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
