/**
 * Looks into a data directory without taking its lock and without writing: for `logdrive wal`, for tests, for an
 * operator with a copy of a disk. Says what is there and what is wrong with it; never throws for damage, only for a
 * disk that does not answer. Beside a running node the answer is of a moment that may be gone.
 */
import { groupIdOf, logsPath } from './data-directory.ts';
import { type Disk, type File, joinPath } from './disk.ts';
import { StorageError } from './errors.ts';
import { readFooter } from './footer.ts';
import type { FrameHeader } from './frame.ts';
import { HARD_STATE_NAME, readHardState } from './hard-state.ts';
import { IDENTITY_NAME, type Identity, loadIdentity } from './identity.ts';
import type { Mark } from './index-table.ts';
import type { LogPoint } from './log-point.ts';
import { decodeManifest, MANIFEST_NAME, type Manifest } from './manifest.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { type Fault, scanFrames } from './segment-scan.ts';
import { readWhole } from './small-file.ts';
import { decodeSnapshot, snapshotIndexOf } from './snapshot.ts';
import { segmentIdOf, segmentPath } from './stored-segment.ts';
import type { ByteCount, EntryHeader, GroupId, HardState, LogIndex, Offset, Term } from './types.ts';

/** Something that is not as it must be, in a sentence, with the file. */
export interface Problem {
  readonly file: string;
  readonly what: string;
}

export interface SegmentReport {
  readonly path: string;
  readonly segmentId: number;
  readonly groupId: GroupId;
  readonly diskUuid: string;
  readonly isSealed: boolean;
  readonly before: LogPoint;
  /** Of a sealed segment, from the manifest; the active one's end is found by reading it. */
  readonly end: { readonly last: LogPoint; readonly dataEnd: ByteCount; readonly frames: number } | undefined;
  readonly fileBytes: ByteCount;
}

export interface SnapshotReport {
  readonly path: string;
  readonly index: LogIndex;
  readonly bytes: ByteCount;
  /** Absent when the file fails its check. */
  readonly content: { readonly term: Term; readonly nextOffset: Offset; readonly stateBytes: ByteCount } | undefined;
}

export interface LogReport {
  readonly groupId: GroupId;
  readonly path: string;
  readonly manifest: Manifest | undefined;
  readonly hardState: HardState | undefined;
  readonly segments: readonly SegmentReport[];
  readonly snapshots: readonly SnapshotReport[];
  readonly problems: readonly Problem[];
}

export interface DirectoryReport {
  readonly path: string;
  readonly identity: Identity | undefined;
  readonly logs: readonly LogReport[];
  readonly problems: readonly Problem[];
}

/** One thing found in a segment, in the order of the file; faults come last, once all evidence was seen. */
export type SegmentItem =
  | { readonly kind: 'frame'; readonly frame: FrameHeader }
  | { readonly kind: 'entry'; readonly header: EntryHeader; readonly position: ByteCount; readonly frame: number }
  | ({ readonly kind: 'fault' } & Fault)
  | {
      readonly kind: 'end';
      readonly position: ByteCount;
      readonly last: LogPoint;
      readonly frames: number;
      /** Bytes behind the end that a start would cut off. */
      readonly tornBytes: ByteCount;
    };

export async function inspectDirectory(disk: Disk, path: string): Promise<DirectoryReport> {
  const problems: Problem[] = [];
  const identityFile = joinPath(path, IDENTITY_NAME);
  const found = await noting(problems, identityFile, () => loadIdentity(disk, path));
  if (found?.isWhole === false) problems.push({ file: identityFile, what: 'one of its two copies is damaged' });
  const identity = found?.identity;
  const logs: LogReport[] = [];
  if ((await disk.stat(logsPath(path))) === undefined) {
    problems.push({ file: logsPath(path), what: 'there are no logs' });
    return { path, identity, logs, problems };
  }
  for (const { name } of await disk.list(logsPath(path))) {
    const groupId = groupIdOf(name);
    const file = joinPath(logsPath(path), name);
    if (groupId === undefined) problems.push({ file, what: 'the leftover of an unfinished change' });
    else logs.push(await inspectLog(disk, file, groupId));
  }
  return { path, identity, logs, problems };
}

/** Everything in one segment, checked. */
export async function* inspectSegment(
  disk: Disk,
  segment: SegmentReport,
): AsyncGenerator<SegmentItem, void, undefined> {
  const file = await disk.open(segment.path, 'read');
  try {
    const { path, diskUuid, groupId, segmentId, before, end } = segment;
    const fileEnd = end?.dataEnd ?? (await file.bytes());
    const frames = scanFrames({ file, path, diskUuid, groupId, segmentId, before, end: fileEnd, proven: end });
    let next = await frames.next();
    while (!next.done) {
      const { frame, entries } = next.value;
      yield { kind: 'frame', frame };
      for (const entry of entries) yield { kind: 'entry', ...entry, frame: frame.sequence };
      next = await frames.next();
    }
    const { faults, dataEnd, last, frames: count, tornBytes } = next.value;
    for (const fault of faults) yield { kind: 'fault', ...fault };
    yield { kind: 'end', position: dataEnd, last, frames: count, tornBytes };
  } finally {
    await file.close();
  }
}

