/**
 * Open files for reading, bounded in number over a whole data directory (F42): the least recently used one that nobody
 * is reading from is closed. A file that was removed is dropped; readers that still use it finish on their handle.
 */
import assert from 'node:assert/strict';
import type { Disk, File } from './disk.ts';
import { isOutOfHandles } from './system-error.ts';

interface Handle {
  readonly opening: Promise<File>;
  /** Readers at work. */
  users: number;
  /** Dropped while in use: the last reader closes it. */
  isDropped: boolean;
}

export class HandleCache {
  readonly #disk: Disk;
  readonly #openMax: number;
  /** Least recently used first. */
  readonly #handles = new Map<string, Handle>();

  constructor(disk: Disk, openMax: number) {
    assert(openMax >= 1, `open handles: ${openMax}`);
    this.#disk = disk;
    this.#openMax = openMax;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** Runs `read` on the file; the handle stays open at least until it settles. */
  async use<T>(path: string, read: (file: File) => Promise<T>): Promise<T> {
    const handle = this.#take(path);
    try {
      return await read(await handle.opening);
    } catch (error) {
      // A failed open must not be remembered.
      if (this.#handles.get(path) === handle && (await isRejected(handle.opening))) this.#handles.delete(path);
      throw error;
    } finally {
      handle.users--;
      if (handle.isDropped && handle.users === 0) await close(handle);
    }
  }

  /** Forgets a file, because it was removed or replaced. */
  async drop(path: string): Promise<void> {
    const handle = this.#handles.get(path);
    if (handle === undefined) return;
    this.#handles.delete(path);
    handle.isDropped = true;
    if (handle.users === 0) await close(handle);
  }

  async closeAll(): Promise<void> {
    for (const path of [...this.#handles.keys()]) await this.drop(path);
  }

  #take(path: string): Handle {
    let handle = this.#handles.get(path);
    this.#handles.delete(path);
    handle ??= { opening: this.#open(path), users: 0, isDropped: false };
    handle.users++;
    this.#handles.set(path, handle);
    if (this.#handles.size > this.#openMax) this.#evict();
    return handle;
  }

  /** Out of handles (F42): those that nobody uses are given up, and it is tried once more. */
  async #open(path: string): Promise<File> {
    try {
      return await this.#disk.open(path, 'read');
    } catch (error) {
      if (!isOutOfHandles(error)) throw error;
      const idle = [...this.#handles].filter(([, { users }]) => users === 0);
      for (const [other] of idle) await this.drop(other);
      return this.#disk.open(path, 'read');
    }
  }

  #evict(): void {
    for (const [path, handle] of this.#handles) {
      if (handle.users > 0) continue;
      this.#handles.delete(path);
      // A handle that only read has nothing to lose: an error of its close is of no consequence.
      void close(handle).catch(() => undefined);
      return;
    }
  }
}

async function close(handle: Handle): Promise<void> {
  if (await isRejected(handle.opening)) return;
  await (await handle.opening).close();
}

async function isRejected(opening: Promise<File>): Promise<boolean> {
  return opening.then(
    () => false,
    () => true,
  );
}
