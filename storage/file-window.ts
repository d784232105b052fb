/**
 * A sliding view of a file for readers that go forward: bytes come in large reads, and what was read is examined in
 * place. Entries handed out are slices of a buffer that is never written again.
 */
import type { File } from './disk.ts';
import type { ByteCount } from './types.ts';

export const WINDOW_BYTES: number = 1024 * 1024;

export class FileWindow {
  readonly #file: File;
  /** Exclusive end of what may be read: the file is not looked at beyond it. */
  readonly end: ByteCount;
  #start = 0;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);

  readonly #windowBytes: ByteCount;

  constructor(file: File, end: ByteCount, windowBytes: ByteCount = WINDOW_BYTES) {
    this.#file = file;
    this.end = end;
    this.#windowBytes = windowBytes;
  }

  /** Offset of `position` within `bytes`. */
  at(position: ByteCount): number {
    return position - this.#start;
  }

  /** Whether [position, position + length), or what the end leaves of it, is at hand. Spares an await per entry. */
  has(position: ByteCount, length: ByteCount): boolean {
    const to = Math.min(position + length, this.end);
    return position >= this.#start && to <= this.#start + this.bytes.length;
  }

  /** Makes [position, position + length) available, as far as the end allows. */
  async load(position: ByteCount, length: ByteCount): Promise<void> {
    if (this.has(position, length)) return;
    const wanted = Math.min(Math.max(length, this.#windowBytes), Math.max(0, this.end - position));
    // Unpooled, and cut to what was read: no old memory shows (N8).
    const bytes = Buffer.allocUnsafeSlow(wanted);
    const count = await this.#file.read(position, bytes);
    this.#start = position;
    this.bytes = new Uint8Array(bytes.buffer, 0, count);
    this.view = new DataView(bytes.buffer, 0, count);
  }
}
