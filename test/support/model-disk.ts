/**
 * A disk for tests that behaves as badly as POSIX allows, and no worse. It remembers what was flushed apart from what
 * was only written:
 *
 * - a crash keeps of every file any subset of its unflushed pages, each in any of its unflushed versions, and any of
 *   its unflushed sizes; of every directory any subset of its unflushed creations, renames and removals (a rename is
 *   one);
 * - it stops before, in or after any chosen call: from then on nothing answers any more, as after a power cut;
 * - a chosen call fails with a chosen error; a failed flush forgets, as kernels do, that there was anything to flush,
 *   so that a second one "succeeds" without the data;
 * - it fills up, in the middle of a write if need be.
 *
 * Seeded: the same calls and the same seed give the same survivors. Calls are counted by kind, so that a test can say
 * how many flushes something cost.
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
  PAGE_BYTES,
  parentPath,
} from '../../storage/disk.ts';
import { StorageError } from '../../storage/errors.ts';
import { type Choose, Inode, readPages } from './model-inode.ts';
import { Directory, describeTree, everyChoice, randomChoice } from './model-tree.ts';

export type CallKind =
  | 'open'
  | 'stat'
  | 'list'
  | 'makeDirectory'
  | 'removeDirectory'
  | 'remove'
  | 'rename'
  | 'syncDirectory'
  | 'space'
  | 'lock'
  | 'bytes'
  | 'read'
  | 'write'
  | 'writeDurable'
  | 'setBytes'
  | 'flush'
  | 'close';

export interface Call {
  readonly number: number;
  readonly kind: CallKind;
  readonly path: string;
}

export interface ModelDiskOptions {
  readonly capacityBytes?: number;
  /** Called before each call: 'fail' codes make it fail, 'stop' cuts the power in it. */
  onCall?(call: Call): CallOutcome;
  /** Called in each call, where a stop would strike: what it changes is in the cache. */
  onBegun?(call: Call): void;
}

export type CallOutcome = undefined | 'stop' | 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EROFS';

export class ModelDisk implements Disk {
  readonly #options: ModelDiskOptions;
  readonly #root: Directory;
  readonly #locks = new Set<string>();
  readonly #counts = new Map<CallKind, number>();
  #calls = 0;
  #isStopped = false;
  #onStop: () => void = () => undefined;
  /** Resolves when the power was cut. */
  readonly stopped: Promise<void>;
  capacityBytes: number;

  constructor(options: ModelDiskOptions = {}, root: Directory = new Directory()) {
    this.#options = options;
    this.#root = root;
    this.stopped = new Promise((resolve) => {
      this.#onStop = resolve;
    });
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER;
  }

  /** Calls made so far. */
  get calls(): number {
    return this.#calls;
  }

  /** Waits in steps of one promise, without letting the disk's answers pass unseen. Never returns once it stopped. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#isStopped) return forever();
      await Promise.resolve();
    }
  }

  count(kind: CallKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** Calls that make data durable. */
  get flushes(): number {
    return this.count('flush') + this.count('writeDurable') + this.count('syncDirectory');
  }

