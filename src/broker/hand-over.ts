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
import type { SpaceWatch } from './space-watch.ts';

/** How long draining waits for other nodes to take the leaderships over. */
const DRAIN_MS = 5_000;

export interface HandOverParts {
  readonly options: Pick<BrokerOptions, 'nodeId' | 'tickMs' | 'timing'>;
  readonly world: Pick<BrokerWorld, 'env' | 'peers'>;
  readonly host: Host;
  readonly gossip: Gossip;
}

export class HandOver {
  readonly #parts: HandOverParts;

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
      for (const partition of led) {
        const others = this.#successors(partition);
        const willing = others.filter((node) => gossip.isWilling(node));
        this.#offer(partition, willing.length > 0 ? willing : others, elapsedMs);
      }
      await new Promise<void>((resolve) => timers.after(options.tickMs, resolve));
    }
  }

  /** Called every tick while the disk is slow. A node that has nobody to give to leads on: late beats never. */
  fromSlowDisk({ flushMs, isHanging }: DiskWatch): void {
    if (!this.#hasTaker()) return;
    const wouldTake = (node: string): boolean => this.#wouldTake(node);
    for (const partition of this.#led()) {
      if (!partition.voters.some(wouldTake)) continue;
      // Nobody took over in time, and the flush may never return: the others elect whom they like (F41).
      if (isHanging) partition.stepDown();
      else this.#offer(partition, this.#successors(partition).filter(wouldTake), flushMs);
    }
  }

  /** Called every tick while the disk is full: a replica with room takes the appends that this one refuses (F38). */
  fromFullDisk({ fullMs }: SpaceWatch): void {
    if (!this.#hasTaker()) return;
    for (const partition of this.#led()) {
      const others = this.#successors(partition);
      this.#offer(
        partition,
        others.filter((node) => this.#wouldTake(node)),
        fullMs,
      );
    }
  }

  /** Called now and again while the catalog has this node drained. */
  fromDrainedNode(elapsedMs: number): void {
    const { gossip } = this.#parts;
    for (const partition of this.#led()) {
      const willing = this.#successors(partition).filter((node) => gossip.isWilling(node));
      this.#offer(partition, willing, elapsedMs);
    }
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

  /** A successor that does not take over within an election timeout is not asked for ever. */
  #offer(partition: Partition, successors: readonly string[], elapsedMs: number): void {
    const { tickMs, timing } = this.#parts.options;
    const round = Math.floor(elapsedMs / (tickMs * timing.electionTicksMax));
    const successor = successors[round % successors.length];
    if (successor !== undefined) partition.transferTo(successor);
  }
}
