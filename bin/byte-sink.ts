/**
 * Bytes on their way to stdout, in large writes and with backpressure: what is written is collected until the current
 * turn of the event loop ends or a chunk is full, and isFull says when to wait.
 *
 * A reader that goes away (EPIPE, as `| head` does) is success: it has seen what it wanted.
 */
import type { Writable } from 'node:stream';

const CHUNK_BYTES = 64 * 1024;

export class ByteSink {
  readonly #stream: Writable;
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;
  #isFlushDue = false;
  /** Settles when the stream took the last chunk handed to it. */
  #written: Promise<void> = Promise.resolve();
  #unwritten = 0;
  #isReaderGone = false;
  readonly #onGone: (error: Error | undefined) => void;

  /** @param onGone Called once: without an error when the reader closed its end, else with what went wrong. */
  constructor(stream: Writable, onGone: (error: Error | undefined) => void) {
    this.#stream = stream;
    this.#onGone = onGone;
    stream.on('error', (error: NodeJS.ErrnoException) => this.#becomeGone(error.code === 'EPIPE' ? undefined : error));
  }

  /** True once nobody reads any more; what is written then is dropped. */
  get isReaderGone(): boolean {
    return this.#isReaderGone;
  }

  /** True when more is waiting than one chunk: time to await flushed(). */
  get isFull(): boolean {
    return this.#unwritten > CHUNK_BYTES;
  }

  /** Takes `bytes`, which are frozen from here on. */
  write(bytes: Uint8Array): void {
    if (this.#isReaderGone) return;
    this.#pieces.push(bytes);
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes >= CHUNK_BYTES) this.#hand();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(() => {
        this.#isFlushDue = false;
        this.#hand();
      });
    }
  }

  writeText(text: string): void {
    this.write(Buffer.from(text));
  }

  /** Resolves when the reader has taken everything written so far, or is gone. */
  async flushed(): Promise<void> {
    this.#hand();
    await this.#written;
  }

  #hand(): void {
    if (this.#pieces.length === 0) return;
    const chunk = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#pieceBytes);
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#unwritten += chunk.length;
    this.#written = new Promise((resolve) => {
      this.#stream.write(chunk, () => {
        this.#unwritten -= chunk.length;
        resolve();
      });
    });
  }

  #becomeGone(error: Error | undefined): void {
    if (this.#isReaderGone) return;
    this.#isReaderGone = true;
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#onGone(error);
  }
}
