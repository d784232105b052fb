/**
 * A disk without a disk, for in-memory brokers and fast tests: everything is "durable" at once and gone with the
 * process. Contents lie in fixed blocks, allocated when first written, so that a file of 64 MiB that was grown and not
 * filled costs nothing, and an append copies its bytes once.
 */
import assert from 'node:assert/strict';
import {
  baseName,
  CHUNKS_MAX,
  type DirectoryItem,
  type Disk,
  type DiskLock,
  type File,
  type OpenMode,
  parentPath,
  totalBytes,
} from './disk.ts';
import { StorageError } from './errors.ts';

const BLOCK_BYTES = 256 * 1024;

export interface MemoryDiskOptions {
  /** Bytes of allocated blocks at which writes fail with FULL; default: no limit but the process's memory. */
  readonly capacityBytes?: number;
}

/** A file's content: survives its name, as an inode does. */
class Content {
  blocks: (Uint8Array | undefined)[] = [];
  bytes = 0;
  /** False once its last name is gone: its blocks no longer count as used. */
  isNamed = true;
}

type Node = Content | 'directory';

export class MemoryDisk implements Disk {
  readonly #capacityBytes: number;
  readonly #nodes = new Map<string, Node>([['/', 'directory']]);
  readonly #locks = new Set<string>();
  #usedBytes = 0;

  constructor(options: MemoryDiskOptions = {}) {
    this.#capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    const node = this.#nodes.get(path);
    if (mode === 'create') {
      if (node !== undefined) throw failure('EEXIST', 'open', path);
      this.#expectDirectory(parentPath(path), 'open');
      const made = new Content();
      this.#nodes.set(path, made);
      return new MemoryFile(this, made);
    }
    if (!(node instanceof Content)) throw failure(node === undefined ? 'ENOENT' : 'EISDIR', 'open', path);
    return new MemoryFile(this, node);
  }

  async stat(path: string): Promise<{ kind: 'file' | 'directory'; bytes: number } | undefined> {
    const node = this.#nodes.get(path);
    if (node === undefined) return undefined;
    return node === 'directory' ? { kind: 'directory', bytes: 0 } : { kind: 'file', bytes: node.bytes };
  }

