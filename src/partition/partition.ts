/**
 * One topic partition: one Raft group and one log, and the only room where the two meet (house B1). Verbs: append,
 * propose, read, watch, transfer, close. It owns the objects of this room and lets one turn run at a time; nothing is
 * awaited between the first and the last write of one change.
 *
 * Expected outcomes are values. Only a broken invariant throws, and then the process ends.
 */

import {
  type Damage,
  ENTRY_HEADER_BYTES,
  type Log,
  type LogEntry,
  type LogIndex,
  type Offset,
  type ProducerTuple,
  type Snapshot,
  StorageError,
  sameChain,
} from '../../storage/index.ts';
import type { BatchHeader } from '../protocol/index.ts';
import { type InstallSnapshot, Raft, type RaftStatus } from '../raft/index.ts';
import { type AppendOutcome, AppendQueue } from './append-queue.ts';
import { CommitFeed, type FeedWaiter, type WakeReason } from './commit-feed.ts';
import { encodeControl } from './control.ts';
import { Drive } from './drive.ts';
import { Mender } from './mender.ts';
import type { PartitionEvents, PartitionOptions, PartitionWorld } from './options.ts';
import { decodePeerMessage, type PeerMessage } from './peer-codec.ts';
import type { PendingEntries } from './pending-entries.ts';
import { type ReadOutcome, Reads } from './reads.ts';
import { replay } from './replay.ts';
import { Replicator } from './replicator.ts';
import { Snapshots } from './snapshots.ts';
import { PartitionState } from './state.ts';
import { TailCache } from './tail-cache.ts';

export interface PartitionStatus extends RaftStatus {
  readonly earliest: Offset;
  /** High watermark. */
  readonly tail: Offset;
  readonly commit: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly bytes: number;
  readonly damage: readonly Damage[];
}

export class Partition {
  readonly #options: PartitionOptions;
  readonly #events: PartitionEvents;
  readonly #log: Log;
  readonly #raft: Raft;
  readonly #state: PartitionState;
  readonly #pending: PendingEntries;
  readonly #cache: TailCache;
  readonly #feed = new CommitFeed();
  readonly #drive: Drive;
  readonly #queue: AppendQueue;
  readonly #reads: Reads;
  readonly #snapshots: Snapshots;
  readonly #mender: Mender;
  /** The node is short of space, by its own measure. */
  #isNodeFull = false;
  /** A write failed for want of space; the log refuses entries until it finds some. */
  #isLogFull = false;
  /** This log and the leader's disagree although their terms and indexes agree: damage that no checksum caught. */
  #isDivergent = false;
  #isClosed = false;
  /** The state that came with the snapshot message being stepped. */
  #received: Snapshot | undefined;
  /** The log is being replaced: nothing may be appended until it is. */
  #isInstalling = false;

