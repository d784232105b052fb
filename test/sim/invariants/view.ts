/**
 * What the invariants know of the cluster: each replica as it was last seen, each group as all its replicas together
 * have shown it. It grows by the events of the observer (test/sim/world/observer.ts) and judges nothing itself.
 */
import { CATALOG_GROUP } from '../../../src/broker/catalog.ts';
import type { CompactionOutcome, ReadIndexOutcome } from '../../../src/partition/index.ts';
import type { Partition } from '../../../src/partition/partition.ts';
import type { ProducerTable } from '../../../src/partition/producer-table.ts';
import type { PartitionState } from '../../../src/partition/state.ts';
import type { InstallSnapshot, Membership, Message } from '../../../src/raft/index.ts';
import type { RaftState } from '../../../src/raft/state.ts';
import type { ChainSum, EntryHeader, HardState, LogEntry, Snapshot } from '../../../storage/index.ts';
import { sameChain } from '../../../storage/index.ts';
import type { AnsweredAppend, Observed, ObserverEvents } from '../world/observer.ts';

export interface ReplicaView {
  readonly node: string;
  /** As of the last opening. Still answers for a process that is gone: what was durable then is durable now. */
  observed: Observed;
  /** Last entry that a flush made durable. */
  durableIndex: number;
  /** As last made durable. */
  hardState: HardState;
  /** Of this life of the process. */
  commit: number;
  isResting: boolean;
  /** In force. Undefined while the log is open and its core is not made yet. */
  membership: Membership | undefined;
  /** The core itself, alive; for reports. */
  core: Readonly<RaftState> | undefined;
  /** What de-duplication goes by here. */
  producers: ProducerTable | undefined;
}

/** An entry that a replica was given in place of the one all others have. */
interface Deceit {
  readonly index: number;
  readonly chain: ChainSum;
  /** It is in that log. */
  isTaken: boolean;
}

export interface GroupView {
  readonly id: number;
  readonly replicas: Map<string, ReplicaView>;
  /** Highest index that any replica took for committed, and its term. */
  commit: number;
  commitTerm: number;
  /** Term of each committed entry, as first seen. */
  readonly committedTerms: Map<number, number>;
}

/** A broken promise of safety; it ends the run. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** One rule. It is told what happened, after the view was brought up to date, and throws a Violation. */
export interface Invariant {
  readonly name: string;
  /** Where the rule comes from. */
  readonly source: string;
  opened?(group: GroupView, replica: ReplicaView, before: ReplicaView | undefined): void;
  /** The log of a group that was deleted, or lives elsewhere by now, is about to go. */
  removing?(node: string, groupId: number): void;
  /** It is gone, and stays so whatever happens to the node. */
  removed?(node: string, groupId: number): void;
  appended?(group: GroupView, replica: ReplicaView, entries: readonly LogEntry[]): void;
  truncating?(group: GroupView, replica: ReplicaView, from: number): void;
  /** Everything up to this entry is on the disk. */
  flushed?(group: GroupView, replica: ReplicaView, at: { readonly term: number; readonly index: number }): void;
  hardStateSaved?(group: GroupView, replica: ReplicaView, before: HardState): void;
  savingSnapshot?(group: GroupView, replica: ReplicaView, snapshot: Snapshot, encodedAt: number | undefined): void;
  trimming?(group: GroupView, replica: ReplicaView, firstIndexToKeep: number): void;
  /** @param commitBefore What this replica took for committed until now. */
  stepped?(group: GroupView, replica: ReplicaView, state: Readonly<RaftState>, commitBefore: number): void;
  /** A message without entries is handed to the transport. */
  sending?(group: GroupView, replica: ReplicaView, message: Message): void;
  /** Something is committed that was not known to be: called once for each rise of the group's commit. */
  committed?(group: GroupView, replica: ReplicaView, state: Readonly<RaftState>): void;
  applied?(group: GroupView, header: EntryHeader, state: PartitionState): void;
  /** The log was replaced by a state; `replica` is as it was before. */
  installed?(group: GroupView, replica: ReplicaView, at: { readonly index: number }): void;
  /** A producer is answered. */
  answered?(group: GroupView, append: AnsweredAppend): void;
  /** @param committed What was committed in this group when the leader was asked. */
  readAnswered?(group: GroupView, node: string, outcome: ReadIndexOutcome, committed: number): void;
  /** A state is offered to a follower. */
  offering?(group: GroupView, replica: ReplicaView, message: InstallSnapshot): void;
}

