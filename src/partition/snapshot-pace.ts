/**
 * How snapshots leave a node: in chunks of which size, and how fast, all transfers together, because bringing one
 * replica back must not starve the others.
 */
import type { Clock } from '../env.ts';

/** A chunk is on the bulk lane for a millisecond or two, and entries queue behind it no longer. */
export const SNAPSHOT_CHUNK_BYTES: number = 256 * 1024;

export class SnapshotPace {
  /** Larger states than this travel in chunks of this size. */
  readonly chunkBytes: number;
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  /** Monotonic: when what was let through so far has had its time. */
  #freeAtMs = 0;

  constructor(bytesPerSecond: number, clock: Clock, chunkBytes: number = SNAPSHOT_CHUNK_BYTES) {
    this.chunkBytes = chunkBytes;
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  /** How long `bytes` have to wait; they count as sent then. */
  delayMs(bytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(nowMs, this.#freeAtMs);
    this.#freeAtMs = startMs + (bytes * 1_000) / this.#bytesPerSecond;
    return startMs - nowMs;
  }
}
