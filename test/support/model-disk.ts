/**
 * A disk for tests that behaves as badly as POSIX allows, and no worse. It remembers what was flushed apart from what
 * was only written:
 *
 * - a crash keeps of every file any subset of its unflushed pages, each in any of its unflushed versions, and any of its
 *   unflushed sizes; of every directory any subset of its unflushed creations, renames and removals (a rename is one);
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
}

export type CallOutcome = undefined | 'stop' | 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EROFS';

/** A small seeded generator (mulberry32): tests need spread, not secrecy. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** What becomes of something that may survive in several ways: one of 0 .. count - 1. */
type Choose = (count: number) => number;

/** Runs `work` with every sequence of choices there is, each once, in order. */
function* everyChoice<T>(work: (choose: Choose) => T): Generator<T> {
  const path: { at: number; readonly count: number }[] = [];
  for (;;) {
    let depth = 0;
    yield work((count) => {
      if (depth === path.length) path.push({ at: 0, count });
      return path[depth++]!.at;
    });
    while (path.length > 0 && path.at(-1)!.at === path.at(-1)!.count - 1) path.pop();
    if (path.length === 0) return;
    path.at(-1)!.at++;
  }
}

type Pages = Map<number, Uint8Array>;

const SLAB_BYTES = 64 * PAGE_BYTES;
let slab = new Uint8Array(0);
let slabUsed = 0;

/** A page of zeros. Cut from slabs: a simulation writes hundreds of thousands, and small allocations of this kind are
 *  what costs most in them. A slab goes when its last page does. */
