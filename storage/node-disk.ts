/**
 * The real disk, and the only file of this room that touches node:fs.
 *
 * On Linux a file with the hint 'durable-writes' is opened with O_DSYNC: one pwritev is then write and flush in one
 * trip to the thread pool. Other files, and other systems (macOS, for development), get write + fdatasync.
 * Every write goes through writeAll, which checks counts: libuv reports a short write on a full disk only by its count
 * (W5, N1). Nothing is retried after a failed flush (W4); the caller ends the process.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {
  baseName,
  CHUNKS_MAX,
  type DirectoryItem,
  type Disk,
  type DiskLock,
  type File,
  joinPath,
  type OpenMode,
  parentPath,
  totalBytes,
} from './disk.ts';
import { StorageError } from './errors.ts';
import { acquireLock, type LockFiles, lockHolder, type ProcessStamp } from './lock.ts';
import { diskError, isOutOfHandles } from './system-error.ts';

const IS_LINUX = process.platform === 'linux';

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code;
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

/** One call of the callback API as a promise; a failure names the action and the file. */
function call<T>(action: string, file: string, start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(diskError(error, action, file)) : resolve(value)));
  });
}

/** Writes all chunks at `position`, going on after a short count, and asserts the total (W5). */
async function writeAll(fd: number, path: string, position: number, chunks: readonly Uint8Array[]): Promise<void> {
  let left = chunks;
  let at = position;
  while (left.length > 0) {
    const part = left.slice(0, CHUNKS_MAX);
    const wanted = totalBytes(part);
    const written = await call<number>('write', path, (done) => fs.writev(fd, part, at, done));
    if (written === 0 && wanted > 0) throw new StorageError('IO', 'a write of nothing', { file: path, position: at });
    at += written;
    left = written === wanted ? left.slice(part.length) : afterBytes(left, written);
  }
  assert(at === position + totalBytes(chunks), `wrote up to ${at} instead of ${position + totalBytes(chunks)}`);
}

/** The chunks without their first `count` bytes. */
function afterBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  let first = 0;
  while (first < chunks.length && chunks[first]!.length <= skip) skip -= chunks[first++]!.length;
  const rest = chunks.slice(first);
  if (skip > 0) rest[0] = rest[0]!.subarray(skip);
  return rest;
}

class NodeFile implements File {
  readonly #path: string;
  readonly #fd: number;
  /** Opened with O_DSYNC: every write is durable when it returns. */
  readonly #isSynchronous: boolean;

  constructor(path: string, fd: number, isSynchronous: boolean) {
    this.#path = path;
    this.#fd = fd;
    this.#isSynchronous = isSynchronous;
  }

