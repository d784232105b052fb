/**
 * A disk with a limited size, unreadable pages and moments in which it takes no writes, all settable while it is in
 * use. What is below it is a disk that works; capacity is counted as a memory disk counts it, so a write may fail in
 * its middle.
 */
import {
  type DirectoryItem,
  type Disk,
  type DiskLock,
  type File,
  MemoryDisk,
  type OpenMode,
  StorageError,
} from '../../../storage/index.ts';

export type SpaceCall = 'create' | 'write' | 'setBytes' | 'rename';

export class FaultyDisk implements Disk {
  readonly #disk = new MemoryDisk();
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

  async open(path: string, mode: OpenMode): Promise<File> {
    if (mode !== 'read') this.change('open to write', path);
    if (mode === 'create') this.take('create', path);
    return new FaultyFile(await this.#disk.open(path, mode), this, path);
  }

  /** Of a call that takes space: fails when there is none. */
  take(call: SpaceCall, path: string): void {
    if (this.isOutOfRoom(call, path)) throw failure('ENOSPC', call, path);
  }

  /** Of a call that changes anything. */
  change(action: string, path: string): void {
    if (this.isReadOnly) throw failure('EROFS', action, path);
  }

  stat(path: string): ReturnType<Disk['stat']> {
    return this.#disk.stat(path);
  }

  list(path: string): Promise<DirectoryItem[]> {
    return this.#disk.list(path);
  }

  async makeDirectory(path: string): Promise<void> {
    this.change('mkdir', path);
    return this.#disk.makeDirectory(path);
  }

  async removeDirectory(path: string): Promise<void> {
    this.change('rmdir', path);
    return this.#disk.removeDirectory(path);
  }

  async remove(path: string): Promise<void> {
    this.change('unlink', path);
    return this.#disk.remove(path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.change('rename', to);
    this.take('rename', to);
    await this.#disk.rename(from, to);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#disk.syncDirectory(path);
  }

  async space(): ReturnType<Disk['space']> {
    return { freeBytes: this.freeBytes, totalBytes: this.totalBytes };
  }

  lock(path: string): Promise<DiskLock> {
    return this.#disk.lock(path);
  }
}

class FaultyFile implements File {
  readonly #file: File;
  readonly #disk: FaultyDisk;
  readonly #path: string;

  constructor(file: File, disk: FaultyDisk, path: string) {
    this.#file = file;
    this.#disk = disk;
    this.#path = path;
  }

  bytes(): Promise<number> {
    return this.#file.bytes();
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    if (this.#disk.isUnreadable(this.#path, position, position + into.length)) throw failure('EIO', 'read', this.#path);
    return this.#file.read(position, into);
  }

  /** Part of it may be there when it fails, as on a real disk. */
  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#disk.change('write', this.#path);
    if (this.#disk.isBroken(this.#path)) throw failure('EIO', 'write', this.#path);
    try {
      this.#disk.take('write', this.#path);
    } catch (error) {
      await this.#file.write(position, chunks.slice(0, 1));
      throw error;
    }
    await this.#file.write(position, chunks);
  }

  writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.write(position, chunks);
  }

  async setBytes(bytes: number): Promise<void> {
    this.#disk.change('ftruncate', this.#path);
    if (this.#disk.isBroken(this.#path)) throw failure('EIO', 'ftruncate', this.#path);
    if (bytes > (await this.#file.bytes())) this.#disk.take('setBytes', this.#path);
    await this.#file.setBytes(bytes);
  }

  async flush(): Promise<void> {
    this.#disk.change('fsync', this.#path);
    return this.#file.flush();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function failure(code: 'ENOSPC' | 'EROFS' | 'EIO', action: string, file: string): StorageError {
  const cause = Object.assign(new Error(code), { code });
  return new StorageError(code === 'EIO' ? 'IO' : 'FULL', `${action} failed: ${code}`, { file, cause });
}
