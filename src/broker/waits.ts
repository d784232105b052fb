/** Waiting for a replica to apply more, with an end. */
import type { Timers } from '../env.ts';
import type { FeedWaiter, Partition } from '../partition/index.ts';

/**
 * Resolves when the high watermark is above `offset`, the wait is over, the caller gave up, or the partition closed.
 */
export function waitPast(
  timers: Timers,
  partition: Partition,
  offset: number,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (partition.tail > offset) return Promise.resolve();
  return wait(timers, waitMs, signal, (wake) => partition.watch(offset, wake));
}

/** Resolves when the entry at `index` is applied, the wait is over, or the partition closed. */
export function waitApplied(timers: Timers, partition: Partition, index: number, waitMs: number): Promise<void> {
  if (partition.appliedIndex >= index) return Promise.resolve();
  return wait(timers, waitMs, undefined, (wake) => partition.watchApplied(index, wake));
}

function wait(
  timers: Timers,
  waitMs: number,
  signal: AbortSignal | undefined,
  watch: (wake: () => void) => FeedWaiter,
): Promise<void> {
  if (waitMs <= 0 || signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    let waiter: FeedWaiter | undefined;
    const done = (): void => {
      timer.cancel();
      waiter?.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = timers.after(waitMs, done);
    signal?.addEventListener('abort', done, { once: true });
    // Last: of a closed partition it calls back at once.
    waiter = watch(done);
  });
}