type Rules = { readonly [H in Exclude<keyof Invariant, 'name' | 'source'>]-?: readonly NonNullable<Invariant[H]>[] };

function rulesOf(invariants: readonly Invariant[]): Rules {
  const all = <H extends keyof Rules>(kind: H): NonNullable<Invariant[H]>[] =>
    invariants.flatMap((invariant) => invariant[kind] ?? []);
  return {
    opened: all('opened'),
    removing: all('removing'),
    removed: all('removed'),
    appended: all('appended'),
    truncating: all('truncating'),
    flushed: all('flushed'),
    hardStateSaved: all('hardStateSaved'),
    savingSnapshot: all('savingSnapshot'),
    trimming: all('trimming'),
    stepped: all('stepped'),
    sending: all('sending'),
    committed: all('committed'),
    applied: all('applied'),
    installed: all('installed'),
    answered: all('answered'),
    readAnswered: all('readAnswered'),
    offering: all('offering'),
  };
}

/** Passes of compaction, and what came of them. */
interface CompactionCount {
  begun: number;
  ended: number;
  /** Passes that took something out. */
  rewritten: number;
  givenUp: number;
  /** Segments written anew to mend an entry of which a peer had another form. */
  mendedAnew: number;
}

export class View implements ObserverEvents {
  readonly groups: Map<number, GroupView> = new Map();
  /** What is to be called when something happened: most invariants look at one or two kinds of it only. */
  readonly #rules: Rules;
  readonly #onBreach: (error: unknown) => void;
  readonly #deleted = new Set<number>();
  /** Events looked at. */
  checks = 0;
  /** Logs that began anew behind a state of a peer's. */
  installs = 0;
  /** How often a group was seen to go to rest on a replica. */
  rests = 0;
  readonly compaction: CompactionCount = { begun: 0, ended: 0, rewritten: 0, givenUp: 0, mendedAnew: 0 };
  /** By node and group, from when it is on its way until that log is begun anew: this very entry is no breach there. */
  readonly #deceits = new Map<string, Deceit>();
  readonly #everDeceived = new Set<string>();
  readonly deceits: { taken: number; begunAnew: number } = { taken: 0, begunAnew: 0 };
  onDeceived: (node: string) => void = () => undefined;
  /** Told of each partition that begins to work on a node. */
  onPartition: (node: string, partition: Partition) => void = () => undefined;

  /** @param onBreach Told of a rule that is broken. Nothing is thrown: the code that is watched would catch it. */
  constructor(invariants: readonly Invariant[], onBreach: (error: unknown) => void) {
    this.#rules = rulesOf(invariants);
    this.#onBreach = onBreach;
  }

  /** The machine was taken away: nothing that was durable on it counts any more. */
  forget(node: string): void {
    for (const group of this.groups.values()) group.replicas.delete(node);
  }

  /** As forget(), for one log. */
  lose(node: string, groupId: number): void {
    this.groups.get(groupId)?.replicas.delete(node);
  }

  /** An entry is about to reach this replica as another one. */
  deceive(node: string, groupId: number, { index, chain }: EntryHeader): void {
    this.#deceits.set(`${node}/${groupId}`, { index, chain, isTaken: false });
  }

  /** Whether its log holds an entry that was forged on the way there. */
  isDeceived(node: string, groupId: number): boolean {
    return this.#deceits.get(`${node}/${groupId}`)?.isTaken === true;
  }

  /** Whether it ever did: one that is being given up for it goes also when a snapshot takes its place meanwhile. */
  wasDeceived(node: string, groupId: number): boolean {
    return this.#everDeceived.has(`${node}/${groupId}`);
  }

