/** What the server tests share: quiet worlds with a hand-driven clock, and waiting for a condition. */
import type { Clock, Env, LogFields, Logger, TimerHandle, Timers } from '../../../src/env.ts';
import type { MetricLabels, MetricName, Metrics } from '../../../src/metrics.ts';
import { nodeEnv } from '../../../src/server/node-env.ts';

export interface Line {
  readonly level: string;
  readonly fields: LogFields;
  readonly message: string;
}

/** Keeps its lines. */
export class MemoryLogger implements Logger {
  readonly lines: Line[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }

  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  fatal(fields: LogFields, message: string): void {
    this.lines.push({ level: 'fatal', fields, message });
  }

  child(): Logger {
    return this;
  }
}

/** Sums counters and gauges by name and labels. */
export class MemoryMetrics implements Metrics {
  readonly values: Map<string, number> = new Map();

  add(name: MetricName, amount = 1, labels: MetricLabels = {}): void {
    this.values.set(key(name, labels), this.get(name, labels) + amount);
  }

  set(name: MetricName, value: number, labels: MetricLabels = {}): void {
    this.values.set(key(name, labels), value);
  }

  observe(name: MetricName, _value: number, labels: MetricLabels = {}): void {
    this.add(name, 1, labels);
  }

  get(name: MetricName, labels: MetricLabels = {}): number {
    return this.values.get(key(name, labels)) ?? 0;
  }
}

function key(name: string, labels: MetricLabels): string {
  return `${name}${JSON.stringify(labels)}`;
}

/** Time that moves when a test says so; `soon` stays real, because sockets are. */
export class HandTimers implements Timers, Clock {
  #nowMs = 1_000_000;
  #due: { atMs: number; periodMs: number | undefined; fn: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fn: () => void): TimerHandle {
    return this.#add({ atMs: this.#nowMs + delayMs, periodMs: undefined, fn });
  }

  every(periodMs: number, fn: () => void): TimerHandle {
    return this.#add({ atMs: this.#nowMs + periodMs, periodMs, fn });
  }

  soon(fn: () => void): void {
    setImmediate(fn);
  }

  /** Moves time on, calling what falls due in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#due.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#nowMs = next.atMs;
      if (next.periodMs === undefined) this.#due = this.#due.filter((each) => each !== next);
      else next.atMs += next.periodMs;
      next.fn();
    }
    this.#nowMs = endMs;
  }

  /** As after a pause of the process: what fell due meanwhile is called once, late. */
  stall(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#due.filter(({ atMs }) => atMs <= this.#nowMs)) {
      if (timer.periodMs === undefined) this.#due = this.#due.filter((each) => each !== timer);
      else timer.atMs = this.#nowMs + timer.periodMs;
      timer.fn();
    }
  }

  #add(timer: { atMs: number; periodMs: number | undefined; fn: () => void }): TimerHandle {
    this.#due.push(timer);
    return {
      cancel: () => {
        this.#due = this.#due.filter((each) => each !== timer);
      },
    };
  }
}

export interface TestWorld {
  readonly env: Env;
  readonly logger: MemoryLogger;
  readonly metrics: MemoryMetrics;
  /** Present when time is driven by hand. */
  readonly time: HandTimers;
}

/** Time by hand. */
export function handWorld(): TestWorld {
  const logger = new MemoryLogger();
  const time = new HandTimers();
  const { random } = nodeEnv(logger);
  return { env: { clock: time, timers: time, random, logger }, logger, metrics: new MemoryMetrics(), time };
}

/** Real time, for tests whose other side is a real socket and that wait for nothing but it. */
export function realWorld(): Omit<TestWorld, 'time'> {
  const logger = new MemoryLogger();
  return { env: nodeEnv(logger), logger, metrics: new MemoryMetrics() };
}

/** Resolves once `holds` is true, looking after every turn of the event loop. @throws after `deadlineMs`. */
export async function until(what: string, holds: () => boolean, deadlineMs = 5_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`did not happen within ${deadlineMs} ms: ${what}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
