/**
 * Where a log begins, and what moves that: a snapshot is stored, the prefix below one is trimmed, the whole log is
 * replaced by one that came from a peer. First the state is on the disk and verified, then the manifest makes it the
 * log's base, then what is not asked for any more is removed: a stop between two of these leaves a log that is whole
 * (W19, W20; docs/storage.md). What moves the base runs as a step of the write queue: no flush is in flight.
 *
 * Invariant: a log that does not begin at index 1 has a snapshot of exactly its base.
 */
import assert from 'node:assert/strict';
import type { DamageList } from './damage.ts';
import type { GroupCommit } from './group-commit.ts';
import type { LogPoint } from './log-point.ts';
import type { LogReader } from './log-reader.ts';
import type { LogState } from './log-state.ts';
import type { Segments } from './segments.ts';
import { pointOfSnapshot } from './snapshot.ts';
import type { SnapshotFiles } from './snapshot-files.ts';
import type { SpaceReserve } from './space-reserve.ts';
import type { LogIndex, Snapshot } from './types.ts';

export interface LogBaseParts {
  readonly state: LogState;
  readonly segments: Segments;
  readonly snapshots: SnapshotFiles;
  readonly commit: GroupCommit;
  readonly reader: LogReader;
  readonly damage: DamageList;
  readonly reserve: SpaceReserve;
  /** Runs writes: a full disk fails them alone, any other failure ends the log (W4). */
  writing(work: Promise<void>): Promise<void>;
}

export class LogBase {
  readonly #parts: LogBaseParts;
  #isInstalling = false;

  constructor(parts: LogBaseParts) {
    this.#parts = parts;
  }

  /** While the log is replaced by a snapshot it takes no entries. */
  get isInstalling(): boolean {
    return this.#isInstalling;
  }

  /** Durable and verified when it resolves. Waits until the entries it covers are flushed. */
  async saveSnapshot(snapshot: Snapshot): Promise<void> {
    const { state, snapshots, commit, writing } = this.#parts;
    const { index } = snapshot;
    if (index > state.last.index) assert.fail(`snapshot at ${index}, the log ends at ${state.last.index}`);
    const term = state.termAt(index);
    if (term !== snapshot.term) assert.fail(`snapshot of term ${snapshot.term} at ${index}, the log has ${term}`);
    await commit.step(index, async () => undefined);
    await writing(snapshots.save(snapshot));
    state.setCommitHint(index);
  }

  /** Afterwards the log is empty and begins at snapshot.index + 1. */
  async install(snapshot: Snapshot): Promise<void> {
    const { segments, snapshots, commit } = this.#parts;
    this.#isInstalling = true;
    try {
      await commit.step(0, async () => {
        // First the state, then the manifest that makes it the log's base; the old log stands until then.
        await snapshots.store(snapshot);
        const point = pointOfSnapshot(snapshot);
        await segments.replaceBy(point, () => this.#replaced(point));
        await snapshots.keepOnly(snapshot);
      });
    } finally {
      this.#isInstalling = false;
    }
  }

  #replaced(point: LogPoint): void {
    const { state, commit, reader, damage } = this.#parts;
    const { term, index } = point;
    state.restartAt(point);
    damage.keepUpTo(0);
    reader.layoutChanged();
    commit.restartAt({ term, index });
  }

  /**
   * Removes whole segments below `firstIndexToKeep`: never the active one, and only up to a point whose state is stored
   * and verified (W19, W20). Resolves with the new first index.
   */
  trimPrefix(firstIndexToKeep: LogIndex): Promise<LogIndex> {
    const { state, segments, snapshots, commit, reserve } = this.#parts;
    return commit.stepThatFrees(async () => {
      const start = this.#trimmableTo(firstIndexToKeep);
      if (start > state.base.index + 1) {
        await reserve.lendTo(() => segments.trim(start, state.commitHint, () => this.#trimmed()));
        await snapshots.keepFrom(state.base.index);
      }
      return state.base.index + 1;
    });
  }

  /** The highest start at or below `firstIndex` that lies between two segments and has the state below it stored. */
  #trimmableTo(firstIndex: LogIndex): LogIndex {
    const { segments, snapshots } = this.#parts;
    const boundary = snapshots.indexes.findLast((index) => index < firstIndex && segments.endsAt(index));
    return (boundary ?? 0) + 1;
  }

  #trimmed(): void {
    const { state, segments, reader, damage } = this.#parts;
    state.trimTo(segments.base);
    damage.keepFrom(state.base.index + 1);
    reader.layoutChanged();
  }
}
