/**
 * One log on one disk: append, read, truncate suffix, trim prefix, hard state, snapshots, repair.
 *
 * Logical state (indexes, term runs, chain, offsets) moves synchronously with append and truncateSuffix; the disk
 * follows through group-commit.ts, and onFlushed says how far it came. Reads are served from memory for what is
 * accepted and not flushed, and from the segments, checked, for the rest.
 *
 * Invariants: flushed.index <= lastIndex; base.index <= latestSnapshot.index once anything was trimmed; entries are
 * frozen from append on; commitHint never goes down, and nothing at or below it is ever cut (W18).
 */
import assert from 'node:assert/strict';
import type { DamageList } from './damage.ts';
import { isStorageError, StorageError } from './errors.ts';
import { GroupCommit } from './group-commit.ts';
import { HardStateSaver } from './hard-state-saver.ts';
import { IncomingSnapshot } from './incoming-snapshot.ts';
import { LogBase } from './log-base.ts';
import type { LogContext } from './log-context.ts';
import { LogReader } from './log-reader.ts';
import { LogState } from './log-state.ts';
import { type LogOptions, limitsOf } from './options.ts';
import { eventsOf, type Recovered } from './recovery.ts';
import { mendFrames, repairEntry } from './repair.ts';
import { type RewritePlan, Rewriter, type Rewritten } from './rewrite.ts';
import { type Pace, scrub } from './scrub.ts';
import type { SegmentInfo } from './segment-info.ts';
import { SegmentReader } from './segment-reader.ts';
import type { Fault } from './segment-scan.ts';
import type { Segments } from './segments.ts';
import { SnapshotFiles } from './snapshot-files.ts';
import type { StoredSegment } from './stored-segment.ts';
import { canPass } from './system-error.ts';
import type {
  ByteCount,
  ChainSum,
  Damage,
  EntryId,
  GroupId,
  HardState,
  LogEntry,
  LogIndex,
  Ms,
  Offset,
  Snapshot,
  Term,
  TermRun,
} from './types.ts';

export interface LogOwner {
  /** A flush failed: the process must end (W4). */
  onFatal(error: StorageError): void;
  onClosed(log: Log): void;
}

export class Log {
  readonly #context: LogContext;
  readonly #options: LogOptions;
  readonly #owner: LogOwner;
  readonly #state: LogState;
  readonly #segments: Segments;
  readonly #commit: GroupCommit;
  readonly #reader: LogReader;
  readonly #snapshots: SnapshotFiles;
  readonly #base: LogBase;
  readonly #incoming: IncomingSnapshot;
  readonly #rewriter: Rewriter;
  /** One pass over the sealed segments; resolves with the damaged regions that nobody knew of. See scrub.ts. */
  readonly scrub: (pace: Pace) => Promise<number>;
  readonly #damage: DamageList;
  readonly #hardStateSaver: HardStateSaver;
  /** What cannot be written for now. */
  readonly #full = new Set<'entries' | 'hard-state'>();
  #closing: Promise<void> | undefined;

