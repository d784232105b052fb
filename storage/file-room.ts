/**
 * Room for frames at the end of the segment being written.
 *
 * A flush into bytes the file system has not given a block yet waits for its journal as well, with whatever else is in
 * it: a page of other programs' files that must go first made it take 100 ms where the same flush into written blocks
 * takes 0.1 (docs/performance.md). So zeros are written ahead of the frames, beside the flushes and off the way of
 * their acks. Logs with little in them are not worth it, nor are large frames, which make up for the journal by
 * themselves: there the file just grows, by ftruncate.
 *
 * Zeros mean nothing to recovery, written or not. Invariants: what is being filled lies behind every frame, one that is
 * being written included; it is never cut, sealed or closed while it is being filled.
 */
import type { File } from './disk.ts';
import { PAGE_BYTES } from './disk.ts';
import { isStorageError } from './errors.ts';
import type { ByteCount } from './types.ts';

/** Files grow in steps from this size, doubling, so that a flush seldom changes the file's size. */
const GROW_BYTES_MIN: ByteCount = 1024 * 1024;
const GROW_BYTES_MAX: ByteCount = 64 * 1024 * 1024;
/** As much is filled at once as there is data before it, within these. */
const FILL_BYTES_MIN: ByteCount = 32 * 1024;
const FILL_BYTES_MAX: ByteCount = 1024 * 1024;
/** Frames from this size on are written into whatever is there. */
const FRAME_BYTES_MAX: ByteCount = 128 * 1024;
/** Room for the frames that are written while the first zeros are. */
const GAP_BYTES: ByteCount = 64 * 1024;

/** Written as often as it takes; all of it stays one page of the kernel's, since nobody writes to it. */
const ZEROS: Uint8Array = new Uint8Array(FILL_BYTES_MAX);

interface Fill {
  readonly from: ByteCount;
  readonly to: ByteCount;
  /** Resolves when the disk has it; undefined while it waits for its turn and can be taken back. */
  done: Promise<void> | undefined;
}

export class FileRoom {
  readonly #file: File;
  /** Size of the file. */
  #bytes: ByteCount;
  #growBytes: ByteCount = GROW_BYTES_MIN;
  /** Where what was filled ends; at or below the data's end when nothing is left of it. */
  #filledEnd: ByteCount = 0;
  #fill: Fill | undefined;
  /** The disk had no room to spare: none is filled in this file any more. */
  #isGivenUp = false;
  /** A fill that failed for another reason: the next write of this file does as well (W4). */
  #failure: { readonly cause: unknown } | undefined;

  constructor(file: File, bytes: ByteCount) {
    this.#file = file;
    this.#bytes = bytes;
  }

  /** Size of the file. */
  get bytes(): ByteCount {
    return this.#bytes;
  }

  /** Resolves when a frame that ends at `end` may be written. */
  async reach(end: ByteCount): Promise<void> {
    if (this.#fill !== undefined && end > this.#fill.from) await this.settled();
    if (this.#failure !== undefined) throw this.#failure.cause;
    if (end <= this.#bytes) return;
    let bytes = this.#bytes;
    while (bytes < end) {
      bytes += this.#growBytes;
      this.#growBytes = Math.min(this.#growBytes * 2, GROW_BYTES_MAX);
    }
    await this.#file.setBytes(bytes);
    this.#bytes = bytes;
  }

  /**
   * Fills room behind `dataEnd`, when that is worth it and due. Called after each frame, of `frameBytes`.
   * @param run Runs the write beside flushes, when it may; it is not waited for.
   */
  fillAhead(
    at: { readonly dataEnd: ByteCount; readonly frameBytes: ByteCount; readonly endMax: ByteCount },
    run: (fill: () => Promise<void>) => Promise<void>,
  ): void {
    if (this.#fill !== undefined || this.#isGivenUp) return;
    const { dataEnd, frameBytes, endMax } = at;
    if (dataEnd < FILL_BYTES_MIN || frameBytes > FRAME_BYTES_MAX) return;
    const step = Math.min(dataEnd, FILL_BYTES_MAX);
    if (this.#filledEnd - dataEnd >= step / 2) return;
    const from = Math.max(this.#filledEnd, pageAfter(dataEnd + Math.min(step, GAP_BYTES)));
    const to = pageAfter(Math.min(from + step, endMax));
    if (to <= from) return;
    const fill: Fill = { from, to, done: undefined };
    this.#fill = fill;
    void run(async () => {
      if (this.#fill !== fill) return;
      fill.done = this.#write(fill);
      await fill.done;
    });
  }

  /** Never rejects: nobody waits for a fill that goes well. */
  async #write({ from, to }: Fill): Promise<void> {
    try {
      await this.#file.write(from, [ZEROS.subarray(0, to - from)]);
      this.#filledEnd = to;
      this.#bytes = Math.max(this.#bytes, to);
    } catch (cause) {
      await this.#failed(from, cause);
    }
    this.#fill = undefined;
  }

  /** What found no room to spare is given back: frames have more use for it. */
  async #failed(from: ByteCount, cause: unknown): Promise<void> {
    this.#isGivenUp = true;
    if (!isStorageError(cause, 'FULL')) {
      this.#failure = { cause };
      return;
    }
    try {
      await this.#file.setBytes(from);
      this.#bytes = from;
    } catch (cutCause) {
      // A file system that became read-only takes no cut either; the next frame finds that out by itself.
      if (!isStorageError(cutCause, 'FULL')) this.#failure = { cause: cutCause };
    }
  }

  /** Resolves when nothing is being filled: before the file is cut, sealed or closed. */
  async settled(): Promise<void> {
    const fill = this.#fill;
    if (fill === undefined) return;
    // One that still waits for its turn is taken back: whoever asks may hold the turn it waits for.
    if (fill.done === undefined) this.#fill = undefined;
    else await fill.done;
  }

  /** The file was cut to `bytes`. */
  cutTo(bytes: ByteCount): void {
    this.#bytes = bytes;
    this.#filledEnd = Math.min(this.#filledEnd, bytes);
    this.#growBytes = GROW_BYTES_MIN;
  }
}

function pageAfter(position: ByteCount): ByteCount {
  return Math.ceil(position / PAGE_BYTES) * PAGE_BYTES;
}
