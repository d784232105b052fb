/**
 * The one tick of a node, and what happens when the process stood still between two of them (R24): a stopped or starved
 * process wakes up with overdue timers and with sockets full of what the others said meanwhile. What they said comes
 * first. So the overdue tick waits, the sockets are read, and only then is everybody told how long it was; a leader
 * then takes itself for deposed if that was an election timeout. The ticks that were missed are left out.
 */
import type { TimerHandle } from '../env.ts';
import type { BrokerOptions, BrokerWorld } from './options.ts';

/** A starved process stands still many times a second: it says so at most this often. */
const SAID_EVERY_MS = 10_000;

export interface PulseEvents {
  onTick(): void;
  /** So many ticks were missed. What came in meanwhile was read. */
  onStall(ticks: number): void;
}

export class Pulse {
  readonly #world: Pick<BrokerWorld, 'env' | 'metrics'>;
  readonly #events: PulseEvents;
  readonly #tickMs: number;
  /** Ticks that may be missing before it counts as a stall: less than anybody's patience with this node. */
  readonly #budgetTicks: number;
  #lastMs = 0;
  /** Since it was last said. */
  #unsaid = { times: 0, longestMs: 0 };
  #saidMs = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle | undefined;

  constructor(
    { tickMs, timing }: Pick<BrokerOptions, 'tickMs' | 'timing'>,
    world: Pick<BrokerWorld, 'env' | 'metrics'>,
    events: PulseEvents,
  ) {
    this.#world = world;
    this.#events = events;
    this.#tickMs = tickMs;
    this.#budgetTicks = Math.ceil(timing.electionTicksMin / 2);
  }

  start(): void {
    const { env } = this.#world;
    this.#lastMs = env.clock.monotonicMs();
    this.#timer = env.timers.every(this.#tickMs, () => this.#beat());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #beat(): void {
    const { env, metrics } = this.#world;
    const nowMs = env.clock.monotonicMs();
    const missed = Math.floor((nowMs - this.#lastMs) / this.#tickMs) - 1;
    this.#lastMs = nowMs;
    if (missed < this.#budgetTicks) {
      this.#events.onTick();
      return;
    }
    metrics.add('logdrive_stalls_total');
    this.#say(nowMs, missed * this.#tickMs);
    // The end of this turn of the event loop: input that was waiting has been handled by then.
    env.timers.soon(() => {
      if (this.#timer === undefined) return;
      this.#events.onStall(missed);
      // A process that is late at every beat would never send, elect or tidy up anything.
      this.#events.onTick();
    });
  }

  #say(nowMs: number, stalledMs: number): void {
    this.#unsaid.times += 1;
    this.#unsaid.longestMs = Math.max(this.#unsaid.longestMs, stalledMs);
    if (nowMs - this.#saidMs < SAID_EVERY_MS) return;
    const { times, longestMs } = this.#unsaid;
    this.#world.env.logger.warn(
      { stalledMs: longestMs, times },
      'the process stood still; sockets are read before timers fire',
    );
    this.#saidMs = nowMs;
    this.#unsaid = { times: 0, longestMs: 0 };
  }
}
