/**
 * Who waits for the high watermark to pass an offset. Woken when entries are applied, which is after commit, never by
 * a local append (L1, L2). Each wake-up is one call a waiter; waiters that want later offsets stay.
 */
import type { Offset } from '../../storage/index.ts';

export interface FeedWaiter {
  /** Stops waiting; harmless after it was woken. */
  cancel(): void;
}

/** Why a waiter was woken: there is something to read, or there never will be here. */
export type WakeReason = 'advanced' | 'closed';

interface Waiting {
  /** Woken when the high watermark is above this. */
  readonly offset: Offset;
  readonly wake: (reason: WakeReason) => void;
}

export class CommitFeed {
  readonly #waiting = new Set<Waiting>();
  #isClosed = false;

  get waiters(): number {
    return this.#waiting.size;
  }

  /** Calls `wake` once, when the high watermark is above `offset`. The caller checked that it is not yet. */
  watch(offset: Offset, wake: (reason: WakeReason) => void): FeedWaiter {
    if (this.#isClosed) {
      wake('closed');
      return { cancel: () => undefined };
    }
    const waiting: Waiting = { offset, wake };
    this.#waiting.add(waiting);
    return { cancel: () => this.#waiting.delete(waiting) };
  }

  advanced(highWatermark: Offset): void {
    for (const waiting of this.#waiting) {
      if (highWatermark <= waiting.offset) continue;
      this.#waiting.delete(waiting);
      waiting.wake('advanced');
    }
  }

  /** Wakes everybody, for good: the partition stops, or is deleted. */
  close(): void {
    this.#isClosed = true;
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      waiting.wake('closed');
    }
  }
}
