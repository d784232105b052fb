/**
 * One call of the application while it is under way: its deadline, its AbortSignal, and the waits in between. Every
 * wait ends by whichever comes first of the three; whoever ends an operation calls done(), which leaves nothing behind.
 */
import type { TimerHandle } from '../env.ts';
import { LogError, type Outcome } from '../protocol/index.ts';
import type { Platform } from './platform.ts';

export class Operation {
  readonly #platform: Platform;
  readonly #signal: AbortSignal | undefined;
  /** Monotonic; Infinity: none. */
  readonly #deadlineMs: number;
  readonly #timer: TimerHandle | undefined;
  readonly #onAbort = (): void => this.#stop(abortedError('none'));
  /** Set once; every wait after that rejects at once. */
  #stopped: LogError | undefined;
  readonly #waits = new Set<(error: LogError) => void>();

  /** @param timeoutMs Infinity: the operation only ends by its signal or by close(). */
  constructor(platform: Platform, timeoutMs: number, signal?: AbortSignal) {
    this.#platform = platform;
    this.#signal = signal;
    this.#deadlineMs = platform.clock.monotonicMs() + timeoutMs;
    if (signal?.aborted === true) {
      this.#stopped = abortedError('none');
      return;
    }
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = platform.timers.after(timeoutMs, () =>
        this.#stop(new LogError('TIMEOUT', `No answer came within ${timeoutMs} ms.`, { outcome: 'none' })),
      );
    }
  }

  /** Ms until the deadline; never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.#deadlineMs - this.#platform.clock.monotonicMs());
  }

  /** Why it ended early, if it did: TIMEOUT, ABORTED or what stop() was given. Its outcome says nothing of the work. */
  get stopped(): LogError | undefined {
    return this.#stopped;
  }

  /** Ends it from outside, for example because the client closes. */
  stop(error: LogError): void {
    this.#stop(error);
  }

  /** The promise's result, unless the operation is stopped first. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const stopped = this.#stopped;
      if (stopped !== undefined) {
        // The loser's own failure must not become an unhandled rejection.
        promise.catch(() => {});
        reject(stopped);
        return;
      }
      this.#waits.add(reject);
      promise.then(resolve, reject).finally(() => this.#waits.delete(reject));
    });
  }

  /** Waits. Rejects when the operation is stopped meanwhile. */
  sleep(delayMs: number): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return new Promise((resolve, reject) => {
      const wake = (error: LogError): void => {
        timer.cancel();
        reject(error);
      };
      const timer = this.#platform.timers.after(delayMs, () => {
        this.#waits.delete(wake);
        resolve();
      });
      this.#waits.add(wake);
    });
  }

  /** It is over: no timer and no listener stays. */
  done(): void {
    this.#timer?.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #stop(error: LogError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.done();
    const waits = [...this.#waits];
    this.#waits.clear();
    for (const reject of waits) reject(error);
  }
}

export function abortedError(outcome: Outcome): LogError {
  return new LogError('ABORTED', 'The caller gave up waiting.', { outcome });
}

export function closedError(what: string): LogError {
  return new LogError('CLOSED', `The ${what} was closed.`);
}