  constructor(context: LogContext, recovered: Recovered, options: LogOptions, owner: LogOwner) {
    this.#context = context;
    this.#options = options;
    this.#owner = owner;
    this.#segments = recovered.segments;
    this.#damage = recovered.damage;
    this.#hardStateSaver = new HardStateSaver({
      ...{ file: recovered.hardState, scheduler: context.scheduler, timers: options.timers },
      onFull: (cause) => this.#becameFull('hard-state', cause),
      onSpace: () => this.#foundRoom('hard-state'),
    });
    this.#state = new LogState(context.own.groupId, { ...recovered, base: recovered.segments.base });
    this.#incoming = new IncomingSnapshot(context);
    this.#snapshots = new SnapshotFiles(context, recovered.latestSnapshot, recovered.snapshotIndexes);
    const files = new SegmentReader(context, (segment, marks) => {
      // Derived data, written anew between flushes; a failure to do so is a failed write like any other.
      void this.#commit.step(0, () => this.#segments.rewriteFooter(segment, marks)).catch(() => undefined);
    });
    this.#commit = this.#makeCommit(files);
    this.#reader = new LogReader(
      { segments: this.#segments, commit: this.#commit, files, damage: this.#damage },
      {
        base: () => this.#state.base,
        last: () => this.#state.last,
        assertOpen: () => this.#assertNotClosed(),
        observe: (event) => options.observe?.(event),
        mendFrames: (segment, fault) => this.#mendFrames(segment, fault),
      },
    );
    const { segments, damage } = recovered;
    const parts = { context, segments, commit: this.#commit, reader: this.#reader, damage };
    const assertOpen = (): void => this.#assertNotClosed();
    const writing = <T>(work: Promise<T>): Promise<T> => this.#orFail(work);
    const { reserve } = context;
    this.#base = new LogBase({ ...parts, state: this.#state, snapshots: this.#snapshots, reserve, writing });
    this.#rewriter = new Rewriter(parts, {
      commitHint: () => this.commitHint,
      assertOpen,
      supplied: (header) => this.#state.repaired(header),
      writing,
    });
    this.scrub = (pace) => scrub(parts, { assertOpen, observe: (event) => options.observe?.(event) }, pace);
    for (const event of eventsOf(recovered)) options.observe?.(event);
  }

  get groupId(): GroupId {
    return this.#context.own.groupId;
  }

  /** First stored entry; lastIndex + 1 when there is none. */
  get firstIndex(): LogIndex {
    return this.#state.base.index + 1;
  }

  get lastIndex(): LogIndex {
    return this.#state.last.index;
  }

  get lastTerm(): Term {
    return this.#state.last.term;
  }

  get lastChain(): ChainSum {
    return this.#state.last.chain;
  }

  get lastAppendTimeMs(): Ms {
    return this.#state.last.appendTimeMs;
  }

  get firstOffset(): Offset {
    return this.#state.base.nextOffset;
  }

  /** The offset the next record gets. */
  get nextOffset(): Offset {
    return this.#state.last.nextOffset;
  }

  /** The entry just below firstIndex; (0, 0) for a log from the start. */
  get base(): EntryId {
    return { term: this.#state.base.term, index: this.#state.base.index };
  }

  /** The last durable entry. */
  get flushed(): EntryId {
    return this.#commit.flushed;
  }

  /** As recovered or as last accepted; durable when saveHardState resolves. */
  get hardState(): HardState {
    return this.#hardStateSaver.state;
  }

  /** A lower bound of the commit index: as recovered, or as last set. */
  get commitHint(): LogIndex {
    return this.#state.commitHint;
  }

  /** Where a snapshot is collected that comes in parts. */
  get incomingSnapshot(): IncomingSnapshot {
    return this.#incoming;
  }

  /** Found at open or by a read, and not repaired yet. */
  get damage(): readonly Damage[] {
    return this.#damage.list();
  }

  /** Bytes on disk. */
  get bytes(): ByteCount {
    return this.#segments.bytes;
  }

  /** Accepted and not flushed. */
  get waitingBytes(): ByteCount {
    return this.#commit.waitingBytes;
  }

  get latestSnapshot(): Snapshot | undefined {
    return this.#snapshots.latest;
  }

  termRuns(): TermRun[] {
    return this.#state.termRuns();
  }

  /** The term at `index` in [base.index, lastIndex]. */
  termAt(index: LogIndex): Term | undefined {
    return this.#state.termAt(index);
  }

  /** The chain up to `index`, where that is in memory: from the commit hint on it is. */
  chainAt(index: LogIndex): ChainSum | undefined {
    return this.#state.pointAt(index)?.chain;
  }

  /** Accepts entries at lastIndex + 1 on. Durable when onFlushed says so. */
  append(entries: readonly LogEntry[]): void {
    this.#assertNotClosed();
    assert(!this.#base.isInstalling, 'no entries are taken while the log is replaced by a snapshot');
    this.#commit.assertOpen();
    this.#state.accept(entries);
    if (entries.length > 0) this.#commit.accept(entries);
  }

  /**
   * Drops entries from `from` on. The logical end moves at once; on disk the cut is durable before any later entry is
   * written (W17). Never at or below the commit hint (W18).
   */
  truncateSuffix(from: LogIndex): void {
    this.#assertNotClosed();
    if (from > this.lastIndex) return;
    const point = this.#state.cutFrom(from);
    this.#damage.keepUpTo(from - 1);
    this.#reader.layoutChanged();
    this.#commit.cutBehind(point);
  }

  /** Durable when it resolves. Never waits for a flush of entries; entries appended later wait for it (W14). */
  async saveHardState(state: HardState): Promise<void> {
    this.#assertNotClosed();
    const saving = this.#hardStateSaver.save(state);
    try {
      await saving;
    } catch (error) {
      this.#commit.fail(error);
      throw error;
    }
  }

  /** Written with the next frame. Ignored when it is not news; never above what this log holds. */
  setCommitHint(index: LogIndex): void {
    this.#state.setCommitHint(index);
  }

  /** See LogReader. */
  async read(from: LogIndex, bytesMax: ByteCount): Promise<LogEntry[]> {
    const entries = await this.#reader.read(from, bytesMax);
    // What damage had hidden, of it or of its neighbours, when the log was opened: it may be cut behind these now. The
    // last committed one is among them: nothing cuts it away, and the lowest cut there is (W18) is right behind it.
    for (const { header } of entries) if (header.index >= this.#state.commitHint) this.#state.found(header);
    return entries;
  }

  indexOfOffset(offset: Offset): Promise<LogIndex> {
    return this.#reader.indexOfOffset(offset);
  }

  offsetOfTime(timestampMs: Ms): Promise<Offset> {
    return this.#reader.offsetOfTime(timestampMs);
  }

  /** The chain just before `index`, in [firstIndex, lastIndex + 1]. */
  async chainBefore(index: LogIndex): Promise<ChainSum> {
    return this.chainAt(index - 1) ?? this.#reader.chainAt(index - 1);
  }

  /**
   * Seals the active segment at the last accepted entry, once that is flushed.
   * @throws StorageError CORRUPT while its tail is damaged: what is sealed counts as sound.
   */
  async roll(): Promise<EntryId> {
    this.#assertNotClosed();
    const last = await this.#commit.step(this.lastIndex, async () => {
      const { active } = this.#segments;
      const { term, index } = active.last;
      if (this.#damage.hasIn(active.segmentId)) return undefined;
      if (!active.isEmpty) {
        await this.#segments.roll(this.#state.commitHint);
        this.#options.onSealed?.({ term, index });
      }
      return { term, index };
    });
    if (last !== undefined) return last;
    const { path } = this.#segments.active;
    throw new StorageError('CORRUPT', 'the active segment is damaged, so it is not sealed', { file: path });
  }

  /** Durable and verified when it resolves (W19). Waits until the entries it covers are flushed. */
  async saveSnapshot(snapshot: Snapshot): Promise<void> {
    this.#assertNotClosed();
    await this.#base.saveSnapshot(snapshot);
  }

  /** Replaces the whole log by the state: afterwards it is empty and begins at snapshot.index + 1. */
  async installSnapshot(snapshot: Snapshot): Promise<void> {
    this.#assertNotClosed();
    await this.#base.install(snapshot);
  }

  /** See LogBase. Resolves with the new first index, which may be lower than asked for. */
  trimPrefix(firstIndexToKeep: LogIndex): Promise<LogIndex> {
    this.#assertNotClosed();
    return this.#base.trimPrefix(firstIndexToKeep);
  }

  /** The snapshot at exactly `index`; undefined when there is none. */
  snapshotAt(index: LogIndex): Promise<Snapshot | undefined> {
    return this.#snapshots.at(index);
  }

  /** The snapshot with the highest index at or below `index`; undefined when there is none. */
  snapshotUpTo(index: LogIndex): Promise<Snapshot | undefined> {
    return this.#snapshots.upTo(index);
  }

  /** All segments, oldest first; the last one is active. */
  segments(): SegmentInfo[] {
    return this.#segments.infos();
  }

  /**
   * Puts a damaged entry back in its place: entries of a damaged region in index order. OUT_OF_RANGE when it does not
   * fit index, size or chain of its neighbours; IO when the medium does not give that place back, in which case
   * rewrite() has to put it elsewhere. Flushed and read back when it resolves.
   */
  async repair(entry: LogEntry): Promise<void> {
    this.#assertNotClosed();
    const refused = await this.#commit.step(0, () => repairEntry({ ...this.#context, damage: this.#damage }, entry));
    this.#reader.layoutChanged();
    if (refused !== undefined) throw refused;
    this.#state.repaired(entry.header);
    this.#segments.active.repaired(entry.header);
  }

  /** See Rewriter. */
  rewrite(first: LogIndex, last: LogIndex, plan: RewritePlan): Promise<Rewritten | undefined> {
    return this.#rewriter.rewrite(first, last, plan);
  }

  /** Resolves when everything accepted so far is durable. */
  async flush(): Promise<void> {
    this.#assertNotClosed();
    await this.#commit.step(this.lastIndex, async () => undefined);
  }

  /** Flushes, proves the end with an empty frame, closes the files. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (this.#full.size === 0 && !this.#commit.hasFailed) {
        // Both are writes like any other: one that fails ends the log, and is told to its owner.
        await this.#commit.step(this.lastIndex, async () => {
          await this.#commit.proveForGood();
          await this.#segments.cutUnused();
        });
      }
    } catch (error) {
      // The disk filled up meanwhile: what is flushed is there, and what is not was promised to nobody.
      if (!isStorageError(error, 'CLOSED')) throw error;
    } finally {
      // Also after a failed write, when nothing is changed any more: what is on the disk is for the next start to
      // judge.
      await this.#release();
    }
  }

  /** Gives the files back. The log is closed in any case: its owner may open or remove it from here on. */
  async #release(): Promise<void> {
    try {
      this.#commit.stop();
      await this.#rewriter.settled();
      await this.#hardStateSaver.close();
      // A write under way may have waited for that one, and must end first: the number of a handle that is closed is
      // the next file's that anybody opens.
      await this.#commit.settled();
      await this.#segments.close();
    } finally {
      this.#owner.onClosed(this);
    }
  }

  async #mendFrames(segment: StoredSegment, fault: Fault): Promise<boolean> {
    if (this.#commit.isFull || this.#commit.hasFailed) return false;
    const isMended = await this.#commit.step(0, async () => {
      if (!this.#segments.holds(segment)) return false;
      const file = await this.#context.disk.open(segment.path, 'write');
      try {
        return await mendFrames(this.#context, file, { segmentId: segment.segmentId, fault });
      } finally {
        await file.close();
      }
    });
    if (isMended) this.#options.observe?.({ kind: 'mended', file: segment.path });
    return isMended;
  }

  #makeCommit(files: SegmentReader): GroupCommit {
    const options = this.#options;
    return new GroupCommit(
      this.#segments,
      { ...limitsOf(options), timers: options.timers },
      {
        hardStatePending: () => this.#hardStateSaver.pending,
        commitHint: () => this.#state.commitHint,
        placeOfCut: (index) => files.placeOfCut(this.#segments.holding(index), index),
        onFlushed: (at, { entries, bytes }) => {
          options.observe?.({ kind: 'flush', entries, bytes });
          options.onFlushed(at);
        },
        onSealed: (last) => options.onSealed?.(last),
        onFull: (cause) => this.#becameFull('entries', cause),
        onSpace: () => this.#foundRoom('entries'),
        onFatal: (error) => this.#owner.onFatal(error),
        freeBytes: async () => (await this.#context.disk.space(this.#context.directory)).freeBytes,
        mayRoll: () => !this.#damage.hasIn(this.#segments.active.segmentId),
      },
    );
  }

  /** Nothing can be written for now: entries, or term and vote. */
  #becameFull(what: 'entries' | 'hard-state', cause: StorageError): void {
    const wasFull = this.#full.size > 0;
    this.#full.add(what);
    // A log that is being closed waits for nothing.
    if (this.#closing !== undefined) this.#commit.stop();
    else if (!wasFull) this.#options.onFull?.(cause);
  }

  #foundRoom(what: 'entries' | 'hard-state'): void {
    this.#full.delete(what);
    if (this.#full.size > 0) return;
    this.#options.onSpace?.();
    // A reserve that cannot be made now is made at the next open.
    void this.#context.reserve.ensure().catch(() => undefined);
  }

  /** What can pass fails the call alone; anything else that fails to reach the disk ends the log (W4). */
  async #orFail<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!canPass(error)) this.#commit.fail(error);
      throw error;
    }
  }

  #assertNotClosed(): void {
    if (this.#closing !== undefined) throw new StorageError('CLOSED', 'the log is closed');
  }
}
