/**
 * A node's data directory: its lock, its identity, and the logs in it. Names are ids, never topic names.
 *
 *   <path>/lock        who holds the directory (lock.ts)
 *   <path>/identity    node id, disk UUID, cluster id (identity.ts)
 *   <path>/reserve     bytes to give up when the disk is full (space-reserve.ts)
 *   <path>/standing/<group id>   whether the log of a group was made here, and may be counted on (standing.ts)
 *   <path>/logs/<group id, 10 digits>/
 *       manifest, hard-state, <segment id, 16 digits>.segment, snapshot-<index, 16 digits>
 *
 * A log is made in '<group>.new' and renamed when it is whole; it is removed by renaming it to '<group>.removed' first.
 * So a log directory either is whole or does not count, and what does not count is cleared away at open. A log that
 * cannot be used is set aside as '<group>.lost' while its replica rejoins, and removed when that is done.
 */
import assert from 'node:assert/strict';
import { DirectorySync } from './directory-sync.ts';
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
import { isAside } from './small-file.ts';
import { SpaceReserve } from './space-reserve.ts';
import { loadStanding, type Marker, storeStanding } from './standing.ts';
import type { GroupId, Offset } from './types.ts';

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
const LOST_SUFFIX = '.lost';
export const STANDING_NAME = 'standing';

/** The directory name of a log. */
export function groupName(groupId: GroupId): string {
  return String(groupId).padStart(10, '0');
}

export function logsPath(dataPath: string): string {
  return joinPath(dataPath, LOGS_NAME);
}

export function standingPath(dataPath: string): string {
  return joinPath(dataPath, STANDING_NAME);
}