/** The sparse index behind a sealed segment's entries; undefined when there is none, or it fails its check. */
export async function inspectMarks(disk: Disk, segment: SegmentReport): Promise<readonly Mark[] | undefined> {
  const { path, end } = segment;
  if (end === undefined) return undefined;
  const file = await disk.open(path, 'read');
  try {
    return (await noting([], path, () => readFooter(file, end.dataEnd, path)))?.marks;
  } finally {
    await file.close();
  }
}

async function inspectLog(disk: Disk, path: string, groupId: GroupId): Promise<LogReport> {
  const problems: Problem[] = [];
  const names = (await disk.list(path)).map((item) => item.name);
  const manifest = await inspectManifest(disk, path, problems);
  const report = { groupId, path, manifest, problems };
  const hardStateFile = joinPath(path, HARD_STATE_NAME);
  const hardState = manifest && (await noting(problems, hardStateFile, () => readHardState(disk, path, manifest)));
  if (manifest !== undefined && hardState === undefined && !problems.some((one) => one.file === hardStateFile)) {
    problems.push({ file: hardStateFile, what: 'both slots are damaged' });
  }
  if (manifest === undefined) return { ...report, hardState: undefined, segments: [], snapshots: [] };
  const listed = [
    ...manifest.sealed.map((end) => ({ segmentId: end.segmentId, before: end.before, end })),
    { ...manifest.active, end: undefined },
  ];
  const segments: SegmentReport[] = [];
  for (const { segmentId, before, end } of listed) {
    const segment = segmentPath(path, segmentId);
    const stat = await disk.stat(segment);
    if (stat === undefined) {
      problems.push({ file: segment, what: 'the manifest lists this segment, and it is missing' });
      continue;
    }
    if (end !== undefined && stat.bytes < end.dataEnd) {
      problems.push({ file: segment, what: `it has ${stat.bytes} bytes, its entries end at ${end.dataEnd}` });
    }
    await inspectHeader(disk, segment, problems);
    const { diskUuid } = manifest;
    segments.push({
      path: segment,
      segmentId,
      groupId,
      diskUuid,
      isSealed: end !== undefined,
      before,
      end,
      fileBytes: stat.bytes,
    });
  }
  for (const name of names) {
    const id = segmentIdOf(name);
    if (id !== undefined && !listed.some((one) => one.segmentId === id)) {
      problems.push({ file: joinPath(path, name), what: 'the manifest does not list this segment' });
    }
  }
  return { ...report, hardState, segments, snapshots: await inspectSnapshots(disk, path, names, manifest, problems) };
}

async function inspectManifest(disk: Disk, path: string, problems: Problem[]): Promise<Manifest | undefined> {
  const file = joinPath(path, MANIFEST_NAME);
  const decoded = await noting(problems, file, async () => decodeManifest(await readWhole(disk, file), file));
  if (decoded === undefined && !problems.some((problem) => problem.file === file)) {
    problems.push({ file, what: 'both copies are damaged' });
  }
  if (decoded?.isWhole === false) problems.push({ file, what: 'one of its two copies is damaged' });
  return decoded?.manifest;
}

async function inspectHeader(disk: Disk, path: string, problems: Problem[]): Promise<void> {
  const file: File = await disk.open(path, 'read');
  try {
    const block = new Uint8Array(SEGMENT_HEADER_BYTES);
    const count = await file.read(0, block);
    const header = await noting(problems, path, async () => decodeSegmentHeader(block.subarray(0, count), path));
    if (header === undefined) problems.push({ file: path, what: 'its header is damaged; a start writes it anew' });
  } finally {
    await file.close();
  }
}

async function inspectSnapshots(
  disk: Disk,
  path: string,
  names: readonly string[],
  manifest: Manifest,
  problems: Problem[],
): Promise<SnapshotReport[]> {
  const reports: SnapshotReport[] = [];
  for (const name of names) {
    const index = snapshotIndexOf(name);
    if (index === undefined) continue;
    const file = joinPath(path, name);
    const bytes = await readWhole(disk, file);
    const snapshot = await noting(problems, file, async () => decodeSnapshot(bytes, manifest, file));
    if (snapshot === undefined) problems.push({ file, what: 'this snapshot fails its check' });
    const content = snapshot && {
      term: snapshot.term,
      nextOffset: snapshot.nextOffset,
      stateBytes: snapshot.state.length,
    };
    reports.push({ path: file, index, bytes: bytes.length, content });
  }
  return reports;
}

/** A refusal of the bytes is a finding; anything else is the disk's failure, and the caller's. */
async function noting<T>(problems: Problem[], file: string, look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    problems.push({ file: error.file ?? file, what: error.message });
    return undefined;
  }
}
