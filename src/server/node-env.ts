/**
 * The real world behind src/env.ts: the only clock, timers and source of chance in the whole of logdrive.
 * Timers never keep the process alive (a socket or a listener does that), so a stopped node ends by itself.
 */
import { randomBytes } from 'node:crypto';
import type { Clock, Env, Logger, Random, TimerHandle, Timers } from '../env.ts';

class NodeClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }
}

/**
 * What is asked for at the end of a turn, and what that asks for: an append is proposed, then its messages are sent.
 */
const ROUNDS_MAX = 2;

class NodeTimers implements Timers {
  /** What the next round calls. */
  #soon: (() => void)[] = [];
  #isSet = false;

  after(delayMs: number, fn: () => void): TimerHandle {
    const timer = setTimeout(fn, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  }

  every(periodMs: number, fn: () => void): TimerHandle {
    // Node starts the next period when the last call ran: after a stall there is one late call, not a burst.
    const timer = setInterval(fn, periodMs);
    timer.unref();
    return { cancel: () => clearInterval(timer) };
  }

  soon(fn: () => void): void {
    // Not a microtask: those run after each single callback. setImmediate runs once all sockets that had input in this
    // turn of the event loop were read, which is what makes one write, and one flush, out of many requests.
    this.#soon.push(fn);
    if (this.#isSet) return;
    this.#isSet = true;
    setImmediate(() => this.#endTurn());
  }

  /** A setImmediate for each would call what is asked for here only after another look at all sockets, and behind
   *  whatever that brings. */
  #endTurn(): void {
    try {
      for (let round = 0; round < ROUNDS_MAX && this.#soon.length > 0; round++) this.#callRound();
    } finally {
      this.#isSet = this.#soon.length > 0;
      if (this.#isSet) setImmediate(() => this.#endTurn());
    }
  }

  #callRound(): void {
    const round = this.#soon;
    this.#soon = [];
    let called = 0;
    try {
      for (const fn of round) {
        called++;
        fn();
      }
    } finally {
      // One that throws does not take the others with it.
      if (called < round.length) this.#soon.unshift(...round.slice(called));
    }
  }
}

/** 48 of the 53 bits a double can hold: plenty for jitter. */
const DRAW_BYTES = 6;
/** Asked of the system at once: a follower draws a timeout for every message of its leader, and a call for each of them
 *  was a twentieth of its processor time. */
const DRAWS_AHEAD = 256;

class NodeRandom implements Random {
  #pool = Buffer.alloc(0);
  #at = 0;

  next(): number {
    if (this.#at === this.#pool.length) {
      this.#pool = randomBytes(DRAW_BYTES * DRAWS_AHEAD);
      this.#at = 0;
    }
    const drawn = this.#pool.readUIntBE(this.#at, DRAW_BYTES) / 2 ** 48;
    this.#at += DRAW_BYTES;
    return drawn;
  }

  bytes(count: number): Uint8Array {
    // A copy: randomBytes may hand out a view of Node's shared pool, and the caller owns these bytes.
    return new Uint8Array(randomBytes(count));
  }
}

export function nodeEnv(logger: Logger): Env {
  return { clock: new NodeClock(), timers: new NodeTimers(), random: new NodeRandom(), logger };
}

/** Of libuv's pool, which reads its size once, before its first use. */
const POOL_THREADS_DEFAULT = 4;
/** More flushes at once make the disk no faster. */
const FLUSHES_AT_ONCE_MAX = 8;

/**
 * How many flushes may be under way: each holds a thread of the pool, and a quarter of them stays free for reads (N3).
 */
export function flushesAtOnce(poolSize: string | undefined = process.env.UV_THREADPOOL_SIZE): number {
  const asked = Number(poolSize ?? POOL_THREADS_DEFAULT);
  const threads = Number.isInteger(asked) && asked >= 1 ? asked : POOL_THREADS_DEFAULT;
  return Math.max(1, Math.min(FLUSHES_AT_ONCE_MAX, threads - Math.ceil(threads / 4)));
}
