/**
 * Flushes of one directory, shared: a topic makes hundreds of files in it at once. All that were named before a flush
 * begins share it, and whoever is named while one is under way shares the next.
 */
import type { Disk } from './disk.ts';

export class DirectorySync {
  readonly #disk: Disk;
  readonly #directory: string;
  /** The last flush begun or waiting, and the one that has not begun. */
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** What was created, renamed or removed in the directory before this call is durable when it resolves. */
  sync(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    const next = this.#last.then(() => {
      this.#next = undefined;
      return this.#disk.syncDirectory(this.#directory);
    });
    this.#next = next;
    // The next one waits for the end of this one, however it ends; a failure is for those who share it.
    this.#last = next.catch(() => undefined);
    return next;
  }
}
