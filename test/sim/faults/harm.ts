/**
 * Whose disk may be hurt. The cluster promises to survive what leaves a good copy of each committed entry where the
 * others can get at it, and no more; so in one run one machine is the unlucky one, and what takes away things that it
 * had acknowledged happens to it only while every other replica holds them durably too.
 */
import type { View } from '../invariants/view.ts';

export class Harm {
  /** The machine whose disk rots, lies, and is lost. */
  readonly unlucky: string;
  readonly #view: View;
  readonly #isMember: (node: string) => boolean;

  constructor(unlucky: string, view: View, isMember: (node: string) => boolean) {
    this.unlucky = unlucky;
    this.#view = view;
    this.#isMember = isMember;
  }

  /** Groups that can lose the unlucky machine's copy: those with two others at least. */
  spareGroups(): number[] {
    return [...this.#view.groups.values()]
      .filter(({ replicas }) => {
        const present = [...replicas.values()].filter(({ node }) => this.#isMember(node));
        // In a change of two replicas for two others, three hold the log and all of them are needed.
        const newest = present.sort((a, b) => b.commit - a.commit)[0]?.membership;
        const isSpare = newest === undefined || (newest.voters.length >= 3 && newest.votersOutgoing.length === 0);
        return present.length >= 3 && isSpare;
      })
      .map(({ id }) => id);
  }

  /** Term and vote of each group on this machine, as last made durable. */
  hardStates(node: string): unknown[] {
    return [...this.#view.groups.values()].map(({ id, replicas }) => [id, replicas.get(node)?.hardState]);
  }

  /** Whether all that this machine ever acknowledged is durable on every other replica as well. */
  isRedundant(node: string): boolean {
    for (const { replicas } of this.#view.groups.values()) {
      const own = replicas.get(node);
      if (own === undefined) continue;
      const others = [...replicas.values()].filter((replica) => replica !== own && this.#isMember(replica.node));
      if (others.length < 2) return false;
      const { log } = own.observed;
      const last = log.lastIndex;
      const term = log.termAt(last);
      for (const other of others) {
        const theirs = other.observed.log;
        const holds = theirs.base.index > last || theirs.termAt(last) === term;
        if (other.durableIndex < last || !holds) return false;
      }
    }
    return true;
  }
}
