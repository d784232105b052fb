/**
 * A disk that takes its time: durable writes and flushes end after a while of simulated time, so that a crash can come
 * in the middle of one. What such a write had put into the cache by then may survive in part, as on the model disk
 * below it. Reads are immediate.
 */
import type { DirectoryItem, Disk, DiskLock, File, OpenMode } from '../../../storage/index.ts';

export interface DiskPace {
  /** Waits for as long as one flush takes; never returns once the machine stopped. */
  flushTakes(): Promise<void>;
  /** Whether the bytes of the next durable write reach the cache before they are durable. */
  isTorn(): boolean;
}

export class SlowDisk implements Disk {
  readonly #disk: Disk;
  readonly #pace: DiskPace;

  constructor(disk: Disk, pace: DiskPace) {
    this.#disk = disk;
    this.#pace = pace;
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    return new SlowFile(await this.#disk.open(path, mode), this.#pace);
  }

  stat(path: string): ReturnType<Disk['stat']> {
    return this.#disk.stat(path);
  }

  list(path: string): Promise<DirectoryItem[]> {
    return this.#disk.list(path);
  }

  makeDirectory(path: string): Promise<void> {
    return this.#disk.makeDirectory(path);
  }

  removeDirectory(path: string): Promise<void> {
    return this.#disk.removeDirectory(path);
  }

  remove(path: string): Promise<void> {
    return this.#disk.remove(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#pace.flushTakes();
    await this.#disk.syncDirectory(path);
  }

  space(path: string): ReturnType<Disk['space']> {
    return this.#disk.space(path);
  }

  lock(path: string): Promise<DiskLock> {
    return this.#disk.lock(path);
  }
}

class SlowFile implements File {
  readonly #file: File;
  readonly #pace: DiskPace;

  constructor(file: File, pace: DiskPace) {
    this.#file = file;
    this.#pace = pace;
  }

  bytes(): Promise<number> {
    return this.#file.bytes();
  }

  read(position: number, into: Uint8Array): Promise<number> {
    return this.#file.read(position, into);
  }

  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#file.write(position, chunks);
  }

  async writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#pace.isTorn()) await this.#file.write(position, chunks);
    await this.#pace.flushTakes();
    await this.#file.writeDurable(position, chunks);
  }

  setBytes(bytes: number): Promise<void> {
    return this.#file.setBytes(bytes);
  }

  async flush(): Promise<void> {
    await this.#pace.flushTakes();
    await this.#file.flush();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
