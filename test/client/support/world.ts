/**
 * A world for the client without clocks, chance or sockets of its own: time moves when a test says so, random numbers
 * come from a seed, and messages are delivered in turns. Nothing here waits for real time.
 */

import { createHash } from 'node:crypto';
import type { Platform } from '../../../src/client/platform.ts';
import type { SocketLike } from '../../../src/client/socket.ts';
import type { TimerHandle } from '../../../src/env.ts';
import { crc32cPortable } from '../../../src/protocol/index.ts';

interface Timer {
  dueMs: number;
  /** undefined: one-shot. */
  readonly periodMs: number | undefined;
  readonly fn: () => void;
}

/** Turns of the real event loop in which nothing happens before a world counts as quiet: promises settle in between. */
const QUIET_TURNS = 3;

export class World {
  nowMs = 1_000_000;
  openSocket: (url: string) => SocketLike = () => {
    throw new Error('no network in this world yet');
  };
  readonly platform: Platform;
  readonly #timers = new Set<Timer>();
  #soon: (() => void)[] = [];
  #seed: number;

  constructor(seed = 1) {
    this.#seed = seed;
    this.platform = {
      clock: { nowMs: () => 1_700_000_000_000 + Math.floor(this.nowMs), monotonicMs: () => this.nowMs },
      timers: {
        after: (delayMs, fn) => this.#start(delayMs, undefined, fn),
        every: (periodMs, fn) => this.#start(periodMs, periodMs, fn),
        soon: (fn) => this.#soon.push(fn),
      },
      random: {
        next: () => this.next(),
        bytes: (count) => Uint8Array.from({ length: count }, () => this.next() * 256),
      },
      crc32c: crc32cPortable,
      // Not the one over Web Crypto: that one answers from a thread, in real time.
      sha256: (bytes) => Promise.resolve(new Uint8Array(createHash('sha256').update(bytes).digest())),
      openSocket: (url) => this.openSocket(url),
      agent: 'test',
    };
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  /** mulberry32 */
  next(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      const soon = this.#soon;
      this.#soon = [];
      for (const fn of soon) fn();
      if (soon.length > 0) quiet = -1;
    }
  }

  /** Moves time on, timer by timer. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await this.settle();
    for (let timer = this.#earliest(); timer !== undefined && timer.dueMs <= endMs; timer = this.#earliest()) {
      this.#fire(timer);
      await this.settle();
    }
    this.nowMs = endMs;
  }

  /** The promise's result; moves time on as far as that takes. */
  async run<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let isSettled = false;
    const watched = promise.finally(() => {
      isSettled = true;
    });
    watched.catch(() => {});
    const endMs = this.nowMs + limitMs;
    for (;;) {
      await this.settle();
      if (isSettled) return await promise;
      const timer = this.#earliest();
      if (timer === undefined || timer.dueMs > endMs) throw new Error(`still waiting after ${limitMs} simulated ms`);
      this.#fire(timer);
    }
  }

  /** Moves time on until the condition holds. */
  async until(isReached: () => boolean, limitMs = 120_000): Promise<void> {
    const endMs = this.nowMs + limitMs;
    for (;;) {
      await this.settle();
      if (isReached()) return;
      const timer = this.#earliest();
      if (timer === undefined || timer.dueMs > endMs) throw new Error(`not reached in ${limitMs} simulated ms`);
      this.#fire(timer);
    }
  }

  #start(delayMs: number, periodMs: number | undefined, fn: () => void): TimerHandle {
    const timer: Timer = { dueMs: this.nowMs + delayMs, periodMs, fn };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  #earliest(): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) if (earliest === undefined || timer.dueMs < earliest.dueMs) earliest = timer;
    return earliest;
  }

  #fire(timer: Timer): void {
    this.nowMs = Math.max(this.nowMs, timer.dueMs);
    if (timer.periodMs === undefined) this.#timers.delete(timer);
    else timer.dueMs = this.nowMs + timer.periodMs;
    timer.fn();
  }
}
