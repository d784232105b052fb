/**
 * One topic partition: one Raft group and one log, and the only room where the two meet (house B1). Verbs: append,
 * propose, read, watch, transfer, close. It owns the objects of this room and lets one turn run at a time; nothing is
 * awaited between the first and the last write of one change.
 * Expected outcomes are values. Only a broken invariant throws, and then the process ends.
 */
import type { EntryId, Log, LogIndex, Offset, ProducerTuple, Snapshot } from '../../storage/index.ts';
import type { Clock } from '../env.ts';
import type { BatchHeader } from '../protocol/index.ts';
import type { InstallSnapshot, Membership, MembershipTarget, Raft, RaftStatus } from '../raft/index.ts';
import { type AppendOutcome, AppendQueue } from './append-queue.ts';
import type { FeedWaiter, WakeReason } from './commit-feed.ts';
import { Compactor } from './compactor.ts';
import { encodeControl } from './control.ts';
import { createRaft } from './core.ts';
import { Drive } from './drive.ts';
import { isTermKnown, type OneSupply, type WantedEntry } from './entry-supply.ts';
import { Inbox } from './inbox.ts';
import { Installing } from './installing.ts';
import { beginChange, type MembershipChange } from './membership-change.ts';
import { Mending } from './mending.ts';
import { type Opened, openReplayed } from './opening.ts';
import type { PartitionEvents, PartitionOptions, PartitionWorld } from './options.ts';
import type { PeerMessage } from './peer-codec.ts';
import type { PendingEntries } from './pending-entries.ts';
import { ReadIndex, type ReadIndexOutcome } from './read-index.ts';
import { type OffsetOutcome, type ReadOutcome, Reads, type TermOutcome } from './reads.ts';
import { Rejoining } from './rejoining.ts';
import { Replicator } from './replicator.ts';
import { Rights } from './rights.ts';
import { type SnapshotOutcome, Snapshots } from './snapshots.ts';
import { PartitionState } from './state.ts';
import { type PartitionStatus, statusOf } from './status.ts';
import { TailCache } from './tail-cache.ts';

export class Partition {
  readonly #options: PartitionOptions;
  readonly #events: PartitionEvents;
  readonly #log: Log;
  readonly #raft: Raft;
  readonly #state: PartitionState;
  readonly #pending: PendingEntries;
  readonly #cache: TailCache;
  readonly #drive: Drive;
  readonly #inbox: Inbox;
  readonly #installing: Installing;
  readonly #replicator: Replicator;
  readonly #queue: AppendQueue;
  readonly #reads: Reads;
  readonly #snapshots: Snapshots;
  readonly #mending: Mending;
  readonly #rights: Rights;
  readonly #readIndex: ReadIndex;
  /** Whether it is wanted is for the catalog to say. */
  readonly compactor: Compactor;
  readonly #clock: Clock;
  readonly rejoining: Rejoining;
  #closing: Promise<void> | undefined;
  /** The state that came with the snapshot message being stepped. */
  #received: Snapshot | undefined;

  /**
   * Opens the log and brings the state up to what is known committed. Writes nothing that it has not validated (W25).
   * @throws StorageError when the log cannot be opened at all, UnsupportedEntry when a newer version wrote it: the
   * caller names the partition and goes on without it.
   */
  static async open(options: PartitionOptions, world: PartitionWorld, events: PartitionEvents): Promise<Partition> {
    return new Partition(options, world, events, await openReplayed(options, world, events));
  }

