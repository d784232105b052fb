/** A disk that hands everything on to the one below it: what a test's disk does otherwise, it overrides. */
import type { DirectoryItem, Disk, DiskLock, File, OpenMode } from '../../storage/index.ts';

export class WrappedDisk implements Disk {
  readonly below: Disk;

  constructor(below: Disk) {
    this.below = below;
  }

  open(path: string, mode: OpenMode): Promise<File> {
    return this.below.open(path, mode);
  }

  stat(path: string): ReturnType<Disk['stat']> {
    return this.below.stat(path);
  }

  list(path: string): Promise<DirectoryItem[]> {
    return this.below.list(path);
  }

  makeDirectory(path: string): Promise<void> {
    return this.below.makeDirectory(path);
  }

  removeDirectory(path: string): Promise<void> {
    return this.below.removeDirectory(path);
  }

  remove(path: string): Promise<void> {
    return this.below.remove(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.below.rename(from, to);
  }

  syncDirectory(path: string): Promise<void> {
    return this.below.syncDirectory(path);
  }

  space(path: string): ReturnType<Disk['space']> {
    return this.below.space(path);
  }

  lock(path: string): Promise<DiskLock> {
    return this.below.lock(path);
  }
}

export class WrappedFile implements File {
  readonly below: File;

  constructor(below: File) {
    this.below = below;
  }

  bytes(): Promise<number> {
    return this.below.bytes();
  }

  read(position: number, into: Uint8Array): Promise<number> {
    return this.below.read(position, into);
  }

  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.below.write(position, chunks);
  }

  writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.below.writeDurable(position, chunks);
  }

  setBytes(bytes: number): Promise<void> {
    return this.below.setBytes(bytes);
  }

  flush(): Promise<void> {
    return this.below.flush();
  }

  close(): Promise<void> {
    return this.below.close();
  }
}
