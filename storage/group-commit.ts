/**
 * The write queue of one log. Entries are accepted (here, in memory), submitted (given to the disk) and flushed (known
 * durable), in this order: flushed <= submitted <= accepted. One flush is in flight; what arrives meanwhile is
 * collected and goes with the next, so that the cost of a flush is shared by all who wait for it.
 *
 * Everything else that changes files goes through the same queue: a cut, a roll, a trim, an install are steps that run
 * between flushes, never beside one. A step names the last entry it comes after.
 *
 * A full disk (FULL), or one that takes no writes for now, stops the queue without losing anything accepted: the file
 * is cut back to what is flushed, the cut is flushed, new entries are refused, and the same work is tried again. Any
 * other failure ends the log: nothing is retried, nothing more is claimed, and the process must end (W4).
 */
import assert from 'node:assert/strict';
import { ActiveSegment } from './active-segment.ts';
import { StorageError } from './errors.ts';
import { entryBytes } from './format.ts';
import type { LogPoint } from './log-point.ts';
import type { CutPlace, Segments } from './segments.ts';
import { canPass } from './system-error.ts';
import type { ByteCount, EntryId, LogEntry, LogIndex } from './types.ts';

/** Free space, beyond what waits, at which it is worth trying again after the disk was full. */
const SPACE_MARGIN_BYTES: ByteCount = 1024 * 1024;
const SPACE_PROBE_MS = 500;
/** As many flushes of other logs while a proof was waited for make the disk a busy one. */
const BUSY_FLUSHES = 3;
/** A proof of a log on a busy disk waits so many times as long: most of them are then not needed any more. */
const BUSY_PROOF_FACTOR = 25;

export interface Timers {
  after(delayMs: number, fn: () => void): { cancel(): void };
}

export interface GroupCommitOptions {
  readonly segmentBytes: ByteCount;
  readonly flushBytesMax: ByteCount;
  readonly idleProofMs: number;
  readonly timers: Timers;
}

/** What happens in the queue, told to the log that owns it. */
export interface GroupCommitEvents {
  /** Resolves when every hard state accepted so far is durable; undefined when all are (W14). */
  hardStatePending(): Promise<void> | undefined;
  /** A lower bound of the commit index, written with each frame. */
  commitHint(): LogIndex;
  /** Where a cut in front of a flushed entry ends its segment. */
  placeOfCut(index: LogIndex): Promise<CutPlace>;
  onFlushed(at: EntryId, flush: { readonly entries: number; readonly bytes: ByteCount }): void;
  onSealed(last: EntryId): void;
  onFull(cause: StorageError): void;
  onSpace(): void;
  onFatal(error: StorageError): void;
  freeBytes(): Promise<number>;
  /**
   * Whether the active segment may be sealed by size: not while it holds damage, whose bytes are to be mended first.
   */
  mayRoll(): boolean;
}

interface Step {
  /** Runs once everything up to here is flushed. */
  after: LogIndex;
  /** Frees space: on a full disk in front of everything else. */
  readonly isFreeing: boolean;
  run(): Promise<void>;
  reject(error: StorageError): void;
}

export class GroupCommit {
  readonly #segments: Segments;
  readonly #options: GroupCommitOptions;
  readonly #events: GroupCommitEvents;
  /** Accepted and not flushed, contiguous from #flushed.index + 1. */
  #waiting: LogEntry[] = [];
  #waitingBytes: ByteCount = 0;
  #flushed: EntryId;
  /** The lowest cut made since the flush in flight began: what that flush wrote beyond it no longer counts. */
  #cutDuringFlush: LogIndex | undefined;
  /** The log behind which everything on disk is to go, once the flush in flight is done. */
  #pendingCut: LogPoint | undefined;
  #steps: Step[] = [];
  #isPumping = false;
  /** The end of the last time it pumped, or of this one. */
  #pumped: Promise<unknown> = Promise.resolve();
  #isFull = false;
  /** What a failed write left behind the flushed end is to be cut off, durably, before anything else is written. */
  #isEndDue = false;
  #failure: StorageError | undefined;
  #isProofDue = false;
  #proofTimer: { cancel(): void } | undefined;
  #probeTimer: { cancel(): void } | undefined;

