/** Waiting with an end. */
import type { Timers } from '../env.ts';

/**
 * The promise's result, or a rejection with `late()` once `delayMs` have passed. What the promise does later is not
 * lost: it is only no longer waited for.
 */
export function withDeadline<T>(timers: Timers, delayMs: number, promise: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = timers.after(delayMs, () => reject(late()));
    promise.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
