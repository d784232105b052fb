/**
 * The snapshots of one log: one for each point the log may begin behind. The latest is kept in memory; the others lie
 * on disk until the log's start passes them, because a follower that needs what came before the first stored entry is
 * given the state just below it, never a later one. Changes run one after the other.
 */
import { joinPath } from './disk.ts';
import { StorageError } from './errors.ts';
import type { LogContext } from './log-context.ts';
import { loadSnapshot, removeSnapshots, snapshotIndexOf, snapshotName, storeSnapshot } from './snapshot.ts';
import type { LogIndex, Snapshot } from './types.ts';

export class SnapshotFiles {
  readonly #context: LogContext;
  #latest: Snapshot | undefined;
  /** Of all stored and verified snapshots, ascending. */
  #indexes: LogIndex[];
  #changing: Promise<void> = Promise.resolve();

  constructor(context: LogContext, latest: Snapshot | undefined, indexes: readonly LogIndex[]) {
    this.#context = context;
    this.#latest = latest;
    this.#indexes = [...indexes];
  }

  get latest(): Snapshot | undefined {
    return this.#latest;
  }

  /** Indexes that have a snapshot, ascending. Borrowed. */
  get indexes(): readonly LogIndex[] {
    return this.#indexes;
  }

  /** The snapshot at `index`, verified as it is read; undefined when there is none. */
  async at(index: LogIndex): Promise<Snapshot | undefined> {
    if (this.#latest?.index === index) return this.#latest;
    if (!this.#indexes.includes(index)) return undefined;
    const { disk, directory, own } = this.#context;
    const snapshot = await loadSnapshot(disk, directory, own, index);
    if (snapshot !== undefined) return snapshot;
    throw new StorageError('CORRUPT', 'a snapshot fails its checksum', {
      file: joinPath(directory, snapshotName(index)),
    });
  }

  /** The snapshot with the highest index at or below `index`; undefined when there is none. */
  async upTo(index: LogIndex): Promise<Snapshot | undefined> {
    const found = this.#indexes.findLast((other) => other <= index);
    return found === undefined ? undefined : this.at(found);
  }

  /** Stores and verifies `snapshot` (W19). One that is stored already stays as it is. */
  save(snapshot: Snapshot): Promise<void> {
    return this.#change(async () => {
      if (this.#indexes.includes(snapshot.index)) return;
      await this.store(snapshot);
      this.#indexes = [...this.#indexes, snapshot.index].sort((a, b) => a - b);
      if (snapshot.index === this.#indexes.at(-1)) this.#latest = snapshot;
    });
  }

  /** Stores and verifies a file without making it count: an install does that, with the manifest. */
  async store(snapshot: Snapshot): Promise<void> {
    const { disk, directory, own, scheduler } = this.#context;
    await scheduler.run('files', () => storeSnapshot(disk, directory, snapshot, own));
  }

  /** After an install: every other snapshot is of a log that is gone. */
  keepOnly(snapshot: Snapshot): Promise<void> {
    return this.#change(async () => {
      this.#latest = snapshot;
      this.#indexes = [snapshot.index];
      await this.#removeOthers();
    });
  }

  /** After a trim: nothing is asked for below the log's start. */
  keepFrom(index: LogIndex): Promise<void> {
    return this.#change(async () => {
      const kept = this.#indexes.filter((other) => other >= index);
      if (kept.length === this.#indexes.length) return;
      this.#indexes = kept;
      await this.#removeOthers();
    });
  }

  #change(change: () => Promise<void>): Promise<void> {
    const changing = this.#changing.then(change);
    // The next change waits for this one's end, however it ends; the failure is this caller's.
    this.#changing = changing.catch(() => undefined);
    return changing;
  }

  async #removeOthers(): Promise<void> {
    const { disk, directory } = this.#context;
    const kept = new Set(this.#indexes.map(snapshotName));
    const names = (await disk.list(directory)).map((item) => item.name);
    const others = names.filter((name) => snapshotIndexOf(name) !== undefined && !kept.has(name));
    await removeSnapshots(disk, directory, others);
  }
}
