/**
 * Time, chance and a log for tests: nothing happens until advance() is called, and then in the order of due times.
 * Between two due times every promise that can settle does.
 */
import type { Env, Logger, TimerHandle } from '../../../src/env.ts';

interface Timer {
  dueMs: number;
  readonly sequence: number;
  readonly periodMs: number | undefined;
  readonly fn: () => void;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

export class SimTime {
  nowMs = 1_700_000_000_000;
  #sequence = 0;
  readonly #timers = new Set<Timer>();

  add(delayMs: number, periodMs: number | undefined, fn: () => void): TimerHandle {
    const timer: Timer = { dueMs: this.nowMs + delayMs, sequence: this.#sequence++, periodMs, fn };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Runs everything due within the next `ms`. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await settle();
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueMs > endMs) continue;
        if (
          next === undefined ||
          timer.dueMs < next.dueMs ||
          (timer.dueMs === next.dueMs && timer.sequence < next.sequence)
        ) {
          next = timer;
        }
      }
      if (next === undefined) break;
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      if (next.periodMs === undefined) this.#timers.delete(next);
      else next.dueMs = this.nowMs + next.periodMs;
      next.fn();
      await settle();
    }
    this.nowMs = endMs;
  }
}

/** Lets every promise that can settle without time do so; storage on a memory disk uses a few turns. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
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

export function simEnv(time: SimTime, seed: number, lines: LogLine[]): Env {
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
  return {
    clock: { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs },
    timers: {
      after: (delayMs, fn) => time.add(delayMs, undefined, fn),
      every: (periodMs, fn) => time.add(periodMs, periodMs, fn),
      soon: (fn) => void time.add(0, undefined, fn),
    },
    random: { next: random, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)) },
    logger,
  };
}
