/**
 * The lock of a data directory (W22): which living process owns it. The file holds pid, boot id and process start time;
 * a pid alone may belong to another process by now, and after a reboot all of them do. It is created with link(), which
 * never replaces anything.
 *
 * A stale lock is replaced under a guard whose name is derived from the stale holder: of all processes that saw the
 * same corpse only one makes the guard, looks again, and replaces the lock by rename. A process that dies holding a
 * guard leaves a stale guard, which is guarded in the same way.
 */
import { baseName, type DiskLock } from './disk.ts';
import { StorageError } from './errors.ts';

/** Names one process of one boot of one machine. */
export interface ProcessStamp {
  readonly pid: number;
  readonly bootId: string;
  /** In the operating system's own unit; empty where it cannot be known. */
  readonly startTime: string;
}

/** The operating system's side, fulfilled by NodeDisk. Names are of files in the lock's directory. */
export interface LockFiles {
  readonly path: string;
  own(): ProcessStamp;
  isAlive(stamp: ProcessStamp): boolean;
  /** Atomic with its content; false when the name exists. */
  createExclusive(name: string, text: string): Promise<boolean>;
  /** Atomic replacement. */
  replace(name: string, text: string): Promise<void>;
  read(name: string): Promise<string | undefined>;
  /** Harmless when it is gone. */
  remove(name: string): Promise<void>;
}

const ATTEMPTS_MAX = 100;

export function encodeStamp(stamp: ProcessStamp): string {
  return `${stamp.pid} ${stamp.bootId} ${stamp.startTime}\n`;
}

/** The stamp in a lock file, or undefined when its text is none (an empty file after a power cut, say). */
export function decodeStamp(text: string): ProcessStamp | undefined {
  const match = /^(\d{1,10}) ([0-9a-f-]{0,64}) (\d{0,20})\n$/.exec(text);
  return match === null ? undefined : { pid: Number(match[1]), bootId: match[2]!, startTime: match[3]! };
}

export async function acquireLock(files: LockFiles): Promise<DiskLock> {
  const name = baseName(files.path);
  const text = encodeStamp(files.own());
  await acquire(files, name, text);
  return {
    async release(): Promise<void> {
      // Only what is still ours: an operator may have moved the directory to another owner by hand.
      if ((await files.read(name)) === text) await files.remove(name);
    },
  };
}

/** The pid of the living process that holds the lock; undefined when nobody does. Takes and changes nothing. */
export async function lockHolder(files: LockFiles): Promise<number | undefined> {
  const text = await files.read(baseName(files.path));
  const holder = text === undefined ? undefined : decodeStamp(text);
  return holder !== undefined && files.isAlive(holder) ? holder.pid : undefined;
}

async function acquire(files: LockFiles, name: string, text: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (await files.createExclusive(name, text)) return;
    const held = await files.read(name);
    if (held === undefined) continue;
    const holder = decodeStamp(held);
    if (holder !== undefined && files.isAlive(holder)) {
      throw new StorageError('LOCKED', `${files.path} is held by process ${holder.pid}`, {
        file: files.path,
        pid: holder.pid,
      });
    }
    if (await replaceStale(files, name, held, text)) return;
  }
  throw new StorageError('LOCKED', `${files.path} keeps changing hands`, { file: files.path });
}

async function replaceStale(files: LockFiles, name: string, stale: string, text: string): Promise<boolean> {
  const holder = decodeStamp(stale);
  const guard = `${name}.${holder === undefined ? 'unreadable' : `${holder.pid}-${holder.startTime}`}`;
  await acquire(files, guard, text);
  try {
    if ((await files.read(name)) !== stale) return false;
    await files.replace(name, text);
    return true;
  } finally {
    await files.remove(guard);
  }
}