  async bytes(): Promise<number> {
    const stat = await call<fs.Stats>('fstat', this.#path, (done) => fs.fstat(this.#fd, done));
    return stat.size;
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const count = await call<number>('read', this.#path, (done) =>
        fs.read(this.#fd, into, filled, into.length - filled, position + filled, done),
      );
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return writeAll(this.#fd, this.#path, position, chunks);
  }

  async writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    assert(chunks.length <= CHUNKS_MAX, `${chunks.length} chunks in one flush`);
    await this.write(position, chunks);
    if (this.#isSynchronous) return;
    await call<void>('fdatasync', this.#path, (done) => fs.fdatasync(this.#fd, (error) => done(error, undefined)));
  }

  async setBytes(bytes: number): Promise<void> {
    await call<void>('ftruncate', this.#path, (done) =>
      fs.ftruncate(this.#fd, bytes, (error) => done(error, undefined)),
    );
  }

  async flush(): Promise<void> {
    await flush(this.#path, this.#fd);
  }

  async close(): Promise<void> {
    await call<void>('close', this.#path, (done) => fs.close(this.#fd, (error) => done(error ?? null, undefined)));
  }
}

export class NodeDisk implements Disk {
  async open(path: string, mode: OpenMode, hint?: 'durable-writes'): Promise<File> {
    const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_DSYNC } = fs.constants;
    const isSynchronous = IS_LINUX && mode !== 'read' && hint === 'durable-writes';
    const flags = mode === 'read' ? O_RDONLY : mode === 'write' ? O_RDWR : O_RDWR | O_CREAT | O_EXCL;
    const fd = await call<number>(mode === 'read' ? 'open' : 'open to write', path, (done) =>
      fs.open(path, flags | O_NOFOLLOW | (isSynchronous ? O_DSYNC : 0), 0o600, done),
    );
    return new NodeFile(path, fd, isSynchronous);
  }

  async stat(path: string): Promise<{ kind: 'file' | 'directory'; bytes: number } | undefined> {
    try {
      const stat = await fs.promises.lstat(path);
      return { kind: stat.isDirectory() ? 'directory' : 'file', bytes: stat.size };
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw diskError(error, 'stat', path);
    }
  }

  async list(path: string): Promise<DirectoryItem[]> {
    const items = await call<fs.Dirent[]>('readdir', path, (done) => fs.readdir(path, { withFileTypes: true }, done));
    return items
      .map((item) => ({ name: item.name, kind: item.isDirectory() ? ('directory' as const) : ('file' as const) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async makeDirectory(path: string): Promise<void> {
    await call<unknown>('mkdir', path, (done) => fs.mkdir(path, { recursive: true, mode: 0o700 }, done));
  }

  async removeDirectory(path: string): Promise<void> {
    await call<void>('rmdir', path, (done) => fs.rmdir(path, (error) => done(error, undefined)));
  }

  async remove(path: string): Promise<void> {
    await call<void>('unlink', path, (done) => fs.unlink(path, (error) => done(error, undefined)));
  }

  async rename(from: string, to: string): Promise<void> {
    assert(parentPath(from) === parentPath(to), `rename across directories: ${from} to ${to}`);
    await call<void>('rename', from, (done) => fs.rename(from, to, (error) => done(error, undefined)));
  }

  /** A directory is flushed by opening it read-only and calling fsync on it (N5). */
  async syncDirectory(path: string): Promise<void> {
    spare.keep();
    const flags = fs.constants.O_RDONLY | fs.constants.O_DIRECTORY;
    let fd: number;
    try {
      fd = await call<number>('open', path, (done) => fs.open(path, flags, done));
    } catch (error) {
      if (!isOutOfHandles(error)) throw error;
      // A name that was given cannot be taken back, nor wait for connections to end.
      return spare.lend(path, flags, (lent) => flush(path, lent));
    }
    try {
      await flush(path, fd);
    } finally {
      await call<void>('close', path, (done) => fs.close(fd, (error) => done(error ?? null, undefined)));
    }
  }

  async space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    const stat = await call<fs.StatsFs>('statfs', path, (done) => fs.statfs(path, done));
    return { freeBytes: stat.bavail * stat.bsize, totalBytes: stat.blocks * stat.bsize };
  }

  lock(path: string): Promise<DiskLock> {
    return acquireLock(new NodeLockFiles(path));
  }

  /** The pid of the living process that holds the lock at `path`; undefined when nobody does. Takes nothing. */
  lockHolder(path: string): Promise<number | undefined> {
    return lockHolder(new NodeLockFiles(path));
  }
}

function flush(path: string, fd: number): Promise<void> {
  return call('fsync', path, (done) => fs.fsync(fd, (error) => done(error, undefined)));
}

/** A handle that is kept for what cannot wait until there is one: connections take all they can get (F42). */
class SpareHandle {
  #fd: number | undefined;
  /** One borrower at a time. */
  #last: Promise<void> = Promise.resolve();

  keep(): void {
    try {
      this.#fd ??= fs.openSync('/dev/null', fs.constants.O_RDONLY);
    } catch {
      // None is left just now: the next call tries again.
    }
  }

  /** For one file, which is opened in the turn in which the handle is given up, and closed in the turn in which it is
   *  taken back: nobody else of this thread comes in between. */
  lend(path: string, flags: number, use: (fd: number) => Promise<void>): Promise<void> {
    const lent = this.#last.then(async () => {
      if (this.#fd !== undefined) fs.closeSync(this.#fd);
      this.#fd = undefined;
      let fd: number | undefined;
      try {
        fd = openNow(path, flags);
        await use(fd);
      } finally {
        if (fd !== undefined) fs.closeSync(fd);
        this.keep();
      }
    });
    this.#last = lent.catch(() => undefined);
    return lent;
  }
}

function openNow(path: string, flags: number): number {
  try {
    return fs.openSync(path, flags);
  } catch (error) {
    throw diskError(error, 'open', path);
  }
}

const spare = new SpareHandle();

let lockCounter = 0;

/** What lock.ts needs of the operating system: files by name beside the lock, and who is alive. */
class NodeLockFiles implements LockFiles {
  readonly path: string;
  readonly #directory: string;
  readonly #temporary: string;

  constructor(path: string) {
    this.path = path;
    this.#directory = parentPath(path);
    this.#temporary = joinPath(this.#directory, `${baseName(path)}.${process.pid}.${++lockCounter}.tmp`);
  }

  own(): ProcessStamp {
    return { pid: process.pid, bootId: readBootId(), startTime: readStartTime(process.pid) ?? '' };
  }

  isAlive(stamp: ProcessStamp): boolean {
    if (stamp.bootId !== readBootId()) return false;
    const startTime = readStartTime(stamp.pid);
    if (startTime !== undefined && stamp.startTime !== '') return startTime === stamp.startTime;
    try {
      process.kill(stamp.pid, 0);
      return true;
    } catch (error) {
      // EPERM: somebody else's process, and so a living one. Without /proc a recycled pid cannot be told apart.
      return hasCode(error, 'EPERM');
    }
  }

  async createExclusive(name: string, text: string): Promise<boolean> {
    await this.#writeTemporary(text);
    try {
      await fs.promises.link(this.#temporary, joinPath(this.#directory, name));
      return true;
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false;
      throw diskError(error, 'link', joinPath(this.#directory, name));
    } finally {
      await fs.promises.unlink(this.#temporary);
    }
  }

  async replace(name: string, text: string): Promise<void> {
    await this.#writeTemporary(text);
    await call<void>('rename', this.#temporary, (done) =>
      fs.rename(this.#temporary, joinPath(this.#directory, name), (error) => done(error, undefined)),
    );
  }

  async read(name: string): Promise<string | undefined> {
    try {
      return await fs.promises.readFile(joinPath(this.#directory, name), 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw diskError(error, 'read', joinPath(this.#directory, name));
    }
  }

  async remove(name: string): Promise<void> {
    await call<void>('unlink', joinPath(this.#directory, name), (done) =>
      fs.unlink(joinPath(this.#directory, name), (error) => done(hasCode(error, 'ENOENT') ? null : error, undefined)),
    );
  }

  async #writeTemporary(text: string): Promise<void> {
    try {
      await fs.promises.writeFile(this.#temporary, text, { mode: 0o600 });
    } catch (error) {
      throw diskError(error, 'write', this.#temporary);
    }
  }
}

/** The kernel's id of this boot; empty where there is none, so that only the pid decides. */
function readBootId(): string {
  return readProc('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

/** Field 22 of /proc/<pid>/stat: start time in clock ticks since boot; undefined without such a process or /proc. */
function readStartTime(pid: number): string | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  // The command name, in parentheses, may hold spaces and parentheses: count fields behind the last one.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function readProc(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    // No such process, or no /proc on this system: both mean "not known".
    return undefined;
  }
}
