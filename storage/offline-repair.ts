/**
 * Mends what a data directory can mend by itself, without a node: what a start would do (recovery.ts: cut a torn end,
 * write bad copies and headers anew, remove leftovers), and sparse indexes and footers on top, which a node rebuilds
 * only when it reads them. What is lost for good here, and only a peer can give back, is named and left as it is.
 *
 * Run on a DryRunDisk it says what it would do; it is the same code either way. The caller holds the lock.
 */
import { groupIdOf, groupName, logsPath, removeLeftovers } from './data-directory.ts';
import { type Disk, joinPath } from './disk.ts';
import { isStorageError } from './errors.ts';
import type { Unmended } from './file-verdict.ts';
import { FlushScheduler } from './flush-scheduler.ts';
import { readFooter, sameSummary } from './footer.ts';
import { HandleCache } from './handle-cache.ts';
import { IDENTITY_NAME, type Identity, loadIdentity, storeIdentity } from './identity.ts';
import { IndexTable } from './index-table.ts';
import type { LogContext } from './log-context.ts';
import { type Recovered, recover } from './recovery.ts';
import { type ScanResult, scanSegment } from './segment-scan.ts';
import { SpaceReserve } from './space-reserve.ts';
import type { StoredSegment } from './stored-segment.ts';
import type { ByteCount, GroupId } from './types.ts';
import { lossOf } from './verify-standing.ts';

/** Mends the directory, or one log of it. What is returned was not touched. */
export async function repairDirectory(disk: Disk, path: string, only?: GroupId): Promise<Unmended[]> {
  const unmended: Unmended[] = [];
  const identity = await repairIdentity(disk, path, unmended);
  if (identity === undefined) return unmended;
  const logs = logsPath(path);
  if (only === undefined) await removeLeftovers(disk, path);
  for (const { name } of await disk.list(logs)) {
    const groupId = groupIdOf(name);
    if (groupId === undefined || (only !== undefined && groupId !== only)) continue;
    unmended.push(...(await repairReplica(disk, path, identity, groupId)));
  }
  return unmended;
}

/** One log, as a node's start would find it. One that its standing calls lost is not touched. */
export async function repairReplica(
  disk: Disk,
  path: string,
  identity: Identity,
  groupId: GroupId,
): Promise<Unmended[]> {
  const lost = await lossOf(disk, path, identity, groupId);
  return lost === undefined ? repairLog(contextOf(disk, path, identity, groupId)) : [lost];
}

async function repairLog(context: LogContext): Promise<Unmended[]> {
  const { groupId } = context.own;
  try {
    const recovered = await recover(context);
    try {
      return await repairRecovered(context, recovered);
    } finally {
      await recovered.segments.close();
      await recovered.hardState.close();
      await context.handles.closeAll();
    }
  } catch (error) {
    if (!isStorageError(error)) throw error;
    const { file = context.directory, position, message: what } = error;
    // A disk that does not answer is no finding about its bytes.
    if (error.code !== 'CORRUPT' && error.code !== 'FOREIGN' && error.code !== 'UNSUPPORTED') throw error;
    return [{ file, groupId, position, indexes: undefined, what, needs: 'replica' }];
  }
}

async function repairIdentity(disk: Disk, path: string, unmended: Unmended[]): Promise<Identity | undefined> {
  const file = joinPath(path, IDENTITY_NAME);
  const refuse = (what: string, position?: ByteCount): undefined => {
    unmended.push({ file, groupId: undefined, position, indexes: undefined, what, needs: 'replica' });
    return undefined;
  };
  try {
    const found = await loadIdentity(disk, path);
    if (found === undefined) return refuse('the identity is missing');
    if (!found.isWhole) await storeIdentity(disk, path, found.identity);
    return found.identity;
  } catch (error) {
    if (!isStorageError(error, 'CORRUPT') && !isStorageError(error, 'UNSUPPORTED')) throw error;
    return refuse(error.message, error.position);
  }
}

function contextOf(disk: Disk, path: string, identity: Identity, groupId: GroupId): LogContext {
  return {
    disk,
    directory: joinPath(logsPath(path), groupName(groupId)),
    own: { clusterId: identity.clusterId ?? '', groupId, diskUuid: identity.diskUuid },
    handles: new HandleCache(disk, 1),
    scheduler: new FlushScheduler(1),
    reserve: new SpaceReserve(disk, path),
  };
}

async function repairRecovered(context: LogContext, { segments, damage }: Recovered): Promise<Unmended[]> {
  for (const segment of segments.all()) {
    // Recovery has judged the active one whole already.
    if (!segment.isSealed) continue;
    const marks = new IndexTable();
    const scan = await judge(context, segment, marks);
    damage.note(segment, scan.faults);
    // The marks of entries that do not check would be missing: the index waits until they are mended.
    if (scan.faults.length > 0 || (await hasFooter(context, segment))) continue;
    await segments.rewriteFooter(segment, marks.marks);
  }
  return damage.list().map(({ file, position, firstIndex, lastIndex }) => ({
    file,
    groupId: context.own.groupId,
    position,
    indexes: { first: firstIndex, last: lastIndex },
    what: `entries ${firstIndex}..${lastIndex} fail their checksum`,
    needs: 'peer',
  }));
}

async function judge({ disk, own }: LogContext, segment: StoredSegment, marks: IndexTable): Promise<ScanResult> {
  const { path, segmentId, before, last, frames, dataEnd } = segment;
  const { diskUuid, groupId } = own;
  const file = await disk.open(path, 'read');
  try {
    const target = { file, path, diskUuid, groupId, segmentId, before, end: dataEnd, proven: { last, frames } };
    return await scanSegment(target, (header, position, frame) => marks.add(header, position, frame));
  } finally {
    await file.close();
  }
}

/** Whether summary and sparse index behind the entries are sound and this segment's own. */
async function hasFooter({ disk }: LogContext, segment: StoredSegment): Promise<boolean> {
  const file = await disk.open(segment.path, 'read');
  try {
    const { summary, marks } = await readFooter(file, segment.dataEnd, segment.path);
    return summary !== undefined && marks !== undefined && sameSummary(summary, segment);
  } finally {
    await file.close();
  }
}
