/** The snapshots of one log: which one counts, and which files are kept beside it. Saves run one after the other. */
import assert from 'node:assert/strict';
import type { LogContext } from './log-context.ts';
import { removeSnapshots, snapshotIndexOf, snapshotName, storeSnapshot } from './snapshot.ts';
import type { Snapshot } from './types.ts';

export class SnapshotFiles {
  readonly #context: LogContext;
  /** Newest first. */
  #known: readonly Snapshot[];
  #saving: Promise<void> = Promise.resolve();

  constructor(context: LogContext, known: readonly Snapshot[]) {
    this.#context = context;
    this.#known = known;
  }

  get latest(): Snapshot | undefined {
    return this.#known[0];
  }

  /** Stores and verifies `snapshot`, which then is the latest; the one before is kept, older ones are removed (W19). */
  save(snapshot: Snapshot): Promise<void> {
    const saving = this.#saving.then(async () => {
      const { latest } = this;
      if (latest !== undefined && snapshot.index === latest.index) return;
      assert(
        latest === undefined || snapshot.index > latest.index,
        `snapshot ${snapshot.index} behind ${latest?.index}`,
      );
      await this.store(snapshot);
      this.#known = latest === undefined ? [snapshot] : [snapshot, latest];
      await this.#removeOthers();
    });
    // The next save waits for this one's end, however it ends; the failure is this caller's.
    this.#saving = saving.catch(() => undefined);
    return saving;
  }

  /** Stores and verifies a file without making it count: an install does that, with the manifest. */
  async store(snapshot: Snapshot): Promise<void> {
    const { disk, directory, own, scheduler } = this.#context;
    await scheduler.run('entries', () => storeSnapshot(disk, directory, snapshot, own));
  }

  /** After an install: every other snapshot is of a log that is gone. */
  async keepOnly(snapshot: Snapshot): Promise<void> {
    await this.#saving;
    this.#known = [snapshot];
    await this.#removeOthers();
  }

  async #removeOthers(): Promise<void> {
    const { disk, directory } = this.#context;
    const kept = new Set(this.#known.map((snapshot) => snapshotName(snapshot.index)));
    const names = (await disk.list(directory)).map((item) => item.name);
    const others = names.filter((name) => snapshotIndexOf(name) !== undefined && !kept.has(name));
    await removeSnapshots(disk, directory, others);
  }
}
