/**
 * A disk that takes its time: durable writes and flushes end after a while of simulated time, so that a crash can come
 * in the middle of one. What such a write had put into the cache by then may survive in part, as on the model disk
 * below it. Reads are immediate.
 */
import type { Disk, File, OpenMode } from '../../../storage/index.ts';
import { WrappedDisk, WrappedFile } from '../../support/wrapped-disk.ts';

export interface DiskPace {
  /** Waits for as long as one flush takes; never returns once the machine stopped. */
  flushTakes(): Promise<void>;
  /** Whether the bytes of the next durable write reach the cache before they are durable. */
  isTorn(): boolean;
}

export class SlowDisk extends WrappedDisk {
  readonly #pace: DiskPace;

  constructor(disk: Disk, pace: DiskPace) {
    super(disk);
    this.#pace = pace;
  }

  override async open(path: string, mode: OpenMode): Promise<File> {
    return new SlowFile(await super.open(path, mode), this.#pace);
  }

  override async syncDirectory(path: string): Promise<void> {
    await this.#pace.flushTakes();
    await super.syncDirectory(path);
  }
}

class SlowFile extends WrappedFile {
  readonly #pace: DiskPace;

  constructor(file: File, pace: DiskPace) {
    super(file);
    this.#pace = pace;
  }

  override async writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#pace.isTorn()) await super.write(position, chunks);
    await this.#pace.flushTakes();
    await super.writeDurable(position, chunks);
  }

  override async flush(): Promise<void> {
    await this.#pace.flushTakes();
    await super.flush();
  }
}
