/**
 * A sliding view of a file for readers that go forward: bytes come in large reads, and what was read is examined in
 * place. Entries handed out are slices of a buffer that is never written again.
 */
import { type File, PAGE_BYTES } from './disk.ts';
import { isUnreadable } from './errors.ts';
import type { ByteCount } from './types.ts';

export const WINDOW_BYTES: number = 1024 * 1024;

export interface WindowOptions {
  /** Bytes of one read, unless more are asked for at once. */
  readonly windowBytes?: ByteCount;
  /**
   * Whether everything up to `end` was proven flushed. Then pages that the medium cannot give back read as FILLER,
   * which fails every check that bytes can fail, and so become damage like any other, with all that is sound around
   * them. Otherwise the error is the reader's: an unreadable page must not pass for a torn end, which is cut off.
   */
  readonly isProven: boolean;
}

/** No magic, length or version begins with it. */
const FILLER = 0xee;

export class FileWindow {
  readonly #file: Pick<File, 'read'>;
  /** Exclusive end of what may be read: the file is not looked at beyond it. */
  readonly end: ByteCount;
  #start = 0;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);

  readonly #windowBytes: ByteCount;
  readonly #isProven: boolean;

  constructor(file: Pick<File, 'read'>, end: ByteCount, { windowBytes = WINDOW_BYTES, isProven }: WindowOptions) {
    this.#file = file;
    this.end = end;
    this.#windowBytes = windowBytes;
    this.#isProven = isProven;
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
    const count = await this.#read(position, bytes);
    this.#start = position;
    this.bytes = new Uint8Array(bytes.buffer, 0, count);
    this.view = new DataView(bytes.buffer, 0, count);
  }

  async #read(position: ByteCount, into: Uint8Array): Promise<number> {
    try {
      return await this.#file.read(position, into);
    } catch (error) {
      if (!this.#isProven || !isUnreadable(error)) throw error;
      return this.#readByPage(position, into);
    }
  }

  /** A read fails whole for one bad sector: page by page the rest comes back. */
  async #readByPage(position: ByteCount, into: Uint8Array): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const at = position + done;
      const page = into.subarray(done, done + PAGE_BYTES - (at % PAGE_BYTES));
      try {
        const count = await this.#file.read(at, page);
        done += count;
        if (count < page.length) break;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        page.fill(FILLER);
        done += page.length;
      }
    }
    return done;
  }
}
