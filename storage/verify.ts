/**
 * Every file of a data directory, judged byte by byte, for `logdrive wal verify`: what is sound, what is the torn end
 * of an unfinished write, what is damaged and where, and what a node makes of it. Reads only.
 *
 * Of each log it also says whether a node would open it. That is not guessed: recovery itself is asked, on a disk that
 * changes nothing.
 */
import { groupIdOf, groupName, isLeftover, logsPath, lostGroupIdOf, STANDING_NAME } from './data-directory.ts';
import { type Disk, joinPath, PAGE_BYTES } from './disk.ts';
import { DryRunDisk } from './dry-run-disk.ts';
import { isStorageError } from './errors.ts';
import {
  FETCHED,
  type FileFacts,
  type FileVerdict,
  judgeTwin,
  missing,
  REFUSES_LOG,
  REFUSES_NODE,
  refusal,
  strange,
  type Unmended,
  verdictOn,
} from './file-verdict.ts';
import { decodeHardStateSlot, HARD_STATE_NAME } from './hard-state.ts';
import { decodeIdentity, IDENTITY_NAME, type Identity } from './identity.ts';
import { decodeIncomingKey, INCOMING_NAME } from './incoming-snapshot.ts';
import { decodeManifest, loadManifest, MANIFEST_NAME, type Manifest } from './manifest.ts';
import { repairReplica } from './offline-repair.ts';
import { isAside, readWhole } from './small-file.ts';
import { decodeSnapshot, snapshotIndexOf } from './snapshot.ts';
import { RESERVE_NAME } from './space-reserve.ts';
import { segmentIdOf, segmentPath } from './stored-segment.ts';
import type { ByteCount, GroupId } from './types.ts';
import { verifySegment } from './verify-segment.ts';
import { setAside, verifyStandings } from './verify-standing.ts';

/** What a node's start would make of one log. */
export interface LogVerdict {
  readonly groupId: GroupId;
  readonly path: string;
  /** 'opens', 'waits for peers' (they have entries that are damaged here), or 'refused'. */
  readonly start: 'opens' | 'waits for peers' | 'refused';
  readonly unmended: readonly Unmended[];
}

/** Everything in a data directory, file by file; of one log only when `only` is given. */
export async function* verifyFiles(disk: Disk, path: string, only?: GroupId): AsyncGenerator<FileVerdict> {
  const identity = await identityOf(disk, path);
  if (only === undefined) yield* verifyTop(disk, path);
  yield* verifyStandings(disk, path, identity, only);
  const logs = logsPath(path);
  if ((await disk.stat(logs)) === undefined) return;
  for (const { name, kind } of await disk.list(logs)) {
    const groupId = groupIdOf(name);
    if (only !== undefined && groupId !== only) continue;
    const file = joinPath(logs, name);
    if (groupId !== undefined && kind === 'directory') yield* verifyLog(disk, file, groupId, identity);
    else if (lostGroupIdOf(name) !== undefined) yield setAside(file, lostGroupIdOf(name));
    else yield strange(file, isLeftover(name), undefined, (await disk.stat(file))?.bytes ?? 0);
  }
}

/** What a start would make of one log. Undefined when the directory has no identity to start with. */
export async function verifyStart(disk: Disk, path: string, groupId: GroupId): Promise<LogVerdict | undefined> {
  const identity = await identityOf(disk, path);
  if (identity === undefined) return undefined;
  const unmended = await repairReplica(new DryRunDisk(disk), path, identity, groupId);
  const isRefused = unmended.some(({ needs }) => needs === 'replica');
  const start = isRefused ? 'refused' : unmended.length > 0 ? 'waits for peers' : 'opens';
  return { groupId, path: joinPath(logsPath(path), groupName(groupId)), start, unmended };
}

async function identityOf(disk: Disk, path: string): Promise<Identity | undefined> {
  const file = joinPath(path, IDENTITY_NAME);
  if ((await disk.stat(file)) === undefined) return undefined;
  const bytes = await readWhole(disk, file);
  try {
    return decodeIdentity(bytes, file)?.identity;
  } catch (error) {
    if (!isStorageError(error, 'UNSUPPORTED')) throw error;
    return undefined;
  }
}