  constructor(segments: Segments, options: GroupCommitOptions, events: GroupCommitEvents) {
    this.#segments = segments;
    this.#options = options;
    this.#events = events;
    const { term, index } = segments.active.last;
    this.#flushed = { term, index };
    this.#armProof();
  }

  get flushed(): EntryId {
    return this.#flushed;
  }

  /** Accepted and not flushed, oldest first. Borrowed. */
  get waiting(): readonly LogEntry[] {
    return this.#waiting;
  }

  get waitingBytes(): ByteCount {
    return this.#waitingBytes;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Throws unless new entries are taken. */
  assertOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isFull)
      throw new StorageError('FULL', 'nothing can be written for now', { file: this.#segments.active.path });
  }

  accept(entries: readonly LogEntry[]): void {
    this.assertOpen();
    for (const entry of entries) {
      this.#waiting.push(entry);
      this.#waitingBytes += entryBytes(entry);
    }
    this.#wake();
  }

  /** Drops what was accepted behind `point` and cuts what is on disk there before anything later is written (W17). */
  cutBehind(point: LogPoint): void {
    this.#dropWaiting(point.index);
    for (const step of this.#steps) step.after = Math.min(step.after, point.index);
    if (this.#cutDuringFlush === undefined || point.index < this.#cutDuringFlush) this.#cutDuringFlush = point.index;
    if (this.#pendingCut === undefined || point.index < this.#pendingCut.index) this.#pendingCut = point;
    if (this.#flushed.index > point.index) this.#flushed = { term: point.term, index: point.index };
    this.#wake();
  }

  /** Runs `run` between flushes, once everything up to `after` is flushed; steps run in the order they came. */
  step<T>(after: LogIndex, run: () => Promise<T>): Promise<T> {
    return this.#step(after, false, run);
  }

  /** A step that frees space, such as a trim: on a full disk it is tried at once, in front of everything else. */
  stepThatFrees<T>(run: () => Promise<T>): Promise<T> {
    const freed = this.#step(0, true, run);
    if (this.#isFull) void this.#tryAgain();
    return freed;
  }

  #step<T>(after: LogIndex, isFreeing: boolean, run: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise<T>((resolve, reject) => {
      this.#steps.push({ after, isFreeing, run: async () => resolve(await run()), reject });
      this.#wake();
    });
  }

  /** Forgets all that waits: the log was replaced by a snapshot at `at`. Called from within a step. */
  restartAt(at: EntryId): void {
    this.#dropWaiting(0);
    for (const step of this.#steps) step.after = 0;
    this.#pendingCut = undefined;
    this.#flushed = at;
  }

  /** Writes the empty frame that proves the end, when there is something to prove. Called from within a step. */
  async prove(): Promise<void> {
    if (!this.#segments.active.isProven) await this.#segments.writeFrame([], this.#events.commitHint());
  }

  /** As prove, and the commit hint is written too: the last word of a log that is closed. */
  async proveForGood(): Promise<void> {
    const { active } = this.#segments;
    const hint = Math.min(this.#events.commitHint(), active.last.index);
    if (!active.isProven || hint > active.commitHint) await this.#segments.writeFrame([], hint);
  }

  /** Ends the queue: later steps and entries are refused. What is under way goes on: see settled(). */
  stop(): void {
    this.#failure ??= new StorageError('CLOSED', 'the log is closed');
    this.#proofTimer?.cancel();
    this.#probeTimer?.cancel();
    for (const step of this.#steps.splice(0)) step.reject(this.#failure);
  }

  /** Resolves when a queue that was ended does nothing more: before the files are closed. */
  async settled(): Promise<void> {
    await this.#pumped;
  }

  #dropWaiting(above: LogIndex): void {
    while (this.#waiting.length > 0 && this.#waiting.at(-1)!.header.index > above) {
      this.#waitingBytes -= entryBytes(this.#waiting.pop()!);
    }
  }

  #wake(): void {
    if (this.#isPumping || this.#isFull || !this.#hasWork()) return;
    this.#isPumping = true;
    // After the caller's turn, so that everything appended in it shares the first flush.
    this.#pumped = Promise.resolve().then(() => this.#pump());
  }

  /** Works until nothing is left to do; false when the disk was full or the log failed. */
  async #pump(): Promise<boolean> {
    this.#proofTimer?.cancel();
    this.#proofTimer = undefined;
    let isDone = true;
    try {
      // The check is synchronous: no work can slip in between a last look and the end of the loop.
      while (this.#hasWork()) await this.#turn();
    } catch (error) {
      isDone = false;
      await this.#onFailure(error);
    }
    this.#isPumping = false;
    this.#armProof();
    return isDone;
  }

  #hasWork(): boolean {
    if (this.#failure !== undefined) return false;
    const isIdle = this.#pendingCut === undefined && this.#steps.length === 0 && this.#waiting.length === 0;
    return !isIdle || this.#isProofDue || this.#isEndDue;
  }

  async #turn(): Promise<void> {
    if (this.#isEndDue) return this.#endAtFlushed();
    const freeing = this.#isFull ? this.#steps.find(({ isFreeing }) => isFreeing) : undefined;
    if (freeing !== undefined) return this.#run(freeing);
    if (this.#pendingCut !== undefined) return this.#cut(this.#pendingCut);
    const step = this.#steps[0];
    if (step !== undefined && step.after <= this.#flushed.index) return this.#run(step);
    if (this.#waiting.length > 0) return this.#flush();
    if (step !== undefined)
      assert.fail(`a step waits for ${step?.after}, everything accepted ends at ${this.#flushed.index}`);
    this.#isProofDue = false;
    await this.prove();
  }

  /** One that finds no room stays in the queue. */
  async #run(step: Step): Promise<void> {
    await step.run();
    this.#steps = this.#steps.filter((other) => other !== step);
  }

  async #flush(): Promise<void> {
    // W14: a term or vote accepted before these entries is durable before any of them is written. While one is waited
    // for, entries of the next term may come, behind a hard state of their own.
    for (;;) {
      const pending = this.#events.hardStatePending();
      if (pending === undefined) break;
      await pending;
    }
    if (this.#pendingCut !== undefined || this.#waiting.length === 0) return;
    const { active } = this.#segments;
    const room = this.#options.segmentBytes - active.dataEnd;
    const firstBytes = entryBytes(this.#waiting[0]!);
    if (!active.isEmpty && firstBytes > room && this.#events.mayRoll()) {
      const last = await this.#segments.roll(this.#events.commitHint());
      this.#events.onSealed({ term: last.term, index: last.index });
      return;
    }
    const bytesMax = Math.min(this.#options.flushBytesMax, Math.max(room, firstBytes));
    // Not beyond the entry the next step comes after: a roll seals where it was asked for.
    const countMax = (this.#steps[0]?.after ?? Number.MAX_SAFE_INTEGER) - this.#flushed.index;
    const entries = this.#waiting.slice(0, ActiveSegment.frameLength(this.#waiting, { bytesMax, countMax }));
    this.#cutDuringFlush = undefined;
    this.#isProofDue = false;
    const bytes = await this.#segments.writeFrame(entries, this.#events.commitHint());
    this.#afterFlush(entries, bytes);
    this.#segments.fillAhead(bytes, this.#options.segmentBytes);
  }

  /** `flushed` counts only what a cut during the flush left standing. */
  #afterFlush(entries: readonly LogEntry[], bytes: ByteCount): void {
    const limit = this.#cutDuringFlush ?? Number.MAX_SAFE_INTEGER;
    const standing = entries.filter((entry) => entry.header.index <= limit);
    const last = standing.at(-1)?.header;
    if (last === undefined || last.index <= this.#flushed.index) return;
    const gone = this.#waiting.splice(0, standing.length);
    if (gone.at(-1)?.header.index !== last.index)
      assert.fail(`flushed ${last.index}, waited for ${gone.at(-1)?.header.index}`);
    for (const entry of gone) this.#waitingBytes -= entryBytes(entry);
    this.#flushed = { term: last.term, index: last.index };
    this.#events.onFlushed(this.#flushed, { entries: standing.length, bytes });
  }

  async #cut(point: LogPoint): Promise<void> {
    const { active } = this.#segments;
    if (active.last.index > point.index) {
      const isSeam = point.index === active.before.index || this.#segments.endsAt(point.index);
      const cutAt = isSeam ? undefined : await this.#events.placeOfCut(point.index + 1);
      const sealed = await this.#segments.cut(point, cutAt, this.#events.commitHint());
      if (sealed) this.#events.onSealed({ term: point.term, index: point.index });
    }
    // A deeper cut may have been asked for meanwhile: then that one is still to be made.
    if (this.#pendingCut === point) this.#pendingCut = undefined;
  }

  async #onFailure(error: unknown): Promise<void> {
    if (!canPass(error)) return this.fail(error);
    this.#isEndDue = true;
    try {
      await this.#endAtFlushed();
    } catch (endError) {
      // A file system that became read-only takes no cut either: it is made before the next write.
      if (!canPass(endError)) return this.fail(endError);
    }
    const wasFull = this.#isFull;
    this.#isFull = true;
    if (!wasFull) this.#events.onFull(error);
    if (this.#failure === undefined) this.#probeLater();
  }

  async #endAtFlushed(): Promise<void> {
    await this.#segments.cutToFlushed();
    this.#isEndDue = false;
  }

  /** Ends the log: nothing is retried and nothing more is claimed (W4). */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    const failure =
      error instanceof StorageError && error.code !== 'IO' && error.code !== 'FULL'
        ? error
        : new StorageError('FLUSH_FAILED', `writing the log failed: ${String(error)}`, {
            file: this.#segments.active.path,
            cause: error,
          });
    this.#failure = failure;
    for (const step of this.#steps.splice(0)) step.reject(failure);
    this.#events.onFatal(failure);
  }

  #probeLater(): void {
    this.#probeTimer?.cancel();
    this.#probeTimer = this.#options.timers.after(SPACE_PROBE_MS, () => void this.#probe());
  }

  async #probe(): Promise<void> {
    if (this.#failure !== undefined || !(this.#hasFreeingStep || (await this.#hasSpace()))) {
      if (this.#failure === undefined) this.#probeLater();
      return;
    }
    await this.#tryAgain();
  }

  /**
   * Trying is the only proof, since a quota does not show in the free space: what waits goes first, then new entries.
   */
  async #tryAgain(): Promise<void> {
    if (this.#isPumping) return;
    this.#probeTimer?.cancel();
    this.#isPumping = true;
    const pumped = this.#pump();
    this.#pumped = pumped;
    if (!(await pumped) || this.#failure !== undefined) return;
    this.#isFull = false;
    this.#events.onSpace();
    this.#wake();
    this.#armProof();
  }

  /** It is tried whether there is space or not: else each would wait for the other. */
  get #hasFreeingStep(): boolean {
    return this.#steps.some(({ isFreeing }) => isFreeing);
  }

  async #hasSpace(): Promise<boolean> {
    try {
      return (await this.#events.freeBytes()) >= this.#waitingBytes + SPACE_MARGIN_BYTES;
    } catch (error) {
      // A disk that cannot say how much space it has is asked again, as one without space is.
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  /** The empty frame is off the way of every append, and still a flush. A thousand logs that are written to ten times a
   *  second would each flush twice for an append; so where others flush meanwhile, it is put off once. */
  #armProof(): void {
    if (this.#failure !== undefined || this.#isFull || this.#segments.active.isProven) return;
    const { idleProofMs } = this.#options;
    const { flushesBegun } = this.#segments;
    this.#proveAfter(idleProofMs, () => {
      if (this.#segments.flushesBegun - flushesBegun < BUSY_FLUSHES) this.#proofDue();
      else this.#proveAfter((BUSY_PROOF_FACTOR - 1) * idleProofMs, () => this.#proofDue());
    });
  }

  #proveAfter(delayMs: number, act: () => void): void {
    this.#proofTimer?.cancel();
    this.#proofTimer = this.#options.timers.after(delayMs, act);
  }

  #proofDue(): void {
    this.#isProofDue = true;
    this.#wake();
  }
}
