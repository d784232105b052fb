/**
 * Who waits for a cursor of the applied state to pass a position: readers for the high watermark, linearizable reads
 * for the applied index. Woken when entries are applied, which is after commit, never by a local append (L1, L2). Each
 * wake-up is one call a waiter; waiters for later positions stay.
 */

export interface FeedWaiter {
  /** Stops waiting; harmless after it was woken. */
  cancel(): void;
}

/** Why a waiter was woken: there is something to read, or there never will be here. */
export type WakeReason = 'advanced' | 'closed';

interface Waiting {
  /** Woken when the cursor is above this. */
  readonly position: number;
  readonly wake: (reason: WakeReason) => void;
}

export class CommitFeed {
  readonly #waiting = new Set<Waiting>();
  #isClosed = false;

  get waiters(): number {
    return this.#waiting.size;
  }

  /** Calls `wake` once, when the cursor is above `position`. The caller checked that it is not yet. */
  watch(position: number, wake: (reason: WakeReason) => void): FeedWaiter {
    if (this.#isClosed) {
      wake('closed');
      return { cancel: () => undefined };
    }
    const waiting: Waiting = { position, wake };
    this.#waiting.add(waiting);
    return { cancel: () => this.#waiting.delete(waiting) };
  }

  advanced(cursor: number): void {
    for (const waiting of this.#waiting) {
      if (cursor <= waiting.position) continue;
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
