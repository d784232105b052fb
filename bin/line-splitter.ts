/**
 * Cuts a stream of bytes into lines, on \n alone: \r, \0 and bytes that are no text are data like any other. An empty
 * line is a line; a last line without \n is one too; nothing after the last \n is none.
 *
 * Memory is bounded by one line: a line over the limit is counted to its end and reported, never kept.
 */

const LINE_FEED = 0x0a;

export interface LineSink {
  /**
   * One line without its \n. `line` is borrowed: a view that is only valid during the call.
   * @param lineNumber Counts from 1.
   */
  onLine(line: Uint8Array, lineNumber: number): void;
  /** A line that was over the limit: nothing of it is kept. Called at its end, with its whole size. */
  onOversized(lineNumber: number, bytes: number): void;
}

export class LineSplitter {
  readonly #sink: LineSink;
  readonly #lineBytesMax: number;
  /** Beginning of the line that the last chunk left unfinished, in pieces; copies, since chunks are borrowed. */
  #pieces: Buffer[] = [];
  /** Bytes of the unfinished line so far, those not kept included. */
  #pendingBytes = 0;
  #lineNumber = 1;

  constructor(sink: LineSink, options: { readonly lineBytesMax: number }) {
    this.#sink = sink;
    this.#lineBytesMax = options.lineBytesMax;
  }

  /** Takes the next bytes of the stream; `chunk` is borrowed. */
  push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      if (this.#pendingBytes === 0) this.#emit(chunk, start, end);
      else this.#emitPending(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** The stream ended: what is left is the last line. */
  end(): void {
    if (this.#pendingBytes > 0) this.#emitPending(Buffer.alloc(0));
  }

  #emit(chunk: Buffer, start: number, end: number): void {
    const lineNumber = this.#lineNumber++;
    if (end - start > this.#lineBytesMax) this.#sink.onOversized(lineNumber, end - start);
    else this.#sink.onLine(chunk.subarray(start, end), lineNumber);
  }

  #emitPending(rest: Buffer): void {
    const bytes = this.#pendingBytes + rest.length;
    const lineNumber = this.#lineNumber++;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#pendingBytes = 0;
    if (bytes > this.#lineBytesMax) this.#sink.onOversized(lineNumber, bytes);
    else this.#sink.onLine(Buffer.concat([...pieces, rest], bytes), lineNumber);
  }

  #keep(piece: Buffer): void {
    this.#pendingBytes += piece.length;
    if (this.#pendingBytes > this.#lineBytesMax) this.#pieces = [];
    else this.#pieces.push(Buffer.from(piece));
  }
}
