/**
 * A node's data directory: its lock, its identity, and the logs in it. Names are ids, never topic names.
 *
 *   <path>/lock        who holds the directory (lock.ts)
 *   <path>/identity    node id, disk UUID, cluster id (identity.ts)
 *   <path>/reserve     bytes to give up when the disk is full (space-reserve.ts)
 *   <path>/logs/<group id, 10 digits>/
 *       manifest, hard-state, <segment id, 16 digits>.segment, snapshot-<index, 16 digits>
 *
 * A log is made in '<group>.new' and renamed when it is whole; it is removed by renaming it to '<group>.removed' first.
 * So a log directory either is whole or does not count, and what does not count is cleared away at open.
 */
import assert from 'node:assert/strict';
import { type Disk, type DiskLock, joinPath, parentPath } from './disk.ts';
import { StorageError } from './errors.ts';
import { toHex } from './fields.ts';
import { FlushScheduler } from './flush-scheduler.ts';
import { HandleCache } from './handle-cache.ts';
import { type Identity, loadIdentity, storeIdentity } from './identity.ts';
import { Log } from './log.ts';
import type { LogContext } from './log-context.ts';
import { type LogOptions, limitsOf } from './options.ts';
import { createLogFiles, recover } from './recovery.ts';
import { SpaceReserve } from './space-reserve.ts';
import type { GroupId } from './types.ts';

export interface DataDirectoryOptions {
  readonly nodeId: string;
  /** For the disk UUID of a new directory. */
  randomBytes(count: number): Uint8Array;
  /** Flushes at once over all logs; the rest of the thread pool (4 threads by default) stays free for reads. */
  readonly flushesInFlightMax?: number;
  /** Files open for reading at once, over all logs. */
  readonly openFilesMax?: number;
  /** A flush failed, and not for want of space: what is on disk is unknown, the process must end (W4). */
  onFatal(error: StorageError): void;
}

const FLUSHES_IN_FLIGHT_MAX = 3;
const OPEN_FILES_MAX = 128;
const LOGS_NAME = 'logs';
const NEW_SUFFIX = '.new';
const REMOVED_SUFFIX = '.removed';

/** The directory name of a log. */
export function groupName(groupId: GroupId): string {
  return String(groupId).padStart(10, '0');
}

export function logsPath(dataPath: string): string {
  return joinPath(dataPath, LOGS_NAME);
}

/** The group a log directory's name gives, or undefined for any other name. */
export function groupIdOf(name: string): GroupId | undefined {
  return /^\d{10}$/.test(name) ? Number(name) : undefined;
}

/** Whether a name in the directory of the logs is that of one being made or removed. */
export function isLeftover(name: string): boolean {
  return name.endsWith(NEW_SUFFIX) || name.endsWith(REMOVED_SUFFIX);
}

export class DataDirectory {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #options: DataDirectoryOptions;
  readonly #lock: DiskLock;
  readonly #scheduler: FlushScheduler;
  readonly #handles: HandleCache;
  readonly #reserve: SpaceReserve;
  readonly #logs = new Map<GroupId, Log | 'opening'>();
  #identity: Identity;
  #isClosed = false;

  private constructor(disk: Disk, path: string, options: DataDirectoryOptions, lock: DiskLock, identity: Identity) {
    this.#disk = disk;
    this.#path = path;
    this.#options = options;
    this.#lock = lock;
    this.#identity = identity;
    this.#scheduler = new FlushScheduler(options.flushesInFlightMax ?? FLUSHES_IN_FLIGHT_MAX);
    this.#handles = new HandleCache(disk, options.openFilesMax ?? OPEN_FILES_MAX);
    this.#reserve = new SpaceReserve(disk, path);
  }

