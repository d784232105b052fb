/**
 * A file of a data directory that is there to be removed: when the disk is full, trimming must still be able to write a
 * manifest before it can free anything (W23, F38). Filled with bytes, since an empty file reserves nothing.
 */
import { type Disk, joinPath } from './disk.ts';
import { isStorageError } from './errors.ts';
import type { ByteCount } from './types.ts';

export const RESERVE_NAME = 'reserve';
export const RESERVE_BYTES: ByteCount = 512 * 1024;
/** Written again and again: a reserve of its own in memory would be made at each start. */
const FILLING = new Uint8Array(32 * 1024).fill(0xff);

export class SpaceReserve {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #path: string;
  /** Changes follow each other: several logs meet the same full disk. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
    this.#path = joinPath(directory, RESERVE_NAME);
  }

  /** Makes the reserve when it is missing and there is room for it. */
  ensure(): Promise<void> {
    return this.#then(() => this.#fill());
  }

  /** Gives the space up; false when it was given up before. */
  release(): Promise<boolean> {
    return this.#then(async () => {
      if ((await this.#disk.stat(this.#path)) === undefined) return false;
      await this.#disk.remove(this.#path);
      await this.#disk.syncDirectory(this.#directory);
      return true;
    });
  }

  /** Runs a change that will free space. When there is no room for it, once more in the space that is kept for this. */
  async lendTo(change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } catch (error) {
      if (!isStorageError(error, 'FULL') || !(await this.release())) throw error;
      await change();
    }
  }

  async #fill(): Promise<void> {
    const found = await this.#disk.stat(this.#path);
    if (found?.bytes === RESERVE_BYTES) return;
    if (found !== undefined) await this.#disk.remove(this.#path);
    const file = await this.#disk.open(this.#path, 'create');
    try {
      await file.write(
        0,
        Array.from({ length: RESERVE_BYTES / FILLING.length }, () => FILLING),
      );
      await file.flush();
    } catch (error) {
      // No room: there is nothing to set aside, and what was begun goes back.
      if (!isStorageError(error, 'FULL')) throw error;
      await this.#disk.remove(this.#path);
    } finally {
      await file.close();
    }
  }

  #then<T>(change: () => Promise<T>): Promise<T> {
    const next = this.#last.then(change);
    // The failure is the caller's; whoever comes next starts from what is on the disk.
    this.#last = next.catch(() => undefined);
    return next;
  }
}
