/**
 * What a node without room for producers' entries says to its partitions. It seeks no leadership where a replica with
 * room could lead; where nobody did from one look to the next (that replica may be behind), a leader that refuses
 * appends serves better than none.
 */
import type { Partition } from '../partition/index.ts';

export class FullNode {
  #isFull = false;
  /** Groups that nobody led at the last look. */
  #leaderless: ReadonlySet<number> = new Set();

  get isFull(): boolean {
    return this.#isFull;
  }

  /** The node is full, or has room again. Said at every look while it is full. */
  tell(partitions: Iterable<Partition>, isFull: boolean, isRoomy: (node: string) => boolean): void {
    this.#isFull = isFull;
    const leaderless = new Set<number>();
    for (const partition of partitions) {
      const { groupId, leader, voters } = partition;
      if (leader === undefined) leaderless.add(groupId);
      const isStuck = leader === undefined && this.#leaderless.has(groupId);
      partition.setFull(isFull, isStuck || !voters.some(isRoomy));
    }
    this.#leaderless = leaderless;
  }
}
