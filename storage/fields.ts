/**
 * Fixed-width fields of our formats: little-endian throughout. A 64-bit field holds a safe integer (design decision 10)
 * and is read as undefined when it does not, so that no codec ever rounds a number silently.
 */
import assert from 'node:assert/strict';

const TWO_32 = 0x1_0000_0000;

export function putU64(view: DataView, at: number, value: number): void {
  // Not assert(): its text would be put together for each number of every entry.
  if (!(Number.isSafeInteger(value) && value >= 0)) assert.fail(`not a safe non-negative integer: ${value}`);
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

/** The number at `at`, or undefined above 2^53 - 1. */
export function getU64(view: DataView, at: number): number | undefined {
  const high = view.getUint32(at + 4, true);
  if (high > 0x1f_ffff) return undefined;
  return high * TWO_32 + view.getUint32(at, true);
}

/** Reads fields one after the other; throws RangeError past the end, which codecs of checksummed bytes never reach. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  u64(): number {
    const value = getU64(this.#view, this.#step(8));
    if (value === undefined) throw new RangeError('a 64-bit field above 2^53 - 1');
    return value;
  }

  bytes(count: number): Uint8Array {
    const at = this.#step(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** UTF-8 behind a u8 length. */
  text(): string {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.bytes(this.u8()));
  }

  #step(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new RangeError(`field of ${count} bytes past the end`);
    this.#at = at + count;
    return at;
  }
}

/**
 * Writes fields one after the other into a buffer that grows. For files written seldom; entries have their own path.
 */
export class FieldWriter {
  /** Out of Node's pool; finish() copies what was written, and nothing else is handed out. */
  #bytes: Uint8Array = Buffer.allocUnsafe(256);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, 256);
  #length = 0;

  u8(value: number): this {
    if (!(Number.isInteger(value) && value >= 0 && value <= 0xff)) assert.fail(`not a u8: ${value}`);
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u32(value: number): this {
    if (!(Number.isInteger(value) && value >= 0 && value < TWO_32)) assert.fail(`not a u32: ${value}`);
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u64(value: number): this {
    const at = this.#grow(8);
    putU64(this.#view, at, value);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  text(value: string): this {
    const encoded = new TextEncoder().encode(value);
    return this.u8(encoded.length).bytes(encoded);
  }

  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#bytes, 0, this.#length);
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      wider.set(this.#bytes);
      this.#bytes = wider;
      this.#view = new DataView(wider.buffer);
    }
    return at;
  }
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of a string of hex digits; asserts that it is one of exactly `byteCount` bytes. */
export function fromHex(hex: string, byteCount: number): Uint8Array {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length !== byteCount || hex.length !== byteCount * 2) assert.fail(`not ${byteCount} bytes of hex: ${hex}`);
  return bytes;
}
