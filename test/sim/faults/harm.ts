/**
 * Whose disk may be hurt. The cluster promises to survive what leaves a good copy of each committed entry where the
 * others can get at it, and no more; so in one run one machine is the unlucky one, and what takes away things that it
 * had acknowledged happens to it only while every other replica holds them durably too.
 */
import type { EntryHeader, Log } from '../../../storage/index.ts';
import type { GroupView, View } from '../invariants/view.ts';

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

  /** Groups that can lose the unlucky machine's copy, and have not lost it by a forged entry. */
  spareGroups(): number[] {
    return [...this.#view.groups.values()].filter((group) => this.#isSpare(group)).map(({ id }) => id);
  }

  /** Whether an entry that the unlucky machine is sent may be forged: its copy can be lost, and is sound until then. */
  mayBeDeceived(groupId: number): boolean {
    const group = this.#view.groups.get(groupId);
    const own = group?.replicas.get(this.unlucky);
    if (group === undefined || own === undefined || own.observed.log.damage.length > 0) return false;
    return own.core?.isRejoining === false && this.#isSpare(group);
  }

  /** Whether that entry comes next there, behind this one, and all others hold it and the one behind it, committed. */
  canSpareEntry(groupId: number, index: number, previousIndex: number): boolean {
    const group = this.#view.groups.get(groupId)!;
    const own = group.replicas.get(this.unlucky)!;
    const others = [...group.replicas.values()].filter((other) => other !== own && this.#isMember(other.node));
    const isAhead = others.every(({ durableIndex, observed: { log } }) => durableIndex > index && holds(group, log));
    // What was to be cut away first would take what is known of the forged entry with it.
    return own.observed.log.lastIndex === previousIndex && index < group.commit && isAhead;
  }

  /** It gets this one instead. */
  deceive(groupId: number, forged: EntryHeader): void {
    this.#view.deceive(this.unlucky, groupId, forged);
  }

  /**
   * Whether a majority is left without any one replica, as far as any replica has heard: a membership counts from when
   * it is appended. While two voters give way to two others, three machines hold the log, and the loss of one that is
   * in both pairs, or of the newcomer, is the loss of a majority.
   */
  #isSpare({ id, replicas }: GroupView): boolean {
    const present = [...replicas.values()].filter(({ node }) => this.#isMember(node));
    const memberships = present.flatMap(({ membership }) => membership ?? []);
    // Voters that were lost already are voters still, until the catalog has moved what they held.
    const isLeft = (voters: readonly string[]): boolean =>
      (voters.filter((voter) => present.some(({ node }) => node === voter)).length - 1) * 2 > voters.length;
    return (
      !this.#view.isDeceived(this.unlucky, id) &&
      present.length >= 3 &&
      memberships.every(({ voters, votersOutgoing }) => isLeft(voters) && votersOutgoing.length === 0)
    );
  }

  /** Term and vote of each group on this machine, as last made durable. */
  hardStates(node: string): unknown[] {
    return [...this.#view.groups.values()].map(({ id, replicas }) => [id, replicas.get(node)?.hardState]);
  }

  /** Whether each group that this machine has a copy of can lose it. */
  isSpare(node: string): boolean {
    return [...this.#view.groups.values()].every((group) => !group.replicas.has(node) || this.#isSpare(group));
  }

  /** Whether all that this machine ever acknowledged is durable on every other replica as well, and a majority does
   *  without it. */
  isRedundant(node: string): boolean {
    for (const group of this.#view.groups.values()) {
      const { replicas } = group;
      const own = replicas.get(node);
      if (own === undefined) continue;
      if (!this.#isSpare(group)) return false;
      const others = [...replicas.values()].filter((replica) => replica !== own && this.#isMember(replica.node));
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

/** What is committed, as far as anybody knows, is in this log. */
function holds({ commit, commitTerm }: GroupView, log: Log): boolean {
  return log.lastIndex < commit || log.base.index > commit || log.termAt(commit) === commitTerm;
}
