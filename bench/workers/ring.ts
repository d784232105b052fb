/**
 * Frames through memory that two threads share: one writes, one reads. What hand-over costs at least, without a
 * message: a copy in, a copy out, and a wake-up when the reader had nothing to do.
 *
 *   u32 written   u32 read   then bytes, each frame: u32 length, bytes;
 *   a frame never wraps: length 0xffffffff says that
 *                            the next one begins at the start
 *
 * Both counters only grow (modulo 2^32) and count bytes, those skipped at the end included.
 */
/** Part of ES2024; every Node that runs this has it. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(
    array: Int32Array,
    index: number,
    value: number,
  ): { readonly async: false } | { readonly async: true; readonly value: Promise<unknown> };
};

const COUNTERS = 2;
const WRITTEN = 0;
const READ = 1;
const WRAP = 0xffff_ffff;

export class Ring {
  readonly #counters: Int32Array<SharedArrayBuffer>;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;

  static shared(bytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * COUNTERS + bytes);
  }

  constructor(shared: SharedArrayBuffer) {
    this.#counters = new Int32Array(shared, 0, COUNTERS);
    this.#words = new Uint32Array(shared, 4 * COUNTERS);
    this.#bytes = new Uint8Array(shared, 4 * COUNTERS);
  }

  /** @throws when the reader is too far behind: the scenario keeps less in flight than fits. */
  push(frame: Uint8Array): void {
    const size = this.#bytes.length;
    let written = Atomics.load(this.#counters, WRITTEN) >>> 0;
    const used = (written - (Atomics.load(this.#counters, READ) >>> 0)) >>> 0;
    const needed = 4 + padded(frame.length);
    const left = size - (written % size);
    const skipped = left < needed ? left : 0;
    if (used + skipped + needed > size) throw new RangeError('the ring is full');
    if (skipped > 0) {
      this.#words[(written % size) / 4] = WRAP;
      written += skipped;
    }
    const at = written % size;
    this.#words[at / 4] = frame.length;
    this.#bytes.set(frame, at + 4);
    Atomics.store(this.#counters, WRITTEN, (written + needed) | 0);
    Atomics.notify(this.#counters, WRITTEN);
  }

  /** Calls back for each frame from here on, between other work of this thread. Each is a copy. */
  onFrame(receive: (frame: Uint8Array) => void): void {
    const look = (): void => {
      for (;;) {
        this.#drain(receive);
        const read = Atomics.load(this.#counters, READ);
        const wait = waitAsync(this.#counters, WRITTEN, read);
        if (!wait.async) continue;
        void wait.value.then(look);
        return;
      }
    };
    look();
  }

  #drain(receive: (frame: Uint8Array) => void): void {
    const size = this.#bytes.length;
    let read = Atomics.load(this.#counters, READ) >>> 0;
    while (read !== Atomics.load(this.#counters, WRITTEN) >>> 0) {
      const at = read % size;
      const length = this.#words[at / 4]!;
      if (length === WRAP) {
        read = (read + size - at) >>> 0;
        continue;
      }
      const frame = this.#bytes.slice(at + 4, at + 4 + length);
      read = (read + 4 + padded(length)) >>> 0;
      Atomics.store(this.#counters, READ, read | 0);
      receive(frame);
    }
  }
}

/** Lengths are read as whole words. */
function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}