function newPage(): Uint8Array {
  if (slabUsed === slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  slabUsed += PAGE_BYTES;
  return slab.subarray(slabUsed - PAGE_BYTES, slabUsed);
}

class Inode {
  /** What a process sees. */
  pages: Pages = new Map();
  bytes = 0;
  /** What a crash cannot take away. */
  durablePages: Pages = new Map();
  durableBytes = 0;
  /** Versions written since the last flush, oldest first. */
  unflushed: { page: number; content: Uint8Array }[] = [];
  unflushedBytes: number[] = [];

  writePage(page: number, inPage: number, part: Uint8Array): void {
    const content = newPage();
    const old = this.pages.get(page);
    if (old !== undefined && part.length < PAGE_BYTES) content.set(old);
    content.set(part, inPage);
    this.pages.set(page, content);
    this.unflushed.push({ page, content });
  }

  resize(bytes: number): void {
    if (bytes < this.bytes) {
      const keep = Math.ceil(bytes / PAGE_BYTES);
      for (const page of [...this.pages.keys()]) if (page >= keep) this.pages.delete(page);
      const last = this.pages.get(keep - 1);
      if (last !== undefined && bytes % PAGE_BYTES !== 0) {
        const zeroed = last.slice();
        zeroed.fill(0, bytes % PAGE_BYTES);
        this.pages.set(keep - 1, zeroed);
        this.unflushed.push({ page: keep - 1, content: zeroed });
      }
    }
    this.bytes = bytes;
    this.unflushedBytes.push(bytes);
  }

  /** Everything written so far is durable. */
  flush(): void {
    this.durablePages = new Map(this.pages);
    this.durableBytes = this.bytes;
    this.forgetUnflushed();
  }

  /** The pages [first, last] are durable, and a size that holds them. */
  flushPages(first: number, last: number, end: number): void {
    for (let page = first; page <= last; page++) {
      const content = this.pages.get(page);
      if (content !== undefined) this.durablePages.set(page, content);
    }
    this.durableBytes = Math.max(this.durableBytes, end);
    this.unflushed = this.unflushed.filter(({ page }) => page < first || page > last);
    // Sizes of before that could not hold them are out of the question.
    this.unflushedBytes = this.unflushedBytes.filter((bytes) => bytes >= end);
  }

  forgetUnflushed(): void {
    this.unflushed = [];
    this.unflushedBytes = [];
  }

  /** One of the states a crash may leave. */
  survivor(choose: Choose): Inode {
    const after = new Inode();
    const bytes = pick(choose, [this.durableBytes, ...this.unflushedBytes]);
    const versions = new Map<number, Uint8Array[]>();
    for (const { page, content } of this.unflushed) {
      versions.set(page, [...(versions.get(page) ?? []), content]);
    }
    const pages: Pages = new Map(this.durablePages);
    for (const [page, written] of versions) {
      const durable = this.durablePages.get(page) ?? new Uint8Array(PAGE_BYTES);
      // Half the time a page is as if never written: otherwise pages with many versions would nearly always survive.
      if (choose(2) === 0) pages.set(page, pick(choose, written));
      else pages.set(page, durable);
    }
    // A page beyond the size is not there; the part of the last page beyond it reads as zeros once the file grows.
    after.pages = pages;
    after.bytes = Number.MAX_SAFE_INTEGER;
    after.resize(bytes);
    after.flush();
    return after;
  }
}

class Directory {
  entries: Map<string, Inode | Directory> = new Map();
  durable: Map<string, Inode | Directory> = new Map();
  /** Each is one atomic change: names and what they are to point at. */
  unflushed: (readonly [string, Inode | Directory | undefined])[][] = [];

  change(...changes: (readonly [string, Inode | Directory | undefined])[]): void {
    apply(this.entries, changes);
    this.unflushed.push(changes);
  }

  flush(): void {
    this.durable = new Map(this.entries);
    this.unflushed = [];
  }

  survivor(choose: Choose, copies: Map<Inode, Inode>): Directory {
    const names = new Map(this.durable);
    for (const changes of this.unflushed) if (choose(2) === 0) apply(names, changes);
    const after = new Directory();
    for (const [name, node] of names) {
      if (node instanceof Directory) {
        after.entries.set(name, node.survivor(choose, copies));
        continue;
      }
      // One file under two names, as after half a rename would be, stays one file.
      const copy = copies.get(node) ?? node.survivor(choose);
      copies.set(node, copy);
      after.entries.set(name, copy);
    }
    after.flush();
    return after;
  }
}

function apply(
  entries: Map<string, Inode | Directory>,
  changes: readonly (readonly [string, Inode | Directory | undefined])[],
): void {
  for (const [name, node] of changes) {
    if (node === undefined) entries.delete(name);
    else entries.set(name, node);
  }
}

function pick<T>(choose: Choose, choices: readonly T[]): T {
  return choices[choose(choices.length)]!;
}

/** Equal for equal trees: names, sizes, and pages by identity, which versions of a page share with no other. */
function describe(directory: Directory, identities: Map<Uint8Array, number>): string {
  const parts: string[] = [];
  for (const [name, node] of [...directory.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (node instanceof Directory) {
      parts.push(`${name}/(${describe(node, identities)})`);
      continue;
    }
    const pages = [...node.pages]
      .sort(([a], [b]) => a - b)
      .map(([page, content]) => {
        if (!identities.has(content)) identities.set(content, identities.size);
        return `${page}:${identities.get(content)}`;
      });
    parts.push(`${name}=${node.bytes}[${pages}]`);
  }
  return parts.join();
}

function randomChoice(seed: number): Choose {
  const random = seededRandom(seed);
  return (count) => Math.floor(random() * count);
}

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
    return new ModelDisk(options, this.#root.survivor(randomChoice(seed), new Map()));
  }

  /** The states a crash may leave, each once: all of them, or where there are more than `limit`, so many drawn by `seed`. */
  *crashStates(limit: number, seed: number): Generator<ModelDisk> {
    const survivor = (choose: Choose): Directory => this.#root.survivor(choose, new Map());
    let ways = 0;
    for (const _ of everyChoice(survivor)) if (++ways > limit) break;
    const drawn = function* (): Generator<Directory> {
      for (let n = 0; n < limit; n++) yield survivor(randomChoice(seed + n));
    };
    const seen = new Set<string>();
    const identities = new Map<Uint8Array, number>();
    for (const root of ways > limit ? drawn() : everyChoice(survivor)) {
      const key = describe(root, identities);
      if (seen.has(key)) continue;
      seen.add(key);
      yield new ModelDisk({}, root);
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
    const bytes = change(this.peek(path));
    const rewritten = new Inode();
    for (let page = 0; page * PAGE_BYTES < bytes.length; page++) {
      rewritten.writePage(page, 0, bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
    }
    inode.pages = rewritten.pages;
    inode.bytes = bytes.length;
    inode.flush();
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
   * Counts a call; undefined: nothing is in its way. Never resolves once the power is cut. A call that is stopped or fails has begun: what `begin` changes
   * is in the cache, and may or may not survive.
   */
  enter(kind: CallKind, path: string, begin: () => void = () => undefined): Promise<void> | undefined {
    if (this.#isStopped) return forever();
    this.#calls++;
    this.#counts.set(kind, this.count(kind) + 1);
    const outcome = this.#options.onCall?.({ number: this.#calls, kind, path });
    if (outcome === undefined) return undefined;
    begin();
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
    for (const name of path.split('/').filter((part) => part !== '')) {
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

function readPages(inode: Inode, position: number, into: Uint8Array): number {
  const count = Math.max(0, Math.min(into.length, inode.bytes - position));
  for (let done = 0; done < count; ) {
    const inPage = (position + done) % PAGE_BYTES;
    const part = Math.min(PAGE_BYTES - inPage, count - done);
    const page = inode.pages.get(Math.floor((position + done) / PAGE_BYTES));
    if (page === undefined) into.fill(0, done, done + part);
    else into.set(page.subarray(inPage, inPage + part), done);
    done += part;
  }
  return count;
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
    const put = () => this.#put(position, chunks);
    const halt = this.#disk.enter('write', this.#path, put);
    if (halt !== undefined) await halt;
    put();
  }

  async writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    assert(chunks.length <= CHUNKS_MAX, `${chunks.length} chunks in one flush`);
    const put = () => this.#put(position, chunks);
    const halt = this.#disk.enter('writeDurable', this.#path, put);
    if (halt !== undefined) await halt;
    put();
    const end = position + chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (end === position) return;
    this.#inode.flushPages(Math.floor(position / PAGE_BYTES), Math.floor((end - 1) / PAGE_BYTES), end);
  }

  async setBytes(bytes: number): Promise<void> {
    const resize = () => this.#inode.resize(bytes);
    const halt = this.#disk.enter('setBytes', this.#path, resize);
    if (halt !== undefined) await halt;
    resize();
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
        if (at > this.#inode.bytes) {
          this.#inode.bytes = at;
          this.#inode.unflushedBytes.push(at);
        }
      }
    }
  }
}
