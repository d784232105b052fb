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
  isCancelled: boolean;
}

export class CommitFeed {
  /** A new one at each advance: the tables of a set that lives long are garbage in V8's old space when it changes. */
  #waiting = new Set<Waiting>();
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
    const waiting: Waiting = { position, wake, isCancelled: false };
    this.#waiting.add(waiting);
    const cancel = (): void => {
      waiting.isCancelled = true;
      this.#waiting.delete(waiting);
    };
    return { cancel };
  }

  advanced(cursor: number): void {
    const due: Waiting[] = [];
    const waiting = new Set<Waiting>();
    for (const each of this.#waiting) {
      if (cursor > each.position) due.push(each);
      else waiting.add(each);
    }
    if (due.length === 0) return;
    this.#waiting = waiting;
    // One that is woken may cancel for another.
    for (const each of due) if (!each.isCancelled) each.wake('advanced');
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
