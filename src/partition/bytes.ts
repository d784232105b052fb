/**
 * Big-endian reading and writing for the small formats of this room: peer messages and snapshot state. Every read is
 * bounds-checked and every u53 is checked to be a safe integer; a breach throws MalformedBytes, which the edge that
 * received the bytes turns into a refusal.
 */
import assert from 'node:assert';

export class MalformedBytes extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'MalformedBytes';
  }
}

const HIGH = 0x1_0000_0000;

export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(capacity = 256) {
    // Out of Node's pool: a message is small and soon gone. Only what was written is ever handed out.
    this.#bytes = Buffer.allocUnsafe(capacity);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, capacity);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
  }

  u53(value: number): void {
    // Not assert.ok(): its text would be put together for each of the millions of numbers of a large snapshot.
    if (!Number.isSafeInteger(value) || value < 0) assert.fail(`not a safe unsigned integer: ${value}`);
    this.#reserve(8);
    this.#view.setUint32(this.#at, Math.floor(value / HIGH));
    this.#view.setUint32(this.#at + 4, value % HIGH);
    this.#at += 8;
  }

  /** `count` bytes given as twice as many hex digits. */
  hex(digits: string, count: number): void {
    assert.equal(digits.length, count * 2, 'length of a hex string');
    this.#reserve(count);
    const { buffer, byteOffset } = this.#bytes;
    const written = Buffer.from(buffer, byteOffset, this.#bytes.length).write(digits, this.#at, count, 'hex');
    if (written !== count) assert.fail(`not a hex string: ${digits}`);
    this.#at += count;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Length (u32), then the bytes. */
  blob(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  text(value: string): void {
    this.blob(Buffer.from(value, 'utf8'));
  }

  /** What was written; the writer is spent. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + count));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u53(): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at) * HIGH + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) throw new MalformedBytes('an integer is over 2^53 - 1');
    return value;
  }

  hex(count: number): string {
    const { buffer, byteOffset, length } = this.raw(count);
    return Buffer.from(buffer, byteOffset, length).toString('hex');
  }

  /** A view, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  blob(): Uint8Array {
    return this.raw(this.u32());
  }

  text(): string {
    return Buffer.from(this.blob()).toString('utf8');
  }

  /** Everything that is left, as a view. */
  rest(): Uint8Array {
    return this.raw(this.#bytes.length - this.#at);
  }

  expectEnd(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedBytes(`${this.#bytes.length - this.#at} bytes too many`);
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new MalformedBytes(`${at + count - this.#bytes.length} bytes missing`);
    this.#at = at + count;
    return at;
  }
}
