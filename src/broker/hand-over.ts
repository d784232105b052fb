/**
 * Gives leaderships away: all of them when the node drains, and those that somebody else can take when its disk is too
 * slow, or too full, to lead. Who takes over must hold everything committed, so that the partition is without a leader
 * for a round trip and not for an election.
 */
import type { Partition } from '../partition/index.ts';
import type { DiskWatch } from './disk-watch.ts';
import type { Gossip } from './gossip.ts';
import type { Host } from './host.ts';
import type { BrokerOptions, BrokerWorld } from './options.ts';

/** How long draining waits for other nodes to take the leaderships over. */
const DRAIN_MS = 5_000;
/** Between two attempts of a node that goes on serving, in election timeouts. One attempt lasts up to one of them, and
 *  while it does nothing can be appended, and nothing trimmed. */
const ATTEMPT_TIMEOUTS = 2.5;

export interface HandOverParts {
  readonly options: Pick<BrokerOptions, 'nodeId' | 'tickMs' | 'timing'>;
  readonly world: Pick<BrokerWorld, 'env' | 'peers'>;
  readonly host: Host;
  readonly gossip: Gossip;
}

export class HandOver {
  readonly #parts: HandOverParts;
  #attempts = 0;
  #dueMs = 0;

  constructor(parts: HandOverParts) {
    this.#parts = parts;
  }

  /** Gives everything away. Resolves when that is done, or has taken too long. */
  async drain(): Promise<void> {
    const { options, world, host, gossip } = this.#parts;
    const { clock, timers } = world.env;
    const beganMs = clock.monotonicMs();
    // The others first: they would give the leaderships of their preferred leader back at once.
    host.resign();
    await gossip.tellAll();
    for (;;) {
      const led = this.#led();
      const elapsedMs = clock.monotonicMs() - beganMs;
      if (led.length === 0 || elapsedMs >= DRAIN_MS) return;
      const round = Math.floor(elapsedMs / (options.tickMs * options.timing.electionTicksMax));
      for (const partition of led) {
        const others = this.#successors(partition);
        const willing = others.filter((node) => gossip.isWilling(node));
        this.#offer(partition, willing.length > 0 ? willing : others, round);
      }
      await new Promise<void>((resolve) => timers.after(options.tickMs, resolve));
    }
  }

  /** Called every tick while the disk is slow. A node that has nobody to give to leads on: late beats never. */
  fromSlowDisk({ isHanging }: Pick<DiskWatch, 'isHanging'>): void {
    if (!isHanging) {
      this.attempt();
      return;
    }
    if (!this.#hasTaker()) return;
    // Nobody took over in time, and the flush may never return: the others elect whom they like (F41).
    for (const partition of this.#led()) {
      if (partition.voters.some((node) => this.#wouldTake(node))) partition.stepDown();
    }
  }

  /** Called again and again while the disk is slow, or full, so that a replica with room takes the appends which this
   *  one refuses (F38), or while the catalog has this node drained. */
  attempt(): void {
    const { options, world } = this.#parts;
    const { tickMs, timing } = options;
    const nowMs = world.env.clock.monotonicMs();
    if (nowMs < this.#dueMs || !this.#hasTaker()) return;
    this.#dueMs = nowMs + ATTEMPT_TIMEOUTS * timing.electionTicksMax * tickMs;
    for (const partition of this.#led()) {
      const takers = this.#successors(partition).filter((node) => this.#wouldTake(node));
      this.#offer(partition, takers, this.#attempts);
    }
    this.#attempts += 1;
  }

  /** Whether any node at all takes leaderships now. Nodes on one disk are slow together: each would go through all its
   *  groups every tick, in vain, which is a sixth of what a node with a thousand of them does. */
  #hasTaker(): boolean {
    return this.#parts.world.peers.list.some(({ id }) => this.#wouldTake(id));
  }

  #wouldTake(node: string): boolean {
    const { world, gossip } = this.#parts;
    return world.peers.isUp(node) && gossip.isWilling(node);
  }

  #led(): Partition[] {
    return [...this.#parts.host.open()].filter(({ role, voters }) => role === 'leader' && voters.length > 1);
  }

  #successors(partition: Partition): string[] {
    const { nodeId } = this.#parts.options;
    return partition.voters.filter((node) => node !== nodeId && partition.isInStep(node));
  }

  /** @param round Grows, so that a successor which does not take over is not asked for ever. */
  #offer(partition: Partition, successors: readonly string[], round: number): void {
    const successor = successors[round % successors.length];
    if (successor !== undefined) partition.transferTo(successor);
  }
}
