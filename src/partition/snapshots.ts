/**
 * When a snapshot is taken, what it holds, and which files go after it.
 *
 * A snapshot is the state as of the last entry of a sealed segment, so that the segment can go later and a follower
 * that needs what came before it gets exactly the state below the first stored entry (design 4). It is written once
 * everything up to that entry is applied. When the state has moved on by then, it is rebuilt from the snapshot before
 * it by applying the entries in between again: applying is deterministic. Encoding and decoding take as many turns as
 * the state is large; meanwhile entries are applied and peers are answered.
 *
 * Files follow the log start, never the other way round: whole segments below it go, once the state at their end was
 * written and read back (W19, W20).
 */
import assert from 'node:assert';
import {
  type EntryId,
  type Log,
  type LogIndex,
  type Offset,
  type Snapshot,
  StorageError,
} from '../../storage/index.ts';
import type { Timers } from '../env.ts';
import { isFatal } from './disk-trouble.ts';
import { overTurns } from './pieces.ts';
import { type FrozenState, PartitionState, type StateMachine } from './state.ts';

export interface SnapshotParts {
  readonly log: Log;
  readonly state: PartitionState;
  readonly timers: Pick<Timers, 'soon'>;
  readonly createMachine: (() => StateMachine) | undefined;
  /** The prefix of the log is gone. */
  onTrimmed(): void;
  /** A snapshot or a trim failed; the partition goes on without it and tries again at the next occasion. */
  onFailure(error: StorageError): void;
}

/** The end of a sealed segment that has no snapshot yet. */
interface Due {
  readonly last: EntryId;
  /** Told when it is due no more: the snapshot is being taken, or never will be. */
  readonly onGone: (() => void)[];
}

const READ_BYTES = 1024 * 1024;

export type SnapshotOutcome =
  /** undefined: the log holds nothing to take one of. */
  | { readonly kind: 'taken'; readonly snapshot: Snapshot | undefined }
  /** The partition was closed meanwhile, or its node ends by a failed write: it may be open again, or led elsewhere. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'full' }
  /** The end of the log is damaged: it is not sealed before that is mended. */
  | { readonly kind: 'damaged'; readonly what: string };

export class Snapshots {
  readonly #parts: SnapshotParts;
  /** Ascending. */
  #due: Due[] = [];
  /** One piece of work at a time; the next begins where the last one ended. */
  #work: Promise<void> = Promise.resolve();
  /** The log start that was last looked at for segments to trim. */
  #seenLogStart: Offset | undefined;
  #isTrimQueued = false;
  #isSealing = false;
  #isStopped = false;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  /** A segment ending at `last` was sealed. */
  sealed(last: EntryId): void {
    this.#due.push({ last, onGone: [] });
    this.applied();
  }

