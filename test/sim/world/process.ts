/**
 * One simulated process, from its start to its end: its clocks, timers, chance and log, and whether it gets to run at
 * all. A process that is held (paused, or stuck in its event loop) gets nothing until it is released; then what came in
 * meanwhile is handled as a real event loop would, overdue timers first and each repeating one once.
 */
import type { Clock, Env, Logger, Random, TimerHandle, Timers } from '../../../src/env.ts';
import { Prng } from '../../raft/support/prng.ts';
import type { EventKind, Scheduler, SimEvent } from './scheduler.ts';

/** Wall-clock time at the start of every run. */
export const EPOCH_MS = 1_700_000_000_000;
const LAST_LINES = 40;
/** As of any real timer, time passes: a deadline that is a rounding error away would be waited for for ever. */
const TIMER_MS_MIN = 0.001;

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

export type LineListener = (process: SimProcess, line: LogLine) => void;

export class SimProcess {
  readonly name: string;
  /** Which process of the run this is; part of the trace. */
  readonly number: number;
  readonly env: Env;
  readonly scheduler: Scheduler;
  /** The last words, for reports. */
  readonly lines: LogLine[] = [];
  isOver = false;
  /** Called once, when it is. */
  onOver: () => void = () => undefined;
  /** How far its wall clock is off; may jump. */
  wallSkewMs = 0;
  /** Local ms in one true ms (F27). */
  #rate = 1;
  #rateSinceMs = 0;
  #monotonicAtRateMs = 0;
  #heldUntilMs = 0;
  readonly #backlog: SimEvent[] = [];

  constructor(name: string, number: number, scheduler: Scheduler, seed: number, onLine: LineListener) {
    this.name = name;
    this.number = number;
    this.scheduler = scheduler;
    this.#rateSinceMs = scheduler.nowMs;
    this.#monotonicAtRateMs = scheduler.nowMs;
    this.env = { clock: this.#clock(), timers: this.#timers(), random: randomOf(seed), logger: this.#logger(onLine) };
  }

  /** As SIGKILL: it never runs again. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onOver();
  }

  /** Runs `fn` in this process after `delayMs` of true time, unless it is over by then. */
  in(delayMs: number, kind: EventKind, fn: () => void): SimEvent {
    return this.scheduler.in(delayMs, kind, this, fn);
  }

  set rate(rate: number) {
    this.#monotonicAtRateMs = this.#monotonicMs();
    this.#rateSinceMs = this.scheduler.nowMs;
    this.#rate = rate;
  }

  /** Nothing of it runs for so long; its clocks go on. */
  hold(forMs: number): void {
    const untilMs = this.scheduler.nowMs + forMs;
    if (untilMs <= this.#heldUntilMs) return;
    this.#heldUntilMs = untilMs;
    this.scheduler.in(forMs, 'world', undefined, () => this.#release(untilMs));
  }

  get isHeld(): boolean {
    return this.scheduler.nowMs < this.#heldUntilMs;
  }

  /** Whether this event has to wait; then it is kept here. */
  holdsBack(event: SimEvent): boolean {
    if (!this.isHeld) return false;
    this.#backlog.push(event);
    return true;
  }

  #release(untilMs: number): void {
    if (untilMs !== this.#heldUntilMs || this.isOver) return;
    this.#heldUntilMs = 0;
    const backlog = this.#backlog.splice(0);
    // libuv's order: timers, then what the poll brings.
    const timers = backlog.filter(({ kind }) => kind === 'timer');
    const others = backlog.filter(({ kind }) => kind !== 'timer');
    for (const event of [...timers, ...others]) this.scheduler.again(event, 0);
  }

  #monotonicMs(): number {
    return this.#monotonicAtRateMs + (this.scheduler.nowMs - this.#rateSinceMs) * this.#rate;
  }

  #clock(): Clock {
    return {
      nowMs: () => EPOCH_MS + Math.floor(this.scheduler.nowMs + this.wallSkewMs),
      monotonicMs: () => this.#monotonicMs(),
    };
  }

  #timers(): Timers {
    const cancelOf = (event: SimEvent): TimerHandle => ({
      cancel: () => {
        event.isCancelled = true;
      },
    });
    return {
      after: (delayMs, fn) => cancelOf(this.in(Math.max(TIMER_MS_MIN, delayMs / this.#rate), 'timer', fn)),
      every: (periodMs, fn) => {
        const event = this.in(periodMs / this.#rate, 'timer', () => {
          fn();
          if (!event.isCancelled) this.scheduler.again(event, periodMs / this.#rate);
        });
        return cancelOf(event);
      },
      soon: (fn) => void this.in(0, 'timer', fn),
    };
  }

  #logger(onLine: LineListener): Logger {
    const log = (level: string) => (fields: object, message: string) => {
      const line = { level, message, fields };
      this.lines.push(line);
      if (this.lines.length > 2 * LAST_LINES) this.lines.splice(0, LAST_LINES);
      onLine(this, line);
    };
    const logger: Logger = {
      debug: log('debug'),
      info: log('info'),
      warn: log('warn'),
      error: log('error'),
      fatal: log('fatal'),
      child: () => logger,
    };
    return logger;
  }
}

function randomOf(seed: number): Random {
  const random = new Prng(seed);
  return {
    next: () => random.next(),
    bytes: (count) => Uint8Array.from({ length: count }, () => random.below(256)),
  };
}
