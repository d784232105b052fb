/**
 * One per data directory: decides which flush goes to the disk next and how many at once. A flush holds a thread of the
 * pool for as long as the disk likes; with a bound below the pool's size some threads stay free for reads (N3).
 *
 * Hard state goes first: elections wait for it, and it is tiny. One hard state may always be on its way, also when
 * every other place is held by flushes that hang: whether this node can vote is then up to the disk and not to us.
 * Otherwise first come, first served; each log has at most one flush of entries waiting here, so no log can starve
 * another.
 *
 * It knows which flush has been under way longest. Storage reads no clock: how long that is, others measure.
 */
import assert from 'node:assert/strict';

/** 'files': whole files such as snapshots. They may take long without anything being wrong with the disk. */
export type FlushKind = 'hard-state' | 'entries' | 'files';

interface Running {
  readonly number: number;
  readonly kind: FlushKind;
}

interface Waiting {
  readonly kind: FlushKind;
  readonly start: () => void;
}

export class FlushScheduler {
  readonly #inFlightMax: number;
  /** Under way, by the order they began in. A list, not a Map: V8 makes the tables of a Map that lives long in its old
   *  space, and one that changes with each flush fills that with garbage. */
  readonly #running: Running[] = [];
  #begun = 0;
  #hardStates = 0;
  /** Hard states before all others; each list in the order they came. */
  readonly #waitingHardStates: Waiting[] = [];
  readonly #waiting: Waiting[] = [];

  constructor(inFlightMax: number) {
    assert(Number.isInteger(inFlightMax) && inFlightMax >= 1, `flushes in flight: ${inFlightMax}`);
    this.#inFlightMax = inFlightMax;
  }

  get inFlight(): number {
    return this.#running.length;
  }

  /** Flushes begun so far, of all logs: how busy the disk is between two looks, for who reads no clock. */
  get begun(): number {
    return this.#begun;
  }

  /** The number of the flush that has been under way longest, 'files' left out: the same number later is the same
   *  flush. Undefined when there is none. */
  get oldest(): number | undefined {
    return this.#running.find(({ kind }) => kind !== 'files')?.number;
  }

  /** Runs `flush` when its turn comes; resolves or rejects as it does. */
  async run<T>(kind: FlushKind, flush: () => Promise<T>): Promise<T> {
    const running = await this.#turn(kind);
    try {
      return await flush();
    } finally {
      this.#running.splice(this.#running.indexOf(running), 1);
      if (kind === 'hard-state') this.#hardStates -= 1;
      this.#startNext();
    }
  }

  #turn(kind: FlushKind): Promise<Running> {
    return new Promise((resolve) => {
      const start = (): void => resolve(this.#begin(kind));
      if (this.#mayStart(kind)) start();
      else (kind === 'hard-state' ? this.#waitingHardStates : this.#waiting).push({ kind, start });
    });
  }

  #begin(kind: FlushKind): Running {
    this.#begun += 1;
    const running: Running = { number: this.#begun, kind };
    this.#running.push(running);
    if (kind === 'hard-state') this.#hardStates += 1;
    return running;
  }

  #mayStart(kind: FlushKind): boolean {
    return this.#running.length < this.#inFlightMax || (kind === 'hard-state' && this.#hardStates === 0);
  }

  /** Places are given on before anybody new can ask for one: starting counts at once. */
  #startNext(): void {
    for (const queue of [this.#waitingHardStates, this.#waiting]) {
      while (queue[0] !== undefined && this.#mayStart(queue[0].kind)) queue.shift()!.start();
    }
  }
}
