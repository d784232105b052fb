/**
 * A disk with a limited size, unreadable pages and moments in which it takes no writes, all settable while it is in
 * use. What is below it is a disk that works; capacity is counted as a memory disk counts it, so a write may fail in
 * its middle.
 */
import { type Disk, type File, MemoryDisk, type OpenMode, StorageError } from '../../../storage/index.ts';
import { WrappedDisk, WrappedFile } from '../../support/wrapped-disk.ts';

export type SpaceCall = 'create' | 'write' | 'setBytes' | 'rename';

export class FaultyDisk extends WrappedDisk {
  /** Told by space(). */
  totalBytes: number = 100 * 1024 * 1024;
  freeBytes: number = 100 * 1024 * 1024;
  /** Whether a call on this path finds no room. */
  isOutOfRoom: (call: SpaceCall, path: string) => boolean = () => false;
  /** Nothing can be changed, as when the kernel gives a file system up for written. */
  isReadOnly = false;
  /** Whether the medium takes no write to this file. */
  isBroken: (path: string) => boolean = () => false;
  /** Whether the medium does not give back these bytes. */
  isUnreadable: (path: string, from: number, to: number) => boolean = () => false;

  constructor() {
    super(new MemoryDisk());
  }

  override async open(path: string, mode: OpenMode): Promise<File> {
    if (mode !== 'read') this.change('open to write', path);
    if (mode === 'create') this.take('create', path);
    return new FaultyFile(await super.open(path, mode), this, path);
  }

  /** Of a call that takes space: fails when there is none. */
  take(call: SpaceCall, path: string): void {
    if (this.isOutOfRoom(call, path)) throw failure('ENOSPC', call, path);
  }

  /** Of a call that changes anything. */
  change(action: string, path: string): void {
    if (this.isReadOnly) throw failure('EROFS', action, path);
  }

  override async makeDirectory(path: string): Promise<void> {
    this.change('mkdir', path);
    return super.makeDirectory(path);
  }

  override async removeDirectory(path: string): Promise<void> {
    this.change('rmdir', path);
    return super.removeDirectory(path);
  }

  override async remove(path: string): Promise<void> {
    this.change('unlink', path);
    return super.remove(path);
  }

  override async rename(from: string, to: string): Promise<void> {
    this.change('rename', to);
    this.take('rename', to);
    await super.rename(from, to);
  }

  override async space(): ReturnType<Disk['space']> {
    return { freeBytes: this.freeBytes, totalBytes: this.totalBytes };
  }
}

class FaultyFile extends WrappedFile {
  readonly #disk: FaultyDisk;
  readonly #path: string;

  constructor(file: File, disk: FaultyDisk, path: string) {
    super(file);
    this.#disk = disk;
    this.#path = path;
  }

  override async read(position: number, into: Uint8Array): Promise<number> {
    if (this.#disk.isUnreadable(this.#path, position, position + into.length)) throw failure('EIO', 'read', this.#path);
    return super.read(position, into);
  }

  /** Part of it may be there when it fails, as on a real disk. */
  override async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#disk.change('write', this.#path);
    if (this.#disk.isBroken(this.#path)) throw failure('EIO', 'write', this.#path);
    try {
      this.#disk.take('write', this.#path);
    } catch (error) {
      await super.write(position, chunks.slice(0, 1));
      throw error;
    }
    await super.write(position, chunks);
  }

  override writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.write(position, chunks);
  }

  override async setBytes(bytes: number): Promise<void> {
    this.#disk.change('ftruncate', this.#path);
    if (this.#disk.isBroken(this.#path)) throw failure('EIO', 'ftruncate', this.#path);
    if (bytes > (await this.bytes())) this.#disk.take('setBytes', this.#path);
    await super.setBytes(bytes);
  }

  override async flush(): Promise<void> {
    this.#disk.change('fsync', this.#path);
    return super.flush();
  }
}

function failure(code: 'ENOSPC' | 'EROFS' | 'EIO', action: string, file: string): StorageError {
  const cause = Object.assign(new Error(code), { code });
  return new StorageError(code === 'EIO' ? 'IO' : 'FULL', `${action} failed: ${code}`, { file, cause });
}