  #isForged(node: string | undefined, groupId: number, { index, chain }: EntryHeader): boolean {
    const deceit = this.#deceits.get(`${node}/${groupId}`);
    return deceit !== undefined && deceit.index === index && sameChain(deceit.chain, chain);
  }

  #taken(node: string, groupId: number): void {
    this.#deceits.get(`${node}/${groupId}`)!.isTaken = true;
    this.#everDeceived.add(`${node}/${groupId}`);
    this.deceits.taken += 1;
    this.onDeceived(node);
  }

  /** The log ends in front of `from`, or begins behind it. */
  #undeceived(node: string, groupId: number, hasLost: (index: number) => boolean): void {
    const deceit = this.#deceits.get(`${node}/${groupId}`);
    if (deceit !== undefined && hasLost(deceit.index)) this.#deceits.delete(`${node}/${groupId}`);
  }

  opened(observed: Observed): void {
    const group = this.#group(observed.group);
    const before = group.replicas.get(observed.node);
    const { log } = observed;
    const replica: ReplicaView = {
      node: observed.node,
      observed,
      durableIndex: log.lastIndex,
      hardState: log.hardState,
      commit: 0,
      isResting: false,
      membership: undefined,
      core: undefined,
      producers: undefined,
    };
    group.replicas.set(observed.node, replica);
    // One that was given up may be there once more: its removal was not durable.
    this.#undeceived(observed.node, group.id, (index) => index > log.lastIndex);
    this.#tell(this.#rules.opened, group, replica, before);
  }

  appended(observed: Observed, entries: readonly LogEntry[]): void {
    const [group, replica] = this.#find(observed);
    if (replica === undefined) return;
    const { node } = observed;
    const sound = entries.filter(({ header }) => !this.#isForged(node, group.id, header));
    if (sound.length < entries.length) this.#taken(node, group.id);
    if (sound.length > 0) this.#tell(this.#rules.appended, group, replica, sound);
  }

  truncating(observed: Observed, from: number): void {
    const [group, replica] = this.#find(observed);
    if (replica === undefined) return;
    this.#tell(this.#rules.truncating, group, replica, from);
    this.#undeceived(observed.node, group.id, (index) => index >= from);
    replica.durableIndex = Math.min(replica.durableIndex, from - 1);
  }

  removed(node: string, groupId: number): void {
    this.#tell(this.#rules.removed, node, groupId);
  }

  /** A deletion is committed before any log goes. */
  removing(node: string, groupId: number): void {
    this.#tell(this.#rules.removing, node, groupId);
    // The catalog is never deleted: what a node without a cluster removes is what it began and did not finish.
    if (groupId === CATALOG_GROUP || this.#hasMovedAway(node, groupId)) {
      this.lose(node, groupId);
      return;
    }
    this.groups.delete(groupId);
    this.#deleted.add(groupId);
  }

  /** The log goes because the group lives elsewhere by now, not because it was deleted. */
  #hasMovedAway(node: string, groupId: number): boolean {
    const others = [...(this.groups.get(groupId)?.replicas.values() ?? [])].filter((other) => other.node !== node);
    const newest = others.sort((a, b) => b.commit - a.commit)[0]?.membership;
    if (newest === undefined) return false;
    return ![newest.voters, newest.votersOutgoing, newest.learners].some((ids) => ids.includes(node));
  }

  flushed(observed: Observed, at: { readonly term: number; readonly index: number }): void {
    const [group, replica] = this.#find(observed);
    if (replica === undefined || observed.log.termAt(at.index) !== at.term) return;
    replica.durableIndex = Math.max(replica.durableIndex, at.index);
    this.#tell(this.#rules.flushed, group, replica, at);
  }

  hardStateSaved(observed: Observed, hardState: HardState): void {
    const [group, replica] = this.#find(observed);
    if (replica === undefined) return;
    const before = replica.hardState;
    replica.hardState = hardState;
    this.#tell(this.#rules.hardStateSaved, group, replica, before);
  }

  installed(observed: Observed, at: { readonly index: number }): void {
    this.installs += 1;
    const [group, replica] = this.#find(observed);
    if (replica === undefined) return;
    this.#tell(this.#rules.installed, group, replica, at);
    this.#undeceived(observed.node, group.id, () => true);
    replica.durableIndex = Math.max(observed.log.base.index, at.index);
  }

  savingSnapshot(observed: Observed, snapshot: Snapshot, encodedAt: number | undefined): void {
    const [group, replica] = this.#find(observed);
    if (replica !== undefined) this.#tell(this.#rules.savingSnapshot, group, replica, snapshot, encodedAt);
  }

  trimming(observed: Observed, firstIndexToKeep: number): void {
    const [group, replica] = this.#find(observed);
    if (replica !== undefined) this.#tell(this.#rules.trimming, group, replica, firstIndexToKeep);
  }

  made(observed: Observed, state: Readonly<RaftState>): void {
    const [, replica] = this.#find(observed);
    if (replica === undefined) return;
    replica.membership = state.membership;
    replica.core = state;
  }

  stepped(observed: Observed, state: Readonly<RaftState>): void {
    const [group, replica] = this.#find(observed);
    if (replica === undefined) return;
    if (state.isResting && !replica.isResting) this.rests += 1;
    replica.isResting = state.isResting;
    const commitBefore = replica.commit;
    replica.commit = state.commit;
    this.#tell(this.#rules.stepped, group, replica, state, commitBefore);
    replica.membership = state.membership;
    replica.core = state;
    if (state.commit <= group.commit) return;
    for (let index = group.commit + 1; index <= state.commit; index += 1) {
      const term = state.log.termAt(index);
      if (term !== undefined) group.committedTerms.set(index, term);
    }
    group.commit = state.commit;
    group.commitTerm = state.log.termAt(state.commit) ?? group.commitTerm;
    this.#tell(this.#rules.committed, group, replica, state);
  }

  sending(observed: Observed, message: Message): void {
    const [group, replica] = this.#find(observed);
    if (replica !== undefined) this.#tell(this.#rules.sending, group, replica, message);
  }

  applied(node: string | undefined, groupId: number, header: EntryHeader, state: PartitionState): void {
    if (this.#deleted.has(groupId) || this.#isForged(node, groupId, header)) return;
    const group = this.#group(groupId);
    this.#tell(this.#rules.applied, group, header, state);
  }

  partitionOpened(node: string | undefined, partition: Partition): void {
    if (node !== undefined) this.onPartition(node, partition);
  }

  remembered(node: string | undefined, groupId: number, producers: ProducerTable): void {
    const replica = node === undefined ? undefined : this.groups.get(groupId)?.replicas.get(node);
    if (replica !== undefined) replica.producers = producers;
  }

  answered(groupId: number, append: AnsweredAppend): void {
    const group = this.groups.get(groupId);
    if (group !== undefined) this.#tell(this.#rules.answered, group, append);
  }

  readAsked(node: string | undefined, groupId: number): (outcome: ReadIndexOutcome) => void {
    const group = this.groups.get(groupId);
    const committed = group?.commit ?? 0;
    return (outcome) => {
      if (group === undefined || node === undefined || this.#deleted.has(groupId)) return;
      this.#tell(this.#rules.readAnswered, group, node, outcome, committed);
    };
  }

  compacting(): (outcome: CompactionOutcome) => void {
    const { compaction } = this;
    compaction.begun += 1;
    return (outcome) => {
      compaction.ended += 1;
      if (outcome.kind === 'given-up') compaction.givenUp += 1;
      if (outcome.kind === 'done' && outcome.segmentsRewritten > 0) compaction.rewritten += 1;
    };
  }

  mendingAnew(): void {
    this.compaction.mendedAnew += 1;
  }

  offering(observed: Observed, message: InstallSnapshot): void {
    const [group, replica] = this.#find(observed);
    if (replica !== undefined) this.#tell(this.#rules.offering, group, replica, message);
  }

  #tell<A extends readonly unknown[]>(rules: readonly ((...happened: A) => void)[], ...happened: A): void {
    this.checks += 1;
    for (const rule of rules) {
      try {
        rule(...happened);
      } catch (error) {
        this.#onBreach(error);
      }
    }
  }

  #group(id: number): GroupView {
    let group = this.groups.get(id);
    if (group === undefined) {
      group = { id, replicas: new Map(), commit: 0, commitTerm: 0, committedTerms: new Map() };
      if (!this.#deleted.has(id)) this.groups.set(id, group);
    }
    return group;
  }

  /** No replica: word of a process that is gone, or of a disk that is. */
  #find(observed: Observed): [GroupView, ReplicaView | undefined] {
    const group = this.#group(observed.group);
    const replica = group.replicas.get(observed.node);
    return [group, replica?.observed === observed ? replica : undefined];
  }
}