  /** The disk as the next start may find it. This one is left as it is: other seeds may be tried. */
  afterCrash(seed: number, options: ModelDiskOptions = {}): ModelDisk {
    return new ModelDisk(options, this.#root.survivor(randomChoice(seed)));
  }

  /** The disk as it is now, which this one leaves behind: what was written and not flushed may still be lost in it. */
  copy(): ModelDisk {
    return new ModelDisk({}, this.#root.copy());
  }

  /**
   * The states a crash may leave, each once: all of them, or where there are more than `limit`, so many drawn by
   * `seed`. Disks with the same key are the same, whenever and of whichever disk they are what was left.
   */
  *crashStates(limit: number, seed: number): Generator<{ readonly key: string; readonly disk: ModelDisk }> {
    const survivor = (choose: Choose): Directory => this.#root.survivor(choose);
    let roots: Directory[] = [];
    for (const root of everyChoice(survivor)) if (roots.push(root) > limit) break;
    if (roots.length > limit) roots = Array.from({ length: limit }, (_, n) => survivor(randomChoice(seed + n)));
    const seen = new Set<string>();
    for (const root of roots) {
      const key = describeTree(root);
      if (seen.has(key)) continue;
      seen.add(key);
      yield { key, disk: new ModelDisk({}, root) };
    }
  }

  /** A stop at which everything written survives: a killed process. */
  afterKill(options: ModelDiskOptions = {}): ModelDisk {
    return new ModelDisk(options, this.#root);
  }

  /** Changes bytes behind everybody's back, durably: a rotten bit, a misdirected write. */
  damage(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const inode = this.#inodeAt(path);
    assert(inode !== undefined, `no file ${path}`);
    inode.replace(change(this.peek(path)));
  }

  /** The current content of a file, uncounted. */
  peek(path: string): Uint8Array {
    const inode = this.#inodeAt(path);
    assert(inode !== undefined, `no file ${path}`);
    const bytes = new Uint8Array(inode.bytes);
    readPages(inode, 0, bytes);
    return bytes;
  }

  /** All files, uncounted. */
  files(directory: Directory = this.#root, prefix = ''): string[] {
    return [...directory.entries].flatMap(([name, node]) =>
      node instanceof Directory ? this.files(node, `${prefix}/${name}`) : [`${prefix}/${name}`],
    );
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    const halt = this.enter('open', path);
    if (halt !== undefined) await halt;
    const parent = this.#directoryAt(parentPath(path), 'open');
    const node = parent.entries.get(baseName(path));
    if (node instanceof Directory) throw failure('EISDIR', 'open', path);
    if (mode === 'create') {
      if (node !== undefined) throw failure('EEXIST', 'open', path);
      const made = new Inode();
      parent.change([baseName(path), made]);
      return new ModelFile(this, made, path);
    }
    if (node === undefined) throw failure('ENOENT', 'open', path);
    return new ModelFile(this, node, path);
  }

  async stat(path: string): Promise<{ kind: 'file' | 'directory'; bytes: number } | undefined> {
    const halt = this.enter('stat', path);
    if (halt !== undefined) await halt;
    const node = this.#nodeAt(path);
    if (node === undefined) return undefined;
    return node instanceof Directory ? { kind: 'directory', bytes: 0 } : { kind: 'file', bytes: node.bytes };
  }

  async list(path: string): Promise<DirectoryItem[]> {
    const halt = this.enter('list', path);
    if (halt !== undefined) await halt;
    return [...this.#directoryAt(path, 'readdir').entries]
      .map(([name, node]) => ({
        name,
        kind: node instanceof Directory ? ('directory' as const) : ('file' as const),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async makeDirectory(path: string): Promise<void> {
    const halt = this.enter('makeDirectory', path);
    if (halt !== undefined) await halt;
    let directory = this.#root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      let next = directory.entries.get(name);
      if (next instanceof Inode) throw failure('EEXIST', 'mkdir', path);
      if (next === undefined) {
        next = new Directory();
        directory.change([name, next]);
      }
      directory = next;
    }
  }

  async removeDirectory(path: string): Promise<void> {
    const halt = this.enter('removeDirectory', path);
    if (halt !== undefined) await halt;
    if (this.#directoryAt(path, 'rmdir').entries.size > 0) throw failure('ENOTEMPTY', 'rmdir', path);
    this.#directoryAt(parentPath(path), 'rmdir').change([baseName(path), undefined]);
  }

  async remove(path: string): Promise<void> {
    const halt = this.enter('remove', path);
    if (halt !== undefined) await halt;
    const node = this.#nodeAt(path);
    if (!(node instanceof Inode)) throw failure(node === undefined ? 'ENOENT' : 'EISDIR', 'unlink', path);
    this.#directoryAt(parentPath(path), 'unlink').change([baseName(path), undefined]);
  }

  async rename(from: string, to: string): Promise<void> {
    const halt = this.enter('rename', from);
    if (halt !== undefined) await halt;
    assert(parentPath(from) === parentPath(to), `rename across directories: ${from} to ${to}`);
    const parent = this.#directoryAt(parentPath(from), 'rename');
    const node = parent.entries.get(baseName(from));
    if (node === undefined) throw failure('ENOENT', 'rename', from);
    if (parent.entries.get(baseName(to)) instanceof Directory) throw failure('EISDIR', 'rename', to);
    parent.change([baseName(from), undefined], [baseName(to), node]);
  }

  async syncDirectory(path: string): Promise<void> {
    const halt = this.enter('syncDirectory', path);
    if (halt !== undefined) await halt;
    this.#directoryAt(path, 'fsync').flush();
  }

  async space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    const halt = this.enter('space', path);
    if (halt !== undefined) await halt;
    return { freeBytes: this.capacityBytes - this.usedBytes(), totalBytes: this.capacityBytes };
  }

  async lock(path: string): Promise<DiskLock> {
    const halt = this.enter('lock', path);
    if (halt !== undefined) await halt;
    if (this.#locks.has(path)) {
      throw new StorageError('LOCKED', `${path} is held by process ${process.pid}`, { file: path, pid: process.pid });
    }
    this.#locks.add(path);
    return { release: async () => void this.#locks.delete(path) };
  }

  /** Whether there is no room for another page. */
  isFull(): boolean {
    return this.capacityBytes < Number.MAX_SAFE_INTEGER && this.usedBytes() + PAGE_BYTES > this.capacityBytes;
  }

  usedBytes(): number {
    const inodes = new Set<Inode>();
    const collect = (directory: Directory): void => {
      for (const node of directory.entries.values()) {
        if (node instanceof Directory) collect(node);
        else inodes.add(node);
      }
    };
    collect(this.#root);
    let pages = 0;
    for (const inode of inodes) pages += inode.pages.size;
    return pages * PAGE_BYTES;
  }

  /**
   * Counts a call, and changes by `begin` what is in the cache from then on, even when the call is stopped or fails: it
   * may or may not survive. Undefined: nothing is in the call's way. Never resolves once the power is cut.
   */
  enter(kind: CallKind, path: string, begin: () => void = () => undefined): Promise<void> | undefined {
    if (this.#isStopped) return forever();
    this.#calls++;
    this.#counts.set(kind, this.count(kind) + 1);
    const call = { number: this.#calls, kind, path };
    const outcome = this.#options.onCall?.(call);
    begin();
    this.#options.onBegun?.(call);
    if (outcome === undefined) return undefined;
    return outcome === 'stop' ? this.stop() : Promise.reject(failure(outcome, kind, path));
  }

  /** Cuts the power: nothing answers from here on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#onStop();
    return forever();
  }

  #nodeAt(path: string): Inode | Directory | undefined {
    let node: Inode | Directory | undefined = this.#root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      if (!(node instanceof Directory)) return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  #inodeAt(path: string): Inode | undefined {
    const node = this.#nodeAt(path);
    return node instanceof Inode ? node : undefined;
  }

  #directoryAt(path: string, action: string): Directory {
    const node = this.#nodeAt(path);
    if (!(node instanceof Directory)) throw failure(node === undefined ? 'ENOENT' : 'ENOTDIR', action, path);
    return node;
  }
}

function forever(): Promise<void> {
  return new Promise(() => undefined);
}

function failure(code: string, action: string, file: string): StorageError {
  const cause = Object.assign(new Error(code), { code });
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS';
  return new StorageError(isFull ? 'FULL' : 'IO', `${action} failed: ${code}`, { file, cause });
}

class ModelFile implements File {
  readonly #disk: ModelDisk;
  readonly #inode: Inode;
  readonly #path: string;

  constructor(disk: ModelDisk, inode: Inode, path: string) {
    this.#disk = disk;
    this.#inode = inode;
    this.#path = path;
  }

  async bytes(): Promise<number> {
    const halt = this.#disk.enter('bytes', this.#path);
    if (halt !== undefined) await halt;
    return this.#inode.bytes;
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    const halt = this.#disk.enter('read', this.#path);
    if (halt !== undefined) await halt;
    return readPages(this.#inode, position, into);
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const halt = this.#disk.enter('write', this.#path, () => this.#put(position, chunks));
    if (halt !== undefined) await halt;
  }

  async writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    assert(chunks.length <= CHUNKS_MAX, `${chunks.length} chunks in one flush`);
    const halt = this.#disk.enter('writeDurable', this.#path, () => this.#put(position, chunks));
    if (halt !== undefined) await halt;
    const end = position + chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (end === position) return;
    this.#inode.flushPages(Math.floor(position / PAGE_BYTES), Math.floor((end - 1) / PAGE_BYTES), end);
  }

  async setBytes(bytes: number): Promise<void> {
    const halt = this.#disk.enter('setBytes', this.#path, () => this.#inode.resize(bytes));
    if (halt !== undefined) await halt;
  }

  async flush(): Promise<void> {
    try {
      const halt = this.#disk.enter('flush', this.#path);
      if (halt !== undefined) await halt;
    } catch (error) {
      // The kernel marks pages clean though they never reached the disk: the next flush will not write them (W4).
      this.#inode.forgetUnflushed();
      throw error;
    }
    this.#inode.flush();
  }

  async close(): Promise<void> {
    const halt = this.#disk.enter('close', this.#path);
    if (halt !== undefined) await halt;
  }

  #put(position: number, chunks: readonly Uint8Array[]): void {
    let at = position;
    for (const chunk of chunks) {
      for (let done = 0; done < chunk.length; ) {
        const inPage = at % PAGE_BYTES;
        const part = Math.min(PAGE_BYTES - inPage, chunk.length - done);
        const page = Math.floor(at / PAGE_BYTES);
        if (!this.#inode.pages.has(page) && this.#disk.isFull()) {
          throw failure('ENOSPC', 'write', this.#path);
        }
        this.#inode.writePage(page, inPage, chunk.subarray(done, done + part));
        done += part;
        at += part;
        this.#inode.growTo(at);
      }
    }
  }
}