  /** Takes the lock (LOCKED names path and pid), checks whose the directory is (FOREIGN), clears leftovers away. */
  static async open(disk: Disk, path: string, options: DataDirectoryOptions): Promise<DataDirectory> {
    await disk.makeDirectory(path);
    const lock = await disk.lock(joinPath(path, 'lock'));
    try {
      const found = await loadIdentity(disk, path);
      const identity = found?.identity ?? (await createIdentity(disk, path, options));
      if (found !== undefined && (await disk.stat(logsPath(path))) === undefined) {
        throw new StorageError('CORRUPT', 'the directory of the logs is missing', { file: logsPath(path) });
      }
      if (identity.nodeId !== options.nodeId) {
        throw new StorageError('FOREIGN', `${path} belongs to node ${identity.nodeId}, not to ${options.nodeId}`, {
          file: joinPath(path, 'identity'),
        });
      }
      if (found?.isWhole === false) await storeIdentity(disk, path, identity);
      await removeLeftovers(disk, logsPath(path));
      const directory = new DataDirectory(disk, path, options, lock, identity);
      await directory.#reserve.ensure();
      return directory;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  get path(): string {
    return this.#path;
  }

  get nodeId(): string {
    return this.#identity.nodeId;
  }

  /** 32 hex digits, drawn when the directory was made: an emptied disk is another one. */
  get diskUuid(): string {
    return this.#identity.diskUuid;
  }

  get clusterId(): string | undefined {
    return this.#identity.clusterId;
  }

  /** The number of the flush that has been under way longest: the same number later is the same flush. */
  get oldestFlush(): number | undefined {
    return this.#scheduler.oldest;
  }

  /** Durable when it resolves. FOREIGN when another cluster's id is set: a directory never changes its cluster. */
  async setClusterId(id: string): Promise<void> {
    this.#assertOpen();
    if (this.#identity.clusterId === id) return;
    if (this.#identity.clusterId !== undefined) {
      throw new StorageError('FOREIGN', `${this.#path} belongs to cluster ${this.#identity.clusterId}, not to ${id}`);
    }
    const identity = { ...this.#identity, clusterId: id };
    await storeIdentity(this.#disk, this.#path, identity);
    this.#identity = identity;
  }

  /** Groups whose logs are here, ascending. */
  async groups(): Promise<GroupId[]> {
    this.#assertOpen();
    const names = (await this.#disk.list(logsPath(this.#path))).map((item) => item.name);
    return names.map(groupIdOf).filter((groupId) => groupId !== undefined);
  }

  /** Opens a log, after recovery; makes an empty one when there is none. A log is open once. */
  async openLog(groupId: GroupId, options: LogOptions): Promise<Log> {
    this.#assertOpen();
    limitsOf(options);
    assert(!this.#logs.has(groupId), `log ${groupId} is open`);
    this.#logs.set(groupId, 'opening');
    try {
      const context = this.#contextOf(groupId, options.clusterId);
      if ((await this.#disk.stat(context.directory)) === undefined) await this.#createLog(context);
      const recovered = await recover(context);
      const log = new Log(context, recovered, options, {
        onFatal: (error) => this.#options.onFatal(error),
        onClosed: () => this.#logs.delete(groupId),
      });
      this.#logs.set(groupId, log);
      return log;
    } catch (error) {
      this.#logs.delete(groupId);
      throw error;
    }
  }

  /** Removes a closed log. The rename is the moment it is gone; the files follow, now or at the next open. */
  async removeLog(groupId: GroupId): Promise<void> {
    this.#assertOpen();
    assert(!this.#logs.has(groupId), `log ${groupId} is open`);
    const logs = logsPath(this.#path);
    const name = groupName(groupId);
    if ((await this.#disk.stat(joinPath(logs, name))) === undefined) return;
    await this.#disk.rename(joinPath(logs, name), joinPath(logs, name + REMOVED_SUFFIX));
    await this.#disk.syncDirectory(logs);
    await removeTree(this.#disk, joinPath(logs, name + REMOVED_SUFFIX));
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return this.#disk.space(this.#path);
  }

  /** Closes open logs and gives the lock back. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const log of [...this.#logs.values()]) if (log !== 'opening') await log.close();
    await this.#handles.closeAll();
    await this.#lock.release();
  }

  #contextOf(groupId: GroupId, clusterId: string): LogContext {
    return {
      disk: this.#disk,
      directory: joinPath(logsPath(this.#path), groupName(groupId)),
      own: { clusterId, groupId, diskUuid: this.diskUuid },
      handles: this.#handles,
      scheduler: this.#scheduler,
      reserve: this.#reserve,
    };
  }

  async #createLog(context: LogContext): Promise<void> {
    const { directory } = context;
    const aside = directory + NEW_SUFFIX;
    if ((await this.#disk.stat(aside)) !== undefined) await removeTree(this.#disk, aside);
    await this.#disk.makeDirectory(aside);
    await createLogFiles({ ...context, directory: aside });
    // Everything in it is durable: the name makes it a log.
    await this.#disk.rename(aside, directory);
    await this.#disk.syncDirectory(parentPath(directory));
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new StorageError('CLOSED', 'the data directory is closed');
  }
}

async function createIdentity(disk: Disk, path: string, options: DataDirectoryOptions): Promise<Identity> {
  if ((await disk.stat(logsPath(path))) !== undefined && (await disk.list(logsPath(path))).length > 0) {
    throw new StorageError('CORRUPT', 'the identity is missing, and there are logs', {
      file: joinPath(path, 'identity'),
    });
  }
  await disk.makeDirectory(logsPath(path));
  // Durable before the identity is: with an identity, missing logs are damage.
  await disk.syncDirectory(path);
  const identity = { nodeId: options.nodeId, diskUuid: toHex(options.randomBytes(16)), clusterId: undefined };
  await storeIdentity(disk, path, identity);
  await disk.syncDirectory(parentPath(path));
  return identity;
}

/** Logs that were being made or removed when the process stopped: they do not count. */
export async function removeLeftovers(disk: Disk, logs: string): Promise<void> {
  for (const { name } of await disk.list(logs)) {
    if (isLeftover(name)) await removeTree(disk, joinPath(logs, name));
  }
}

/** Removes a directory of files. Nobody relies on its end being durable: leftovers are removed at the next open. */
async function removeTree(disk: Disk, path: string): Promise<void> {
  for (const { name } of await disk.list(path)) await disk.remove(joinPath(path, name));
  await disk.removeDirectory(path);
  await disk.syncDirectory(parentPath(path));
}