  /**
   * Opens the log and brings the state up to what is known committed. Writes nothing that it has not validated (W25).
   * @throws StorageError when the log cannot be opened at all: the caller names the partition and goes on without it.
   */
  static async open(options: PartitionOptions, world: PartitionWorld, events: PartitionEvents): Promise<Partition> {
    let partition: Partition | undefined;
    const log = await world.directory.openLog(options.groupId, {
      segmentBytes: options.segmentBytes,
      clusterId: options.clusterId,
      timers: world.env.timers,
      onFlushed: (at) => {
        if (partition !== undefined) partition.#flushed(at);
      },
      onSealed: (last) => {
        if (partition !== undefined) partition.#snapshots.sealed(last);
      },
      onFull: () => {
        if (partition !== undefined) partition.#logBecameFull(true);
      },
      onSpace: () => {
        if (partition !== undefined) partition.#logBecameFull(false);
      },
      observe: (event) => events.onLogEvent(event),
    });
    const state = new PartitionState(options.createMachine?.());
    const snapshot = log.latestSnapshot;
    if (snapshot !== undefined) state.restore(snapshot, snapshot.state);
    const mender = new Mender({ log, groupId: options.groupId, world, events });
    events.onReplaying((index) => readCommitted(log, index, log.commitHint));
    try {
      const { timers } = world.env;
      const pending = await replay({ log, state, mender, timers, isStopping: () => events.isStopping() });
      partition = new Partition(options, world, events, { log, state, pending, mender });
      return partition;
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  private constructor(
    options: PartitionOptions,
    world: PartitionWorld,
    events: PartitionEvents,
    opened: {
      readonly log: Log;
      readonly state: PartitionState;
      readonly pending: PendingEntries;
      readonly mender: Mender;
    },
  ) {
    const { log, state, pending, mender } = opened;
    this.#options = options;
    this.#events = events;
    this.#log = log;
    this.#state = state;
    this.#mender = mender;
    this.#pending = pending;
    const cache = new TailCache(world.cacheBudget);
    this.#cache = cache;
    const raft = createRaft(options, world, log, state);
    this.#raft = raft;
    const { groupId } = options;
    const { clock, timers } = world.env;
    const replicator = new Replicator({
      groupId,
      raft,
      log,
      cache,
      transport: world.transport,
      run: () => this.#drive.run(),
      onReadFailure: (error) => this.#readFailed(error),
    });
    this.#drive = new Drive({
      raft,
      log,
      state,
      pending,
      cache,
      sendMessage: (message) => replicator.sendMessage(message),
      sendEntries: (peer, from, bytesMax) => replicator.sendEntries(peer, from, bytesMax),
      sendSnapshot: (peer) => replicator.sendSnapshot(peer),
      install: (message) => this.#install(message),
      onApplied: () => this.#applied(),
      onTruncated: (from) => this.#snapshots.truncated(from),
      onStatus: (status) => this.#statusChanged(status),
      onLostAcks: ({ peer, acked, lastIndex }) =>
        events.onTrouble(
          `${peer} acknowledged entries up to ${acked} and now ends at ${lastIndex}: its disk lost them`,
          undefined,
        ),
      nowMs: () => clock.nowMs(),
    });
    this.#queue = new AppendQueue({
      raft,
      log,
      state,
      pending,
      drive: this.#drive,
      clock,
      timers,
      mayTakeEntries: () => this.#mayTakeEntries,
    });
    this.#reads = new Reads({ log, state, cache, repair: (index) => this.#mend(index) });
    this.#snapshots = new Snapshots({
      log,
      state,
      createMachine: options.createMachine,
      onTrimmed: () => {
        raft.logStartMoved(log.base);
        this.#drive.run();
      },
      onFailure: (error) => events.onTrouble('a snapshot or trim failed; it is tried again at the next one', error),
    });
    this.#limitRights();
  }

  get groupId(): number {
    return this.#options.groupId;
  }

  get status(): PartitionStatus {
    const { role, term, leader, commit } = this.#raft;
    const { logStart, highWatermark, appliedIndex } = this.#state;
    const { lastIndex, bytes, damage } = this.#log;
    return {
      role,
      term,
      leader,
      commit,
      earliest: logStart,
      tail: highWatermark,
      appliedIndex,
      lastIndex,
      bytes,
      damage,
    };
  }

  /** Leads, and its no-op is applied: everything committed in earlier terms is known here (R4). */
  get isReadyLeader(): boolean {
    const first = this.#raft.firstIndexOfTerm;
    return this.#raft.role === 'leader' && first !== undefined && this.#state.appliedIndex >= first;
  }

  get voters(): readonly string[] {
    return this.#raft.membership.voters;
  }

  tick(): void {
    if (this.#isClosed) return;
    this.#raft.tick();
    this.#drive.run();
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
    return this.#proposeControl(encodeControl({ kind: 'trim', before }));
  }

  /** Puts a command for the state machine into the log. Resolves when it is applied here. */
  proposeCommand(command: unknown): Promise<AppendOutcome> {
    return this.#proposeControl(encodeControl({ kind: 'machine', command }));
  }

  #proposeControl(payload: Uint8Array): Promise<AppendOutcome> {
    return new Promise((settle) => this.#queue.push({ kind: 'control', payload, settle }));
  }

  /** Committed batches from `offset` on. */
  read(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    return this.#reads.read(offset, bytesMax);
  }

  /** First offset whose append time is at or after `timestampMs`, within what can be read. */
  async offsetOfTime(timestampMs: number): Promise<Offset> {
    const found = await this.#log.offsetOfTime(timestampMs);
    return Math.min(Math.max(found, this.#state.logStart), this.#state.highWatermark);
  }

  /** Calls back once the high watermark is above `offset`, or the partition is closed. */
  watch(offset: Offset, wake: (reason: WakeReason) => void): FeedWaiter {
    return this.#feed.watch(offset, wake);
  }

  /** A raft message. Bytes are given. One that is malformed or damaged is dropped: the sender repeats it. */
  receive(from: string, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    let received: PeerMessage;
    try {
      received = decodePeerMessage(bytes, from, this.#options.nodeId);
    } catch (error) {
      this.#events.onTrouble(`dropped a message from ${from} that does not check`, error);
      return;
    }
    if (this.#mustWait(received)) return;
    this.#received = received.snapshot;
    this.#drive.step(received.message, received.entries);
    this.#received = undefined;
  }

  peerDown(peer: string): void {
    if (this.#isClosed) return;
    this.#raft.peerDown(peer);
    this.#drive.run();
  }

  /** Campaigns at once: the preferred leader of a partition that was just made. */
  campaign(): void {
    this.#raft.campaign();
    this.#drive.run();
  }

  /** Asks `to` to take over. False: this node does not lead, or `to` is no voter. */
  transferTo(to: string): boolean {
    const isStarted = this.#raft.transferTo(to);
    this.#drive.run();
    return isStarted;
  }

  /** Whether `peer` holds everything committed, so that a transfer to it is short. */
  isInStep(peer: string): boolean {
    const progress = this.#raft.progressOf(peer);
    return progress?.state === 'replicate' && progress.isActive && progress.match >= this.#raft.commit;
  }

  /** The disk has no room: no entries are taken, no leadership is sought; reads and votes live on. */
  setFull(isFull: boolean): void {
    this.#isNodeFull = isFull;
    this.#limitRights();
  }

  /** One committed entry, for a peer whose copy is damaged. */
  async readEntry(index: LogIndex): Promise<LogEntry | undefined> {
    const cached = index <= this.#state.appliedIndex ? this.#cache.get(index) : undefined;
    return cached ?? readCommitted(this.#log, index, this.#state.appliedIndex);
  }

  /** Mends what is known to be damaged, as far as peers can supply it. */
  async mendAll(): Promise<void> {
    if (this.#log.damage.length === 0 || this.#isClosed) return;
    await this.#mender.mendAll();
    if (!this.#isClosed) this.#limitRights();
  }

  segments(): ReturnType<Log['segments']> {
    return this.#log.segments();
  }

  /** Seals the active segment and waits for the snapshot at its end. */
  async takeSnapshot(): Promise<Snapshot | undefined> {
    await this.#log.roll();
    await this.#snapshots.settled();
    return this.#log.latestSnapshot;
  }

  /** Flushes and closes. Producers that wait are told that their fate is unknown. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#drive.stop();
    this.#queue.close();
    this.#pending.loseWaiters();
    this.#feed.close();
    await this.#snapshots.stop();
    await this.#log.close();
    this.#cache.clear();
  }

  get #mayTakeEntries(): boolean {
    return !this.#isNodeFull && !this.#isLogFull;
  }

  #logBecameFull(isFull: boolean): void {
    this.#isLogFull = isFull;
    this.#events.onTrouble(
      isFull ? 'the disk is full: appends are refused, reads go on' : 'the disk has room again',
      undefined,
    );
    this.#limitRights();
  }

  #flushed(at: { readonly term: number; readonly index: number }): void {
    if (this.#isClosed) return;
    this.#raft.persisted(at);
    this.#drive.run();
  }

  #applied(): void {
    this.#feed.advanced(this.#state.highWatermark);
    this.#snapshots.applied();
    this.#events.onApplied();
  }

  #statusChanged(status: RaftStatus): void {
    // A leader that lost its majority (same term, nobody known to lead) cannot tell its producers more (R10). One that
    // was succeeded keeps them waiting: the successor is likely to commit what they sent.
    if (status.role !== 'leader' && status.leader === undefined) this.#pending.loseWaiters();
    this.#events.onStatus(status);
  }

  /** Messages that touch the log wait for their repetition while it is being replaced, is full or disagrees. */
  #mustWait({ message, previousChain }: PeerMessage): boolean {
    if (message.kind === 'snapshot') return this.#isInstalling;
    if (message.kind !== 'append') return false;
    if (this.#isInstalling || (!this.#mayTakeEntries && message.entries.length > 0)) return true;
    const { previous } = message;
    const isLast = previous.index === this.#log.lastIndex;
    const own = isLast ? this.#log.lastChain : this.#cache.get(previous.index)?.header.chain;
    if (own === undefined || previousChain === undefined || this.#log.termAt(previous.index) !== previous.term)
      return false;
    if (sameChain(own, previousChain)) return false;
    // Equal (index, term) means equal logs (log matching, paper 5.3); a replica with another chain must not vote, ack or
    // lead (R19, R27).
    this.#isDivergent = true;
    this.#limitRights();
    this.#events.onTrouble(
      `chain checksums differ from ${message.from} at entry ${previous.index}: this replica takes no part until it is restored`,
      undefined,
    );
    return true;
  }

  #install(message: InstallSnapshot): void {
    const snapshot = this.#received;
    if (snapshot === undefined) return;
    this.#isInstalling = true;
    this.#pending.truncateSuffix(0);
    this.#cache.clear();
    this.#log.installSnapshot(snapshot).then(
      () => {
        this.#isInstalling = false;
        if (this.#isClosed) return;
        this.#state.restore(snapshot, snapshot.state);
        this.#raft.installed(message.snapshot);
        this.#applied();
        this.#drive.run();
      },
      (error: unknown) => {
        // Storage failed on the way and has ended the process (W4), or the log was closed meanwhile.
        this.#drive.stop();
        this.#events.onTrouble('installing a snapshot failed', error);
      },
    );
  }

  #readFailed(error: unknown): void {
    const index = error instanceof StorageError && error.code === 'CORRUPT' ? error.index : undefined;
    if (index === undefined) this.#events.onTrouble('reading entries for a follower failed', error);
    else void this.#mend(index);
  }

  async #mend(index: LogIndex): Promise<boolean> {
    // A replica that knows of damage does not campaign while it lasts.
    this.#limitRights();
    const isMended = await this.#mender.mend(index);
    if (!this.#isClosed) this.#limitRights();
    return isMended;
  }

  /** What a damaged or full replica may still do (design decision 7). */
  #limitRights(): void {
    const { damage } = this.#log;
    const isTailSound = !this.#isDivergent && !damage.some(({ where }) => where === 'tail');
    this.#raft.setMayVote(isTailSound);
    this.#raft.setMayCampaign(isTailSound && damage.length === 0 && this.#mayTakeEntries);
  }
}

/** One sound entry at or below `committed`; undefined when this log cannot supply it. */
async function readCommitted(log: Log, index: LogIndex, committed: LogIndex): Promise<LogEntry | undefined> {
  if (index < log.firstIndex || index > committed) return undefined;
  try {
    return (await log.read(index, 1))[0];
  } catch (error) {
    // Damaged here as well, or trimmed meanwhile: another peer may have it.
    if (error instanceof StorageError && (error.code === 'CORRUPT' || error.code === 'TRIMMED')) return undefined;
    throw error;
  }
}

function createRaft(options: PartitionOptions, world: PartitionWorld, log: Log, state: PartitionState): Raft {
  return new Raft(
    {
      id: options.nodeId,
      membership: state.membership ?? options.membership,
      ...options.timing,
      appendBytesMax: options.appendBytesMax,
      inflightBytesMax: options.inflightBytesMax,
      inflightMessagesMax: 256,
      uncommittedBytesMax: options.uncommittedBytesMax,
      noopBytes: ENTRY_HEADER_BYTES,
      random: () => world.env.random.next(),
    },
    { hardState: log.hardState, base: log.base, termRuns: log.termRuns(), commit: state.appliedIndex },
  );
}
