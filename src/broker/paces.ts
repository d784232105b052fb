/**
 * The open partitions of a node that time passes for, by how often: groups that rest not at all, leaders of watched
 * groups once a heartbeat, all others with each tick (raft: Pace). A thousand groups may be at work; most of a tick's
 * cost is to look at each of them.
 */
import type { Pace } from '../partition/index.ts';

/** A partition, as far as it is ticked. */
export interface Ticked {
  tick(ticks?: number): void;
}

export class Paces<T extends Ticked> {
  readonly #heartbeatTicks: number;
  readonly #onTicks = new Set<T>();
  readonly #onHeartbeats = new Set<T>();
  #ticks = 0;

  constructor(heartbeatTicks: number) {
    this.#heartbeatTicks = heartbeatTicks;
  }

  /** Ticks since the last common heartbeat. */
  get phase(): number {
    return this.#ticks % this.#heartbeatTicks;
  }

  /** Partitions that do not rest. */
  get awake(): number {
    return this.#onTicks.size + this.#onHeartbeats.size;
  }

  set(partition: T, pace: Pace): void {
    this.#onTicks.delete(partition);
    this.#onHeartbeats.delete(partition);
    if (pace === 'ticks') this.#onTicks.add(partition);
    else if (pace === 'heartbeats') this.#onHeartbeats.add(partition);
  }

  tick(): void {
    this.#ticks += 1;
    if (this.phase === 0) for (const partition of this.#onHeartbeats) partition.tick(this.#heartbeatTicks);
    for (const partition of this.#onTicks) partition.tick();
  }
}
