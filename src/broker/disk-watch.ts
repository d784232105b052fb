/**
 * Watches how long flushes take, and says when this node's disk is too slow to lead on. A slow follower costs nobody
 * anything, since a majority without it commits; a slow leader is one that a faster one should replace (F40), and one
 * whose flush never returns must not lead on at all while others could (F41).
 *
 * Slow: a flush is under way for longer than an election timeout, or three flushes took more than half of one within
 * ten seconds. Well again: none of that for thirty seconds. Looked at once a tick, so times are as fine as ticks. Ticks
 * that come late are this process's own trouble: a thousand groups that are busy at once made nodes call their disks
 * slow, and give away all they led when they had the least time for elections.
 */
import type { BrokerOptions, BrokerWorld } from './options.ts';

/** What is watched: the number of the flush that has been under way longest. */
export interface Flushing {
  readonly oldestFlush: number | undefined;
}

/** Of the time between two looks, so many ticks are the disk's: its answer may have waited longer to be read. */
const LOOK_TICKS_MAX = 2;
const SLOW_FLUSHES = 3;
const WINDOW_MS = 10_000;
const WELL_AGAIN_MS = 30_000;

export class DiskWatch {
  readonly #world: Pick<BrokerWorld, 'env' | 'metrics'>;
  readonly #flushing: Flushing;
  readonly #onSlow: (isSlow: boolean) => void;
  readonly #lookMsMax: number;
  readonly #slowMs: number;
  readonly #stalledMs: number;
  #flush: number | undefined;
  /** When #flush was first seen, and later by what is not counted. */
  #sinceMs = 0;
  #nowMs: number;
  /** When flushes ended that took long; the last few. */
  #slowAtMs: number[] = [];
  #lastTroubleMs = 0;
  #isSlow = false;

  constructor(
    { tickMs, timing }: Pick<BrokerOptions, 'tickMs' | 'timing'>,
    world: Pick<BrokerWorld, 'env' | 'metrics'>,
    flushing: Flushing,
    onSlow: (isSlow: boolean) => void,
  ) {
    this.#world = world;
    this.#flushing = flushing;
    this.#onSlow = onSlow;
    this.#lookMsMax = LOOK_TICKS_MAX * tickMs;
    this.#slowMs = (timing.electionTicksMax * tickMs) / 2;
    this.#stalledMs = timing.electionTicksMax * tickMs;
    this.#nowMs = world.env.clock.monotonicMs();
  }

  get isSlow(): boolean {
    return this.#isSlow;
  }

  /** How long the oldest flush has been under way. */
  get flushMs(): number {
    return this.#flush === undefined ? 0 : this.#nowMs - this.#sinceMs;
  }

  /** A flush is under way for so long that handing over in order has had its time, and it may never return. Below two
   *  election timeouts, within which its node must not lead any more (F41). */
  get isHanging(): boolean {
    return this.flushMs >= this.#stalledMs + this.#slowMs;
  }

  /**
   * A flush is under way for longer than an election timeout. Slow flushes that end are no reason to call a node
   * unwell: it gives its leaderships away, reads and follows on.
   */
  get isStalled(): boolean {
    return this.flushMs >= this.#stalledMs;
  }

  /** For the page that says whether the node is well. */
  get detail(): string {
    if (!this.#isSlow) return 'flushes in time';
    if (this.isStalled) return `a flush has been under way for ${Math.round(this.flushMs)} ms`;
    return 'flushes take long; this node leads nothing that others can lead';
  }

  tick(): void {
    const { env, metrics } = this.#world;
    const nowMs = env.clock.monotonicMs();
    this.#sinceMs += Math.max(0, nowMs - this.#nowMs - this.#lookMsMax);
    this.#nowMs = nowMs;
    const oldest = this.#flushing.oldestFlush;
    if (oldest !== this.#flush) {
      if (this.flushMs >= this.#slowMs) this.#ended();
      this.#flush = oldest;
      this.#sinceMs = this.#nowMs;
    }
    const { isStalled } = this;
    const recent = this.#slowAtMs.filter((atMs) => this.#nowMs - atMs < WINDOW_MS);
    if (isStalled || recent.length >= SLOW_FLUSHES) this.#lastTroubleMs = this.#nowMs;
    const isSlow =
      isStalled || recent.length >= SLOW_FLUSHES || (this.#isSlow && this.#nowMs - this.#lastTroubleMs < WELL_AGAIN_MS);
    if (isSlow === this.#isSlow) return;
    this.#isSlow = isSlow;
    metrics.set('logdrive_wal_flush_stalled', isSlow ? 1 : 0);
    const fields = { flushMs: Math.round(this.flushMs) };
    if (isSlow) env.logger.error(fields, `the disk is slow: ${this.detail}; leaderships are handed over`);
    else env.logger.info({}, 'the disk flushes in time again');
    this.#onSlow(isSlow);
  }

  #ended(): void {
    this.#world.metrics.add('logdrive_wal_slow_flushes_total');
    this.#slowAtMs = [...this.#slowAtMs, this.#nowMs].slice(-SLOW_FLUSHES);
  }
}