async function* verifyTop(disk: Disk, path: string): AsyncGenerator<FileVerdict> {
  for (const { name, kind } of await disk.list(path)) {
    const file = joinPath(path, name);
    if ((name === 'logs' || name === STANDING_NAME) && kind === 'directory') continue;
    const bytes = (await disk.stat(file))?.bytes ?? 0;
    const facts = { file, groupId: undefined, bytes };
    if (name === IDENTITY_NAME) {
      const findings = judgeTwin(await readWhole(disk, file), (copies) => decodeIdentity(copies, file), REFUSES_NODE);
      yield verdictOn({ ...facts, kind: 'identity' }, findings);
    } else if (name === 'lock') yield verdictOn({ ...facts, kind: 'lock' }, []);
    // Its content means nothing: it is there to be given up.
    else if (name === RESERVE_NAME) yield verdictOn({ ...facts, kind: 'reserve' }, []);
    else yield strange(file, isAside(name) || name.startsWith('lock.'), undefined, bytes);
  }
  if ((await disk.stat(joinPath(path, IDENTITY_NAME))) === undefined) {
    yield missing(joinPath(path, IDENTITY_NAME), 'identity', undefined, REFUSES_NODE);
  }
}

async function* verifyLog(
  disk: Disk,
  path: string,
  groupId: GroupId,
  identity: Identity | undefined,
): AsyncGenerator<FileVerdict> {
  const items = await disk.list(path);
  const manifestFile = joinPath(path, MANIFEST_NAME);
  const judged = await judgeManifest(disk, path, groupId, identity);
  if (judged === undefined) yield missing(manifestFile, 'manifest', groupId, REFUSES_LOG);
  else yield judged.verdict;
  const manifest = judged?.manifest;
  if (!items.some(({ name }) => name === HARD_STATE_NAME)) {
    yield missing(joinPath(path, HARD_STATE_NAME), 'hard state', groupId, REFUSES_LOG);
  }
  for (const { name } of items) {
    const file = joinPath(path, name);
    const bytes = (await disk.stat(file))?.bytes ?? 0;
    const facts = { file, groupId, bytes };
    const segmentId = segmentIdOf(name);
    if (name === MANIFEST_NAME) continue;
    if (name === HARD_STATE_NAME) yield await verifyHardState(disk, facts, manifest);
    else if (segmentId !== undefined) yield await verifySegment(disk, facts, segmentId, manifest);
    else if (snapshotIndexOf(name) !== undefined) yield await verifySnapshot(disk, facts, manifest);
    else if (name === INCOMING_NAME) yield await verifyIncoming(disk, facts, manifest);
    else yield strange(file, isAside(name), groupId, bytes);
  }
  if (manifest === undefined) return;
  for (const { segmentId } of [...manifest.sealed, manifest.active]) {
    const file = segmentPath(path, segmentId);
    if ((await disk.stat(file)) !== undefined) continue;
    yield missing(file, 'segment', groupId, segmentId === manifest.active.segmentId ? REFUSES_LOG : FETCHED);
  }
}

async function judgeManifest(
  disk: Disk,
  path: string,
  groupId: GroupId,
  identity: Identity | undefined,
): Promise<{ verdict: FileVerdict; manifest: Manifest | undefined } | undefined> {
  const file = joinPath(path, MANIFEST_NAME);
  if ((await disk.stat(file)) === undefined) return undefined;
  const bytes = await readWhole(disk, file);
  const findings = judgeTwin(bytes, (copies) => decodeManifest(copies, file), REFUSES_LOG);
  const facts: FileFacts = { file, kind: 'manifest', groupId, bytes: bytes.length };
  if (findings.some(({ state }) => state !== 'mendable'))
    return { verdict: verdictOn(facts, findings), manifest: undefined };
  const { manifest } = decodeManifest(bytes, file)!;
  try {
    const { clusterId, diskUuid } = manifest;
    const own = identity && { clusterId: identity.clusterId ?? clusterId, groupId, diskUuid: identity.diskUuid };
    await loadManifest(disk, path, own ?? { clusterId, groupId, diskUuid });
  } catch (error) {
    findings.push(refusal(error, REFUSES_LOG));
  }
  return { verdict: verdictOn(facts, findings), manifest };
}

