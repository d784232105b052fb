/**
 * The standings of a data directory, for `logdrive wal verify`: which replicas take part, and which have lost a log.
 */
import { groupIdOf, groupName, logsPath, standingPath } from './data-directory.ts';
import { type Disk, joinPath } from './disk.ts';
import { isStorageError } from './errors.ts';
import {
  type FileVerdict,
  type Finding,
  judgeTwin,
  missing,
  strange,
  type Unmended,
  verdictOn,
} from './file-verdict.ts';
import { HARD_STATE_NAME, readHardState } from './hard-state.ts';
import type { Identity } from './identity.ts';
import { isAside, readWhole } from './small-file.ts';
import { decodeStanding, loadStanding } from './standing.ts';
import type { GroupId } from './types.ts';

const REJOINS =
  'a node sets the log aside, and takes no part in its group until it has it anew from the other replicas';

/** Of one group only when `only` is given. A log without a standing is one too. */
export async function* verifyStandings(
  disk: Disk,
  path: string,
  identity: Identity | undefined,
  only?: GroupId,
): AsyncGenerator<FileVerdict> {
  const standings = standingPath(path);
  const logs = await groupsIn(disk, logsPath(path));
  const found = new Set<GroupId>();
  for (const name of await namesIn(disk, standings)) {
    const groupId = groupIdOf(name);
    if (only !== undefined && groupId !== only) continue;
    const file = joinPath(standings, name);
    const bytes = (await disk.stat(file))?.bytes ?? 0;
    if (groupId === undefined) {
      yield strange(file, isAside(name), undefined, bytes);
      continue;
    }
    found.add(groupId);
    const content = await readWhole(disk, file);
    const findings = judgeTwin(content, (copies) => decodeStanding(copies, file), REJOINS);
    if (findings.every(({ state }) => state === 'mendable')) {
      findings.push(...judge(content, file, { groupId, identity, hasLog: logs.has(groupId) }));
    }
    yield verdictOn({ file, kind: 'standing', groupId, bytes }, findings);
  }
  for (const groupId of logs) {
    if (found.has(groupId) || (only !== undefined && groupId !== only)) continue;
    const file = joinPath(standings, groupName(groupId));
    if (identity !== undefined && (await isUnused(disk, path, identity, groupId))) {
      const what = 'the making of the log was cut short before it took part in anything';
      const remedy = 'a start makes its standing';
      yield verdictOn({ file, kind: 'standing', groupId, bytes: 0 }, [{ state: 'leftover', what, remedy }]);
    } else yield missing(file, 'standing', groupId, REJOINS);
  }
}

/** What a sound standing says. */
function judge(
  content: Uint8Array,
  file: string,
  own: { readonly groupId: GroupId; readonly identity: Identity | undefined; readonly hasLog: boolean },
): Finding[] {
  const standing = decodeStanding(content, file)?.standing;
  if (standing === undefined) return [];
  const { diskUuid, groupId, marker } = standing;
  if (groupId !== own.groupId || (own.identity !== undefined && diskUuid !== own.identity.diskUuid)) {
    return [{ state: 'damaged', what: `it is that of group ${groupId} on disk ${diskUuid}`, remedy: 'put it back' }];
  }
  if (marker !== undefined) {
    const remedy = 'it takes no part until it has rejoined, which needs a majority of the other replicas';
    return [{ state: 'damaged', what: `the replica is rejoining: ${marker.reason}`, remedy }];
  }
  return own.hasLog ? [] : [{ state: 'damaged', what: 'the log of the group is missing', remedy: REJOINS }];
}

/** Why a start takes the log of a group for lost, whatever is in it; undefined when it does not. */
export async function lossOf(
  disk: Disk,
  path: string,
  identity: Identity,
  groupId: GroupId,
): Promise<Unmended | undefined> {
  const { diskUuid } = identity;
  const file = joinPath(standingPath(path), groupName(groupId));
  const lost = (what: string): Unmended => {
    return { file, groupId, position: undefined, indexes: undefined, what, needs: 'replica' };
  };
  try {
    const standing = await loadStanding(disk, standingPath(path), groupName(groupId), { diskUuid, groupId });
    if (standing !== undefined || (await isUnused(disk, path, identity, groupId))) return undefined;
    return lost('it is missing');
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return lost(error.message);
  }
}

/** A log takes part in nothing before its first term is durable. */
async function isUnused(disk: Disk, path: string, identity: Identity, groupId: GroupId): Promise<boolean> {
  const directory = joinPath(logsPath(path), groupName(groupId));
  if ((await disk.stat(joinPath(directory, HARD_STATE_NAME))) === undefined) return false;
  try {
    return (await readHardState(disk, directory, { groupId, diskUuid: identity.diskUuid }))?.term === 0;
  } catch (error) {
    if (isStorageError(error)) return false;
    throw error;
  }
}

/** A log that was set aside while its replica rejoins. */
export function setAside(path: string, groupId: GroupId | undefined): FileVerdict {
  const remedy = 'it is removed when the replica has rejoined';
  return verdictOn({ file: path, kind: 'leftover', groupId, bytes: 0 }, [
    { state: 'leftover', what: 'a lost log, set aside as it was found', remedy },
  ]);
}

async function groupsIn(disk: Disk, directory: string): Promise<Set<GroupId>> {
  return new Set((await namesIn(disk, directory)).map(groupIdOf).filter((groupId) => groupId !== undefined));
}

async function namesIn(disk: Disk, directory: string): Promise<string[]> {
  if ((await disk.stat(directory)) === undefined) return [];
  return (await disk.list(directory)).map(({ name }) => name);
}