  private constructor(options: PartitionOptions, world: PartitionWorld, events: PartitionEvents, opened: Opened) {
    const { log, state, pending, mender, marker } = opened;
    const { groupId, nodeId } = options;
    const { clock, timers } = world.env;
    const { transport } = world;
    this.#clock = clock;
    this.#options = options;
    this.#events = events;
    this.#log = log;
    this.#state = state;
    this.#pending = pending;
    const cache = new TailCache(world.cacheBudget);
    this.#cache = cache;
    const raft = createRaft(options, world, { log, state, pending, isRejoining: marker !== undefined });
    this.#raft = raft;
    const rights = new Rights(log, raft);
    this.#rights = rights;
    const run = (): void => this.#drive.run();
    this.#readIndex = new ReadIndex({ raft, clock, lease: options.lease, run });
    const onReadFailure = (error: unknown): void => this.#mending.readFailed(error);
    const membershipOf = (snapshot: Snapshot): Membership =>
      PartitionState.membershipIn(snapshot.state) ?? options.membership;
    const { snapshotPace: pace } = world;
    const onTrouble = (what: string, error: unknown): void => events.onTrouble(what, error);
    const isClosed = (): boolean => this.isClosed;
    const giveWay = (): void => this.#giveWay();
    this.#mending = new Mending({ log, raft, mender, rights, isClosed, run, giveWay, onTrouble });
    const parts = { groupId, raft, log, cache, transport, membershipOf, timers, pace, run, onReadFailure };
    const replicator = new Replicator(parts);
    this.#replicator = replicator;
    this.#drive = new Drive({
      raft,
      log,
      state,
      pending,
      cache,
      sendMessage: (message) => {
        this.#readIndex.onSending(message);
        replicator.sendMessage(message);
      },
      sendEntries: (peer, from, bytesMax) => replicator.sendEntries(peer, from, bytesMax),
      sendSnapshot: (peer) => replicator.sendSnapshot(peer),
      install: (message) => this.#install(message),
      onApplied: () => this.#applied(),
      onTruncated: (from) => this.#snapshots.truncated(from),
      onStatus: (status) => this.#statusChanged(status),
      onPace: (pace) => events.onPace(pace),
      onLostAcks: (lost) => events.onLostAcks(lost),
      onUnsupported: (error) => {
        pending.loseWaiters();
        events.onBroken(error);
      },
      nowMs: () => clock.nowMs(),
    });
    const mayTake = (isFreeing: boolean): boolean => rights.mayTake(isFreeing);
    this.#queue = new AppendQueue({ raft, log, state, pending, drive: this.#drive, clock, timers, mayTake });
    this.#reads = new Reads({ log, state, cache, repair: (index) => this.#mending.mend(index) });
    this.compactor = new Compactor(log, state, cache, options.segmentBytes);
    this.#snapshots = new Snapshots({
      log,
      ...{ state, timers, createMachine: options.createMachine },
      onTrimmed: () => this.#trimmed(),
      onFailure: (error) => events.onTrouble('a snapshot or trim failed; it is tried again at the next one', error),
    });
    this.#inbox = new Inbox({
      nodeId,
      log,
      cache,
      rights,
      raft,
      send: (peer, lane, chunks) => transport.send(peer, lane, groupId, chunks),
      step: (message, snapshot) => this.#stepReceived({ message, entries: [], previousChain: undefined, snapshot }),
      onWanted: (from, wanted) => replicator.onWanted(from, wanted),
      isInstalling: () => this.#installing.isRunning,
      onTrouble,
      onDivergence: (what) => this.rejoining.giveUp(what),
    });
    this.#installing = new Installing({
      ...{ raft, log, state, timers, pending, cache, rights, snapshots: this.#snapshots, onTrouble },
      drive: this.#drive,
      isClosed,
      onInstalled: () => {
        this.#inbox.installed();
        this.rejoining.replaced();
        this.compactor.reset();
      },
      onApplied: () => this.#applied(),
    });
    const propose = (payload: Uint8Array): Promise<AppendOutcome> => this.#proposeControl(payload, true);
    const rejoiningParts = { nodeId, world, log, raft, state, mender, run, propose, isClosed, events };
    this.rejoining = new Rejoining(rejoiningParts, marker);
    if (opened.isFull) this.#logBecameFull(true, undefined);
    opened.hearBy({
      onFlushed: (at) => this.#step((raft) => raft.persisted(at)),
      onSealed: (last) => this.#snapshots.sealed(last),
      onFull: (isFull, cause) => this.#logBecameFull(isFull, cause),
      onDamage: () => this.#mending.changed(),
    });
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  get groupId(): number {
    return this.#options.groupId;
  }

  get role(): RaftStatus['role'] {
    return this.#raft.role;
  }

  get term(): number {
    return this.#raft.term;
  }

  /** First offset that can be read. */
  get earliest(): Offset {
    return this.#reads.earliest;
  }

  /** High watermark. */
  get tail(): Offset {
    return this.#reads.tail;
  }

  /** Everything at once, for status pages; single facts are cheaper by their getters. */
  get status(): PartitionStatus {
    return statusOf({ raft: this.#raft, reads: this.#reads, log: this.#log, rejoining: this.rejoining });
  }

  /** Leads, and its no-op is applied: everything committed in earlier terms is known here (R4). */
  get isReadyLeader(): boolean {
    const first = this.#raft.firstIndexOfTerm;
    return this.#raft.role === 'leader' && first !== undefined && this.#state.appliedIndex >= first;
  }

  get leader(): string | undefined {
    return this.#raft.leader;
  }

  /** Last entry whose effect is visible here, inclusive. */
  get appliedIndex(): LogIndex {
    return this.#reads.appliedIndex;
  }

  /** As the leader: the index that a replica must have applied to serve a linearizable read asked for now (R7). Takes
   *  a round trip to a majority, or nothing while a lease is held and good enough. */
  readIndex(mayLease: boolean): Promise<ReadIndexOutcome> {
    return this.#readIndex.ask(mayLease);
  }

  get voters(): readonly string[] {
    return this.#raft.membership.voters;
  }

  /** In force here, committed or not. */
  get membership(): Membership {
    return this.#raft.membership;
  }

  /** The last entry known committed, if its term is known as well. */
  get committed(): EntryId | undefined {
    const index = this.#raft.commit;
    const term = isTermKnown(this.#log, index) ? this.#log.termAt(index) : undefined;
    return term === undefined ? undefined : { index, term };
  }

  /** The last one that is committed and applied here. */
  get committedMembership(): Membership {
    return this.#state.membership ?? this.#options.membership;
  }

  /** See PartitionEvents.onPace. */
  tick(ticks = 1): void {
    if (this.isClosed) return;
    this.#readIndex.onTick();
    if (this.#raft.tick(ticks)) this.#drive.run();
  }

  /**
   * Puts a checked batch into the log. Resolves when it is committed and applied here, or with a refusal.
   * @param batch Given: base offset and leader epoch are patched in place.
   */
  append(batch: Uint8Array, header: BatchHeader, producer: ProducerTuple | undefined): Promise<AppendOutcome> {
    return new Promise((settle) => this.#queue.push({ kind: 'batch', batch, header, producer, settle }));
  }

  /** Moves the log start offset through the log. Resolves when that is applied here. */
  proposeTrim(before: Offset): Promise<AppendOutcome> {
    return this.#proposeControl(encodeControl({ kind: 'trim', before }), true);
  }

  /** Says through the log that every replica has compacted below `before`. */
  proposeCompacted(before: Offset): Promise<AppendOutcome> {
    return this.#proposeControl(encodeControl({ kind: 'compacted', before }), true);
  }

  /**
   * Puts a command for the state machine into the log. Resolves when it is applied here, with what the machine made
   * of it.
   * @param isFreeing It makes room: taken even where a full disk refuses others.
   */
  proposeCommand(command: unknown, isFreeing = false): Promise<AppendOutcome> {
    return this.#proposeControl(encodeControl({ kind: 'machine', command }), isFreeing);
  }

  /**
   * Leader: begins to change the membership. 'begun' says that the entry is in this log and no more; how it ends is
   * seen in `committedMembership`, here or at the next leader. Asking again is safe.
   */
  changeMembership(target: MembershipTarget): MembershipChange {
    if (this.isClosed) return { kind: 'refused', reason: 'not-leader' };
    const parts = { raft: this.#raft, log: this.#log, drive: this.#drive };
    const change = beginChange(parts, target, () => this.#clock.nowMs());
    this.#drive.run();
    return change;
  }

  #proposeControl(payload: Uint8Array, isFreeing: boolean): Promise<AppendOutcome> {
    return new Promise((settle) => this.#queue.push({ kind: 'control', payload, isFreeing, settle }));
  }

  /** Committed batches from `offset` on. */
  read(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    return this.#reads.read(offset, bytesMax);
  }

  /** First offset whose append time is at or after `timestampMs`, within what can be read. */
  offsetOfTime(timestampMs: number): Promise<OffsetOutcome> {
    return this.#reads.offsetOfTime(timestampMs);
  }

  /** Term of the entry that holds the record at `offset`, which is below the tail. */
  termOf(offset: Offset): Promise<TermOutcome> {
    return this.#reads.termOf(offset);
  }

  /** Calls back once the entry at `index` is applied, or the partition is closed; the caller checked that it is not. */
  watchApplied(index: LogIndex, wake: (reason: WakeReason) => void): FeedWaiter {
    return this.#reads.watchApplied(index, wake);
  }

  /** Calls back once the high watermark is above `offset`, or the partition is closed; at once when it is. */
  watch(offset: Offset, wake: (reason: WakeReason) => void): FeedWaiter {
    return this.#reads.watch(offset, wake);
  }

  /** A raft message. Bytes are given. One that is malformed or damaged is dropped: the sender repeats it. */
  receive(from: string, bytes: Uint8Array): void {
    if (this.isClosed) return;
    const received = this.#inbox.take(from, bytes);
    if (received !== undefined) this.#stepReceived(received);
  }

  #stepReceived(received: PeerMessage): void {
    const { message, entries } = received;
    const isThinned = entries.some(({ header }) => header.compacted !== undefined);
    if (message.kind === 'append' && isThinned) this.#reads.veil(message.commit);
    this.#received = received.snapshot;
    this.#drive.step(received.message, received.entries);
    this.#received = undefined;
    this.#readIndex.onReceived(received.message);
  }

  peerDown(peer: string): void {
    this.#step((raft) => raft.peerDown(peer));
  }

  /** The node of `peer` was not heard for so many ticks: groups that rest wake, and count for themselves. */
  peerSilent(peer: string, ticks: number): void {
    this.#step((raft) => raft.peerSilent(peer, ticks));
  }

  /** The node of the leader says whether it leads this group in this term, on which the replica rests. */
  leaderSays(isLed: boolean): void {
    if (isLed !== this.#raft.isResting) this.#step((raft) => (isLed ? raft.vouchedFor() : raft.wake()));
  }

  /** The process stood still for so many ticks, and has read since what came in meanwhile (R24). */
  stalled(ticks: number): void {
    this.#step((raft) => raft.stalled(ticks));
  }

  /** Campaigns at once: the preferred leader of a partition that was just made. */
  campaign(): void {
    this.#step((raft) => raft.campaign());
  }

  /** Asks `to` to take over. False: this node does not lead, or `to` is no voter. */
  transferTo(to: string): boolean {
    const isStarted = this.#raft.transferTo(to);
    // Before the order to campaign leaves (R8).
    if (isStarted) this.#readIndex.forbidLease();
    this.#drive.run();
    return isStarted;
  }

  #giveWay(): void {
    const successor = this.voters.find((voter) => this.isInStep(voter));
    if (successor !== undefined) this.transferTo(successor);
  }

  /** Leads no more, whoever comes next; the others find out by themselves. */
  stepDown(): void {
    this.#step((raft) => raft.stepDown());
  }

  #step(event: (raft: Raft) => void): void {
    if (this.isClosed) return;
    event(this.#raft);
    this.#drive.run();
  }

  /** Whether `peer` holds everything committed, so that a transfer to it is short. */
  isInStep(peer: string): boolean {
    const progress = this.#raft.progressOf(peer);
    return progress?.state === 'replicate' && progress.isActive && progress.match >= this.#raft.commit;
  }

  /** The disk has no room: producers' entries are not taken; reads, votes and trims live on. `mayCampaign`: nobody with
   *  room is there to lead. */
  setFull(isFull: boolean, mayCampaign: boolean): void {
    this.#rights.setNodeFull(isFull, mayCampaign);
    this.#drive.run();
  }

  /** Seeks no leadership from here on; what it leads it goes on leading until it is handed over. */
  resign(): void {
    this.#rights.resign();
    this.#drive.run();
  }

  /** One entry, for a peer whose copy is damaged. */
  readEntry(wanted: WantedEntry): Promise<OneSupply> {
    return this.#mending.supply(wanted, this.#state.appliedIndex);
  }

  /** See Mending. */
  mendAll(): Promise<void> {
    return this.#mending.mendAll();
  }

  /** See Log. */
  scrub(pace: Parameters<Log['scrub']>[0]): Promise<number> {
    return this.#log.scrub(pace);
  }

  segments(): ReturnType<Log['segments']> {
    return this.#log.segments();
  }

  /** See Snapshots. */
  seal(): Promise<void> {
    return this.#snapshots.seal();
  }

  /** See Snapshots. */
  takeSnapshot(): Promise<SnapshotOutcome> {
    return this.#snapshots.take();
  }

  /** Flushes and closes. Producers that wait are told that their fate is unknown. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#drive.stop();
    this.#replicator.reset();
    this.#queue.close();
    this.#pending.loseWaiters();
    this.#readIndex.close();
    this.#reads.close();
    this.#snapshots.stop();
    await this.#inbox.close();
    // The log before the end of the snapshots: work of theirs that waits for room on a full disk ends only with it.
    await this.#log.close();
    await this.#snapshots.settled();
    this.#cache.clear();
  }

  #logBecameFull(isFull: boolean, cause: Error | undefined): void {
    this.#events.onFull(isFull, cause);
    this.#rights.setLogFull(isFull);
    this.#drive.run();
  }

  #applied(): void {
    this.#reads.applied();
    // A new leader's no-op may be among what was committed (R4).
    this.#readIndex.advance();
    this.#snapshots.applied();
    this.rejoining.check();
    this.#events.onApplied();
  }

  #trimmed(): void {
    // While a snapshot replaces the log, its start is ahead of what the core was told; it will be told of both.
    if (this.isClosed || this.#installing.isRunning) return;
    this.#raft.logStartMoved(this.#log.base);
    this.#drive.run();
  }

  #statusChanged(status: RaftStatus): void {
    this.#readIndex.reset();
    this.#replicator.reset();
    // A leader that lost its majority (same term, nobody known to lead) cannot tell its producers more (R10). One that
    // was succeeded keeps them waiting: the successor is likely to commit what they sent.
    if (status.role !== 'leader' && status.leader === undefined) this.#pending.loseWaiters();
    this.#events.onStatus(status);
  }

  #install(message: InstallSnapshot): void {
    const snapshot = this.#received;
    if (snapshot === undefined) return;
    this.#installing.begin(message, snapshot);
  }
}