  async list(path: string): Promise<DirectoryItem[]> {
    this.#expectDirectory(path, 'readdir');
    const items: DirectoryItem[] = [];
    for (const [other, node] of this.#nodes) {
      if (other === '/' || parentPath(other) !== path) continue;
      items.push({ name: baseName(other), kind: node === 'directory' ? 'directory' : 'file' });
    }
    return items.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async makeDirectory(path: string): Promise<void> {
    const node = this.#nodes.get(path);
    if (node instanceof Content) throw failure('EEXIST', 'mkdir', path);
    if (node === 'directory') return;
    await this.makeDirectory(parentPath(path));
    this.#nodes.set(path, 'directory');
  }

  async removeDirectory(path: string): Promise<void> {
    if ((await this.list(path)).length > 0) throw failure('ENOTEMPTY', 'rmdir', path);
    this.#nodes.delete(path);
  }

  async remove(path: string): Promise<void> {
    const node = this.#nodes.get(path);
    if (!(node instanceof Content)) throw failure(node === undefined ? 'ENOENT' : 'EISDIR', 'unlink', path);
    this.#nodes.delete(path);
    this.#release(node);
  }

  async rename(from: string, to: string): Promise<void> {
    assert(parentPath(from) === parentPath(to), `rename across directories: ${from} to ${to}`);
    const node = this.#nodes.get(from);
    if (node === undefined) throw failure('ENOENT', 'rename', from);
    const replaced = this.#nodes.get(to);
    if (replaced === 'directory') throw failure('EISDIR', 'rename', to);
    if (replaced !== undefined) this.#release(replaced);
    this.#nodes.delete(from);
    this.#nodes.set(to, node);
    if (node !== 'directory') return;
    for (const [path, child] of [...this.#nodes]) {
      if (!path.startsWith(`${from}/`)) continue;
      this.#nodes.delete(path);
      this.#nodes.set(to + path.slice(from.length), child);
    }
  }

  async syncDirectory(path: string): Promise<void> {
    this.#expectDirectory(path, 'fsync');
  }

  async space(_path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    return { freeBytes: this.#capacityBytes - this.#usedBytes, totalBytes: this.#capacityBytes };
  }

  async lock(path: string): Promise<DiskLock> {
    if (this.#locks.has(path)) {
      throw new StorageError('LOCKED', `${path} is held by process ${process.pid}`, { file: path, pid: process.pid });
    }
    this.#locks.add(path);
    return { release: async () => void this.#locks.delete(path) };
  }

  /** For MemoryFile: a fresh zeroed block, or FULL. */
  allocate(): Uint8Array {
    if (this.#usedBytes + BLOCK_BYTES > this.#capacityBytes) throw failure('ENOSPC', 'write', 'memory');
    this.#usedBytes += BLOCK_BYTES;
    return new Uint8Array(BLOCK_BYTES);
  }

  /** For MemoryFile: blocks that were given up. */
  free(blocks: number): void {
    this.#usedBytes -= blocks * BLOCK_BYTES;
  }

  /** Space counts as free once the name is gone; a handle that is still open reads on until it is closed. */
  #release(content: Content): void {
    content.isNamed = false;
    this.free(content.blocks.filter((block) => block !== undefined).length);
  }

  #expectDirectory(path: string, action: string): void {
    const node = this.#nodes.get(path);
    if (node !== 'directory') throw failure(node === undefined ? 'ENOENT' : 'ENOTDIR', action, path);
  }
}

function failure(code: string, action: string, file: string): StorageError {
  const cause = Object.assign(new Error(code), { code });
  return new StorageError(code === 'ENOSPC' ? 'FULL' : 'IO', `${action} failed: ${code}`, { file, cause });
}

class MemoryFile implements File {
  readonly #disk: MemoryDisk;
  readonly #content: Content;

  constructor(disk: MemoryDisk, content: Content) {
    this.#disk = disk;
    this.#content = content;
  }

  async bytes(): Promise<number> {
    return this.#content.bytes;
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    const content = this.#content;
    const count = Math.max(0, Math.min(into.length, content.bytes - position));
    let done = 0;
    while (done < count) {
      const at = position + done;
      const inBlock = at % BLOCK_BYTES;
      const part = Math.min(BLOCK_BYTES - inBlock, count - done);
      const block = content.blocks[Math.floor(at / BLOCK_BYTES)];
      if (block === undefined) into.fill(0, done, done + part);
      else into.set(block.subarray(inBlock, inBlock + part), done);
      done += part;
    }
    return count;
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const content = this.#content;
    let at = position;
    for (const chunk of chunks) {
      let done = 0;
      while (done < chunk.length) {
        const number = Math.floor(at / BLOCK_BYTES);
        const inBlock = at % BLOCK_BYTES;
        const part = Math.min(BLOCK_BYTES - inBlock, chunk.length - done);
        let block = content.blocks[number];
        if (block === undefined) {
          block = content.isNamed ? this.#disk.allocate() : new Uint8Array(BLOCK_BYTES);
          content.blocks[number] = block;
        }
        block.set(part === chunk.length ? chunk : chunk.subarray(done, done + part), inBlock);
        done += part;
        at += part;
        if (at > content.bytes) content.bytes = at;
      }
    }
    assert(at === position + totalBytes(chunks), 'every byte was written');
  }

  async writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    assert(chunks.length <= CHUNKS_MAX, `${chunks.length} chunks in one flush`);
    return this.write(position, chunks);
  }

  async setBytes(bytes: number): Promise<void> {
    const content = this.#content;
    if (bytes < content.bytes) {
      const keep = Math.ceil(bytes / BLOCK_BYTES);
      const dropped = content.blocks.splice(keep).filter((block) => block !== undefined).length;
      if (content.isNamed) this.#disk.free(dropped);
      content.blocks[keep - 1]?.fill(0, bytes % BLOCK_BYTES || BLOCK_BYTES);
    }
    content.bytes = bytes;
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}
}