async function verifyHardState(
  disk: Disk,
  facts: Omit<FileFacts, 'kind'>,
  manifest: Manifest | undefined,
): Promise<FileVerdict> {
  const whole: FileFacts = { ...facts, kind: 'hard state' };
  // Its slots name disk and group, which only the manifest (or the caller's identity) can confirm.
  if (manifest === undefined) return verdictOn(whole, []);
  const bytes = await readWhole(disk, facts.file);
  const bad: ByteCount[] = [];
  const sequences = new Set<number>();
  try {
    for (const position of [0, PAGE_BYTES]) {
      const block = bytes.subarray(position, position + PAGE_BYTES);
      const slot = decodeHardStateSlot(block, manifest, facts.file);
      if (slot === undefined) bad.push(position);
      else sequences.add(slot.sequence);
    }
  } catch (error) {
    return verdictOn(whole, [refusal(error, REFUSES_LOG)]);
  }
  if (bad.length === 2) {
    const finding = { state: 'damaged', position: 0, what: 'both slots are damaged', remedy: REFUSES_LOG } as const;
    return verdictOn(whole, [finding]);
  }
  const remedy = 'a start writes it anew from the other slot';
  if (bad.length === 1) {
    return verdictOn(whole, [
      { state: 'mendable', position: bad[0]!, what: 'one of its two slots is damaged', remedy },
    ]);
  }
  // A save that was stopped between its two slots: its promise was not given.
  const what = 'the two slots differ: a save was stopped between them';
  return verdictOn(whole, sequences.size === 2 ? [{ state: 'leftover', position: PAGE_BYTES, what, remedy }] : []);
}

async function verifySnapshot(
  disk: Disk,
  facts: Omit<FileFacts, 'kind'>,
  manifest: Manifest | undefined,
): Promise<FileVerdict> {
  const whole: FileFacts = { ...facts, kind: 'snapshot' };
  if (manifest === undefined) return verdictOn(whole, []);
  const index = snapshotIndexOf(facts.file.slice(facts.file.lastIndexOf('/') + 1))!;
  const remedy = 'it is not used: an older one is, or the state is taken from a peer';
  try {
    const snapshot = decodeSnapshot(await readWhole(disk, facts.file), manifest, facts.file);
    if (snapshot?.index === index) return verdictOn(whole, []);
    const what = snapshot === undefined ? 'it fails its checksum' : `it is of index ${snapshot.index}`;
    return verdictOn(whole, [{ state: 'damaged', position: 0, firstIndex: index, lastIndex: index, what, remedy }]);
  } catch (error) {
    return verdictOn(whole, [refusal(error, remedy)]);
  }
}

/** Nothing counts on it before it is whole: a first page that says nothing costs the part of a transfer. */
async function verifyIncoming(
  disk: Disk,
  facts: Omit<FileFacts, 'kind'>,
  manifest: Manifest | undefined,
): Promise<FileVerdict> {
  const whole: FileFacts = { ...facts, kind: 'incoming snapshot' };
  if (manifest === undefined) return verdictOn(whole, []);
  const remedy = 'it is not used: the transfer begins anew';
  try {
    if (decodeIncomingKey(await readWhole(disk, facts.file), manifest, facts.file) !== undefined)
      return verdictOn(whole, []);
    const what = 'its first page does not say of which state it is a part';
    return verdictOn(whole, [{ state: 'leftover', position: 0, what, remedy }]);
  } catch (error) {
    return verdictOn(whole, [refusal(error, remedy)]);
  }
}