  /** The applied index or the log start moved. Called for every commit: looks at segments only when there is news. */
  applied(): void {
    const { state } = this.#parts;
    const hasDue = this.#due[0] !== undefined && this.#due[0].last.index <= state.appliedIndex;
    if (hasDue) this.#takeDue();
    if (!hasDue && this.#seenLogStart === state.logStart) return;
    this.#seenLogStart = state.logStart;
    if (this.#trimTarget() > this.#parts.log.firstIndex) this.#queueTrim();
  }

  /** Snapshots above the cut will never be due: their segments are gone. */
  truncated(from: LogIndex): void {
    this.#drop(this.#due.filter(({ last }) => last.index >= from));
  }

  /**
   * Resolves when the snapshot at the end of the segment that was just sealed at `index` is taken, or never will be.
   */
  async taken(index: LogIndex): Promise<void> {
    const due = this.#due.find(({ last }) => last.index === index);
    if (due !== undefined) await new Promise<void>((resolve) => due.onGone.push(resolve));
    await this.#work;
  }

  /** Seals the active segment and waits for the snapshot at its end, which waits for the commit of what is in it. */
  async take(): Promise<SnapshotOutcome> {
    const { log } = this.#parts;
    try {
      const { index } = await log.roll();
      await this.taken(index);
      return this.#isStopped ? { kind: 'closed' } : { kind: 'taken', snapshot: log.latestSnapshot };
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (error.code === 'CLOSED' || isFatal(error)) return { kind: 'closed' };
      if (error.code === 'FULL') return { kind: 'full' };
      if (error.code !== 'CORRUPT') throw error;
      return { kind: 'damaged', what: error.message };
    }
  }

  /** Seals the active segment before it is full, so that what is in it can go. Somebody asks again when it fails. */
  async seal(): Promise<void> {
    const { log, onFailure } = this.#parts;
    if (this.#isSealing || this.#isStopped || log.damage.length > 0) return;
    this.#isSealing = true;
    try {
      await log.roll();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (!this.#isStopped) onFailure(error);
    } finally {
      this.#isSealing = false;
    }
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#drop(this.#due);
  }

  /** Resolves when no work is left. */
  async settled(): Promise<void> {
    await this.#work;
  }

  #takeDue(): void {
    const { state } = this.#parts;
    const ready = this.#due.filter(({ last }) => last.index <= state.appliedIndex);
    for (const { last } of ready) {
      // Taken now when the state stands exactly there: no need to rebuild it later.
      const frozen = state.appliedIndex === last.index ? state.freeze() : undefined;
      this.#enqueue(() => this.#save(last, frozen));
    }
    this.#drop(ready);
  }

  #drop(gone: readonly Due[]): void {
    this.#due = this.#due.filter((due) => !gone.includes(due));
    for (const { onGone } of gone) for (const tell of onGone) tell();
  }

  #queueTrim(): void {
    if (this.#isTrimQueued) return;
    this.#isTrimQueued = true;
    this.#enqueue(() => {
      this.#isTrimQueued = false;
      return this.#trim();
    });
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#isStopped) return;
      try {
        await work();
      } catch (error) {
        // A broken invariant is not this room's to survive.
        if (!(error instanceof StorageError)) throw error;
        if (!this.#isStopped) this.#parts.onFailure(error);
      }
    });
  }

  async #save(last: EntryId, frozen: FrozenState | undefined): Promise<void> {
    const { log } = this.#parts;
    if (!this.#isStored(last) || (await log.snapshotAt(last.index)) !== undefined) return;
    const snapshot = await this.#at(last, frozen);
    // The log may have been replaced by a snapshot of the leader's while this one was made.
    if (this.#isStored(last)) await log.saveSnapshot(snapshot);
  }

  #isStored({ index, term }: EntryId): boolean {
    const { log } = this.#parts;
    return index >= log.firstIndex && log.termAt(index) === term;
  }

  /** The snapshot at `last`, from the state frozen in time or by applying again what lies between. */
  async #at(last: EntryId, frozen: FrozenState | undefined): Promise<Snapshot> {
    const { log, timers } = this.#parts;
    const header = (await log.read(last.index, 1))[0]!.header;
    const state = await overTurns((frozen ?? (await this.#rebuild(last.index)).freeze()).encode(), timers);
    return {
      index: last.index,
      term: last.term,
      nextOffset: header.baseOffset + header.recordCount,
      appendTimeMs: header.appendTimeMs,
      chain: header.chain,
      state,
    };
  }

  async #rebuild(upTo: LogIndex): Promise<PartitionState> {
    const { log, createMachine, timers } = this.#parts;
    const state = new PartitionState(createMachine?.(), log.firstOffset);
    const below = await log.snapshotUpTo(upTo);
    if (below !== undefined) state.adopt(below, await overTurns(PartitionState.decode(below.state), timers));
    while (state.appliedIndex < upTo) {
      for (const { header, payload } of await log.read(state.appliedIndex + 1, READ_BYTES)) {
        if (header.index > upTo) break;
        state.apply(header, payload);
      }
    }
    return state;
  }

  /** First index to keep: that of the segment which holds the log start, or the first one there is. */
  #trimTarget(): LogIndex {
    const { log, state } = this.#parts;
    let keep = log.firstIndex;
    for (const segment of log.segments()) {
      if (!segment.isSealed || segment.nextOffset > state.logStart || segment.lastIndex > state.appliedIndex) break;
      keep = segment.lastIndex + 1;
    }
    return keep;
  }

  async #trim(): Promise<void> {
    const { log } = this.#parts;
    const keep = this.#trimTarget();
    if (keep <= log.firstIndex) return;
    const boundary = { index: keep - 1, term: log.termAt(keep - 1) };
    assert.ok(boundary.term !== undefined, `term of entry ${boundary.index}`);
    await this.#save({ index: boundary.index, term: boundary.term }, undefined);
    await log.trimPrefix(keep);
    this.#parts.onTrimmed();
  }
}
