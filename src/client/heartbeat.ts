/**
 * Signs of life of one connection: a PING after every period without a message, and its end after two periods of
 * silence. While an answer is awaited the period is shorter: a node that is stopped is to be left within the time one
 * operation has. A PING stands behind what was sent before it, so silence that an upload explains does not count.
 *
 * Silence is counted in ticks, not read off a clock: after a stall of this process one late tick fires and the messages
 * that waited are read before the next one, so our own pause is never taken for the node's (N6).
 */
import type { TimerHandle, Timers } from '../env.ts';

export interface HeartbeatPeriods {
  readonly periodMs: number;
  readonly probeMs: number;
}

export interface HeartbeatHost {
  /** Is somebody waiting for an answer? */
  isAwaiting(): boolean;
  /** What was sent and not answered may still be on its way for that long. */
  uploadMs(): number;
  ping(nonce: number): void;
  onSilence(): void;
}

const SILENT_PERIODS_MAX = 2;

export class Heartbeat {
  readonly #host: HeartbeatHost;
  readonly #timer: TimerHandle;
  readonly #tickMs: number;
  /** Ticks in one period while nobody waits. */
  readonly #idleTicks: number;
  /** Ticks since the last message. */
  #silentTicks = 0;
  #nonce = 1;

  constructor(timers: Timers, { periodMs, probeMs }: HeartbeatPeriods, host: HeartbeatHost) {
    const tickMs = Math.min(periodMs, probeMs);
    this.#host = host;
    this.#tickMs = tickMs;
    this.#idleTicks = Math.max(1, Math.round(periodMs / tickMs));
    this.#timer = timers.every(tickMs, () => this.#tick());
  }

  /** A message came, or waiting begins: silence counts from now. */
  onHeard(): void {
    this.#silentTicks = 0;
  }

  stop(): void {
    this.#timer.cancel();
  }

  #tick(): void {
    const periodTicks = this.#host.isAwaiting() ? 1 : this.#idleTicks;
    const uploadTicks = Math.floor(this.#host.uploadMs() / this.#tickMs);
    this.#silentTicks++;
    // One tick more than the periods: the first of them may have begun with a message.
    if (this.#silentTicks > Math.max(SILENT_PERIODS_MAX * periodTicks, uploadTicks)) this.#host.onSilence();
    else if (this.#silentTicks % periodTicks === 0) this.#host.ping(this.#nonce++);
  }
}
