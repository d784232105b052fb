/**
 * Time, chance and a log for tests: nothing happens until advance() is called, and then in the order of due times.
 * Between two due times every promise that can settle does.
 */
import type { Env, Logger, TimerHandle } from '../../../src/env.ts';
import { DueQueue } from '../../support/due-queue.ts';

interface Timer {
  dueMs: number;
  /** Timers due at the same time run in the order they were set. */
  order: number;
  readonly periodMs: number | undefined;
  readonly fn: () => void;
  isCancelled: boolean;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

export class SimTime {
  nowMs = 1_700_000_000_000;
  #orders = 0;
  readonly #timers = new DueQueue<Timer>();

  add(delayMs: number, periodMs: number | undefined, fn: () => void): TimerHandle {
    const timer = { dueMs: this.nowMs + delayMs, order: this.#orders++, periodMs, fn, isCancelled: false };
    this.#timers.push(timer);
    return {
      cancel: () => {
        timer.isCancelled = true;
      },
    };
  }

  /** Runs everything due within the next `ms`. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await settle();
    for (let next = this.#timers.first; next !== undefined && next.dueMs <= endMs; next = this.#timers.first) {
      this.#timers.pop();
      if (next.isCancelled) continue;
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.fn();
      await settle();
      if (next.periodMs === undefined || next.isCancelled) continue;
      next.dueMs = this.nowMs + next.periodMs;
      next.order = this.#orders++;
      this.#timers.push(next);
    }
    this.nowMs = endMs;
  }
}

/** Lets every promise that can settle without time do so: simulated disks use promises and nothing else. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** The life of one simulated process: once it is over, its timers are silent. */
export interface Life {
  isOver: boolean;
  /** How far its wall clock is from the true time; may jump. */
  skewMs: number;
  /**
   * It stands still until then, as under SIGSTOP: timers that are due meanwhile come afterwards, repeated ones once.
   */
  heldUntilMs?: number;
}

export function simEnv(time: SimTime, seed: number, lines: LogLine[], life: Life = { isOver: false, skewMs: 0 }): Env {
  const random = seededRandom(seed);
  const log = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields });
  };
  const logger: Logger = {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    fatal: log('fatal'),
    child: () => logger,
  };
  const add = (delayMs: number, periodMs: number | undefined, fn: () => void): TimerHandle => {
    const run = (): void => {
      const heldMs = (life.heldUntilMs ?? 0) - time.nowMs;
      if (life.isOver) timer.cancel();
      else if (heldMs <= 0) fn();
      else if (periodMs === undefined) timer = time.add(heldMs, undefined, run);
    };
    let timer = time.add(delayMs, periodMs, run);
    return { cancel: () => timer.cancel() };
  };
  return {
    clock: { nowMs: () => time.nowMs + life.skewMs, monotonicMs: () => time.nowMs },
    timers: {
      after: (delayMs, fn) => add(delayMs, undefined, fn),
      every: (periodMs, fn) => add(periodMs, periodMs, fn),
      soon: (fn) => void add(0, undefined, fn),
    },
    random: { next: random, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)) },
    logger,
  };
}
