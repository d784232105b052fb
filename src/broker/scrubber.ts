/**
 * Reads all sealed segments of this node again and again, a round a period, at a bounded number of bytes a second: one
 * partition after the other, one piece at a time (storage/scrub.ts). What it finds is on the damage list then, and the
 * next turn of upkeep.ts has it mended from peers.
 */
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { Partition } from '../partition/index.ts';

export interface ScrubberParts {
  readonly env: Env;
  readonly metrics: Metrics;
  readonly host: { open(): Iterable<Pick<Partition, 'groupId' | 'scrub' | 'isClosed'>> };
  readonly scrub: ScrubOptions;
}

export interface ScrubOptions {
  /** From the begin of a round to that of the next, at least. 0: never. */
  readonly periodMs: number;
  /** Over all partitions of the node. */
  readonly bytesPerSecond: number;
}

/** After a start there is more urgent work; and a node that is started often has its rounds all the same. */
const FIRST_ROUND_MS = 60_000;

export class Scrubber {
  readonly #parts: ScrubberParts;
  /** Monotonic. */
  #dueMs: number;
  #isRunning = false;

  constructor(parts: ScrubberParts) {
    this.#parts = parts;
    const { env, scrub } = parts;
    this.#dueMs = env.clock.monotonicMs() + Math.min(FIRST_ROUND_MS, scrub.periodMs);
  }

  tick(): void {
    const { env, scrub } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    if (scrub.periodMs === 0 || this.#isRunning || nowMs < this.#dueMs) return;
    this.#dueMs = nowMs + scrub.periodMs;
    this.#isRunning = true;
    void this.#round().finally(() => {
      this.#isRunning = false;
    });
  }

  async #round(): Promise<void> {
    const { env, metrics, host } = this.#parts;
    const startedMs = env.clock.monotonicMs();
    let damages = 0;
    // The list of now: partitions that open during the round are for the next one.
    for (const partition of [...host.open()]) {
      if (partition.isClosed) continue;
      try {
        const found = await partition.scrub((bytes) => this.#pace(bytes));
        if (found > 0) metrics.add('logdrive_scrub_damage_total', found);
        damages += found;
      } catch (error) {
        // The log was closed under it, which is no news; or its disk cannot be read, and the other logs are looked at.
        if (partition.isClosed) continue;
        env.logger.error({ group: partition.groupId, err: error }, 'a partition could not be scrubbed whole');
      }
    }
    const tookMs = Math.round(env.clock.monotonicMs() - startedMs);
    metrics.set('logdrive_scrub_last_round_time_seconds', env.clock.nowMs() / 1_000);
    env.logger.info({ tookMs, damages }, 'all sealed segments were scrubbed');
  }

  /** Waits as long as that many bytes take at the rate that is allowed, and at least until the end of this turn. */
  #pace(bytes: number): Promise<void> {
    const { env, metrics, scrub } = this.#parts;
    metrics.add('logdrive_scrub_bytes_total', bytes);
    return new Promise((resolve) => env.timers.after((1_000 * bytes) / scrub.bytesPerSecond, resolve));
  }
}
