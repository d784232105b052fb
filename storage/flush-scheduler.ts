/**
 * One per data directory: decides which flush goes to the disk next and how many at once. A flush holds a thread of the
 * pool for as long as the disk likes; with a bound below the pool's size some threads stay free for reads (N3). Hard
 * state goes first: elections wait for it, and it is tiny. Otherwise first come, first served; each log has at most one
 * flush of entries waiting here, so no log can starve another.
 */
import assert from 'node:assert/strict';

export type FlushKind = 'hard-state' | 'entries';

export class FlushScheduler {
  readonly #inFlightMax: number;
  #inFlight = 0;
  readonly #waiting: Readonly<Record<FlushKind, (() => void)[]>> = { 'hard-state': [], entries: [] };

  constructor(inFlightMax: number) {
    assert(Number.isInteger(inFlightMax) && inFlightMax >= 1, `flushes in flight: ${inFlightMax}`);
    this.#inFlightMax = inFlightMax;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Runs `flush` when its turn comes; resolves or rejects as it does. */
  async run<T>(kind: FlushKind, flush: () => Promise<T>): Promise<T> {
    if (this.#inFlight >= this.#inFlightMax) await new Promise<void>((resolve) => this.#waiting[kind].push(resolve));
    else this.#inFlight++;
    try {
      return await flush();
    } finally {
      // The place is handed on, not given up, so that nobody slips in between.
      const next = this.#waiting['hard-state'].shift() ?? this.#waiting.entries.shift();
      if (next === undefined) this.#inFlight--;
      else next();
    }
  }
}
