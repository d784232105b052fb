/**
 * The world as the rooms of logdrive see it: time, chance and the log of what happens. Contracts only.
 *
 * Production fulfils them in src/server/node-env.ts; tests and simulations bring their own, and then the same code
 * runs on simulated time. Nothing else in src or storage may read a clock, roll dice or start a timer.
 */

/** Reads of time. Neither call may block. */
export interface Clock {
  /** Wall-clock time in ms since the epoch. May jump in either direction; it is data (append times), never order. */
  nowMs(): number;
  /** Monotonic time in ms from an arbitrary start. Never goes back; used for every deadline and duration. */
  monotonicMs(): number;
}

export interface TimerHandle {
  /** Stops the timer. Harmless when it has fired or was cancelled before. */
  cancel(): void;
}

/** One-shot and repeating timers, and the end of the current turn. */
export interface Timers {
  /** Calls `fn` once, no sooner than `delayMs` from now. A pending timer does not keep the process alive. */
  after(delayMs: number, fn: () => void): TimerHandle;
  /** Calls `fn` about every `periodMs`; a stall makes calls late, never many at once. */
  every(periodMs: number, fn: () => void): TimerHandle;
  /** Calls `fn` once, after the input that is already waiting has been handled: the end of this turn. */
  soon(fn: () => void): void;
}

/** Chance. Seeded in tests and simulations. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** `count` fresh random bytes, owned by the caller; fit for identifiers and tokens in production. */
  bytes(count: number): Uint8Array;
}

export type LogFields = Readonly<Record<string, unknown>>;

/** A structured log. Payload bytes and secrets are never passed to it. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** The last words of a process that is about to end. */
  fatal(fields: LogFields, message: string): void;
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger;
}

export interface Env {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}