/** The group whose lost log lies under this name, or undefined for any other name. */
export function lostGroupIdOf(name: string): GroupId | undefined {
  return name.endsWith(LOST_SUFFIX) ? groupIdOf(name.slice(0, -LOST_SUFFIX.length)) : undefined;
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
  readonly #logsSync: DirectorySync;
  readonly #standingsSync: DirectorySync;
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
    this.#logsSync = new DirectorySync(disk, logsPath(path));
    this.#standingsSync = new DirectorySync(disk, standingPath(path));
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
      await openStandings(disk, path);
      await removeLeftovers(disk, path);
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

  /** Groups of which anything is here, ascending. */
  async groups(): Promise<GroupId[]> {
    this.#assertOpen();
    const logs = await this.#disk.list(logsPath(this.#path));
    const standings = await this.#disk.list(standingPath(this.#path));
    const found = [...logs, ...standings].map(({ name }) => groupIdOf(name) ?? lostGroupIdOf(name));
    return [...new Set(found.filter((groupId) => groupId !== undefined))].sort((a, b) => a - b);
  }

  /**
   * Opens a log, after recovery; makes an empty one when there never was one, or when its replica is rejoining. A log
   * is open once. CORRUPT when it is gone, or cannot be read: a replica that lost its log must not start with an empty
   * one as if it had promised nothing (F50).
   */
  async openLog(groupId: GroupId, options: LogOptions): Promise<Log> {
    this.#assertOpen();
    limitsOf(options);
    assert(!this.#logs.has(groupId), `log ${groupId} is open`);
    this.#logs.set(groupId, 'opening');
    try {
      const context = this.#contextOf(groupId, options.clusterId);
      const standing = await this.#standing(groupId);
      let isJustMade = false;
      if ((await this.#disk.stat(context.directory)) === undefined) {
        if (standing !== undefined && standing.marker === undefined) {
          throw new StorageError('CORRUPT', 'the directory of a log that took part is missing', {
            file: context.directory,
          });
        }
        await this.#createLog(context, options.firstOffset);
        isJustMade = true;
      }
      const recovered = await recover(context, isJustMade);
      const log = new Log(context, recovered, options, {
        onFatal: (error) => this.#options.onFatal(error),
        onClosed: () => this.#logs.delete(groupId),
      });
      try {
        if (standing === undefined) await this.#firstOpened(log);
      } catch (error) {
        // It would live on, and write to its files beside the next log that is opened.
        await log.close();
        throw error;
      }
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
    const name = groupName(groupId);
    const removed = await this.#renameAway([name, name + LOST_SUFFIX]);
    // A log without a standing would be taken for a lost one: the standing goes once the log does not count any more,
    // and while what is left of it still tells the next open that it was removed.
    await removeStanding(this.#disk, this.#path, groupId);
    for (const path of removed) await removeTree(this.#disk, path);
  }

  /** The rename is the moment these are gone, durably. @returns where they lie now. */
  async #renameAway(names: readonly string[]): Promise<string[]> {
    const logs = logsPath(this.#path);
    const removed: string[] = [];
    for (const name of names) {
      if ((await this.#disk.stat(joinPath(logs, name))) === undefined) continue;
      removed.push(joinPath(logs, name + REMOVED_SUFFIX));
      await this.#disk.rename(joinPath(logs, name), joinPath(logs, name + REMOVED_SUFFIX));
    }
    if (removed.length > 0) await this.#disk.syncDirectory(logs);
    return removed;
  }

  /** The marker of a replica that lost what it may have promised, and has not rejoined yet. */
  async marker(groupId: GroupId): Promise<Marker | undefined> {
    return (await this.#standing(groupId))?.marker;
  }

  /** Durable when it resolves: from here on this replica takes no part, whatever happens to its files (W26). */
  async mark(groupId: GroupId, marker: Marker): Promise<void> {
    await this.#storeStanding(groupId, marker);
  }

  /** The replica has rejoined: its log is whole and durable. What was set aside goes. */
  async unmark(groupId: GroupId): Promise<void> {
    await this.#storeStanding(groupId, undefined);
    for (const path of await this.#renameAway([groupName(groupId) + LOST_SUFFIX])) await removeTree(this.#disk, path);
  }

  /**
   * Puts the files of a log that cannot be opened out of the way, untouched, so that openLog() makes a new one. Only of
   * a marked group. What was set aside first is kept: later files are but a rejoining that went wrong.
   */
  async setAside(groupId: GroupId): Promise<void> {
    assert(!this.#logs.has(groupId), `log ${groupId} is open`);
    assert((await this.marker(groupId)) !== undefined, `group ${groupId} is marked before its log is set aside`);
    const logs = logsPath(this.#path);
    const name = groupName(groupId);
    if ((await this.#disk.stat(joinPath(logs, name))) === undefined) return;
    if ((await this.#disk.stat(joinPath(logs, name + LOST_SUFFIX))) !== undefined) {
      // Not as '<group>.removed', which would tell the next open that the group, marker and all, was removed.
      const removed = joinPath(logs, name + LOST_SUFFIX + REMOVED_SUFFIX);
      await this.#disk.rename(joinPath(logs, name), removed);
      await this.#disk.syncDirectory(logs);
      await removeTree(this.#disk, removed);
      return;
    }
    await this.#disk.rename(joinPath(logs, name), joinPath(logs, name + LOST_SUFFIX));
    await this.#disk.syncDirectory(logs);
  }

  #standing(groupId: GroupId): ReturnType<typeof loadStanding> {
    this.#assertOpen();
    const own = { diskUuid: this.diskUuid, groupId };
    return loadStanding(this.#disk, standingPath(this.#path), groupName(groupId), own);
  }

  #storeStanding(groupId: GroupId, marker: Marker | undefined): Promise<void> {
    this.#assertOpen();
    const standing = { diskUuid: this.diskUuid, groupId, marker };
    const name = groupName(groupId);
    return storeStanding(this.#disk, standingPath(this.#path), name, standing, () => this.#standingsSync.sync());
  }

  /** A log without a standing is one whose making was cut short. It took no part: that begins with the standing. */
  async #firstOpened(log: Log): Promise<void> {
    if (log.hardState.term > 0 || log.lastIndex > 0) {
      throw new StorageError('CORRUPT', 'the standing of a log that took part is missing', {
        file: joinPath(standingPath(this.#path), groupName(log.groupId)),
      });
    }
    await this.#storeStanding(log.groupId, undefined);
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

  async #createLog(context: LogContext, firstOffset?: Offset): Promise<void> {
    const { directory } = context;
    const aside = directory + NEW_SUFFIX;
    if ((await this.#disk.stat(aside)) !== undefined) await removeTree(this.#disk, aside);
    await this.#disk.makeDirectory(aside);
    await createLogFiles({ ...context, directory: aside }, firstOffset);
    // Everything in it is durable: the name makes it a log.
    await this.#disk.rename(aside, directory);
    await this.#logsSync.sync();
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
  // Durable before the identity is: with an identity, missing logs are damage, and nobody looks at the parent again.
  await disk.syncDirectory(path);
  await disk.syncDirectory(parentPath(path));
  const identity = { nodeId: options.nodeId, diskUuid: toHex(options.randomBytes(16)), clusterId: undefined };
  await storeIdentity(disk, path, identity);
  return identity;
}

/**
 * Without its directory, every standing is missing: each log that took part is named when it is opened.
 *
 * Names that a killed process gave or took away may be in the cache alone, and look like any other. They are made
 * durable before anything is done on the strength of them, here and in removeLeftovers(): else a power cut takes the
 * directory of a log from under the standing that was stored since, or brings a standing without its marker back beside
 * a log that was begun anew (W2, W26).
 */
async function openStandings(disk: Disk, path: string): Promise<void> {
  const standings = standingPath(path);
  await disk.makeDirectory(standings);
  await disk.syncDirectory(path);
  await disk.syncDirectory(standings);
  for (const { name } of await disk.list(standings)) if (isAside(name)) await disk.remove(joinPath(standings, name));
}

/** Logs that were being made or removed when the process stopped: they do not count. */
export async function removeLeftovers(disk: Disk, path: string): Promise<void> {
  const logs = logsPath(path);
  // First: a standing that went before the '.removed' is durable would leave a log that seems to have lost it.
  await disk.syncDirectory(logs);
  for (const { name } of await disk.list(logs)) {
    if (!isLeftover(name)) continue;
    const groupId = name.endsWith(REMOVED_SUFFIX) ? groupIdOf(name.slice(0, -REMOVED_SUFFIX.length)) : undefined;
    if (groupId !== undefined) await removeStanding(disk, path, groupId);
    await removeTree(disk, joinPath(logs, name));
  }
}

async function removeStanding(disk: Disk, path: string, groupId: GroupId): Promise<void> {
  const standings = standingPath(path);
  const file = joinPath(standings, groupName(groupId));
  if ((await disk.stat(file)) === undefined) return;
  await disk.remove(file);
  await disk.syncDirectory(standings);
}

/** Removes a directory of files. Nobody relies on its end being durable: leftovers are removed at the next open. */
async function removeTree(disk: Disk, path: string): Promise<void> {
  for (const { name } of await disk.list(path)) await disk.remove(joinPath(path, name));
  await disk.removeDirectory(path);
  await disk.syncDirectory(parentPath(path));
}
