/**
 * What open does after any stop, clean or not. Two halves: first everything is read and judged, and nothing is written
 * (W25); then the little that must change is changed: a torn end is cut, durably, before anything is appended (W11);
 * copies and headers that can be derived are mended; residue of unfinished changes is removed. Stopped at any point, it
 * starts again from the same judgement.
 *
 * Sealed segments are not read beyond their headers, unless their file is too short or they hold entries above the
 * commit hint, whose points a cut may need. One that is missing is damage of all its entries: it loses no promise.
 */
import { ActiveSegment } from './active-segment.ts';
import { DamageList } from './damage.ts';
import { type File, joinPath } from './disk.ts';
import { StorageError } from './errors.ts';
import type { SegmentSummary } from './footer.ts';
import { HardStateFile } from './hard-state.ts';
import { hasOwnHeader, type KnownHeader, writeHeader } from './header-mend.ts';
import { INCOMING_NAME, readIncomingKey } from './incoming-snapshot.ts';
import { IndexTable } from './index-table.ts';
import type { LogContext } from './log-context.ts';
import { type LogPoint, pointAfter, START_POINT, samePoint } from './log-point.ts';
import { createManifest, loadManifest, type Manifest, storeManifest } from './manifest.ts';
import type { LogEvent } from './options.ts';
import { mendFrames } from './repair.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { type Fault, type ScanResult, scanSegment } from './segment-scan.ts';
import { makeSegment, type SealedFile, Segments } from './segments.ts';
import { isAside } from './small-file.ts';
import { listSnapshots, loadSnapshot, pointOfSnapshot, snapshotName } from './snapshot.ts';
import { segmentIdOf, segmentPath } from './stored-segment.ts';
import { TailPoints } from './tail-points.ts';
import { TermRuns } from './term-runs.ts';
import type { ByteCount, LogIndex, Offset, Snapshot, Term } from './types.ts';

export interface Recovered {
  readonly segments: Segments;
  readonly hardState: HardStateFile;
  readonly termRuns: TermRuns;
  readonly tail: TailPoints;
  readonly commitHint: LogIndex;
  readonly damage: DamageList;
  /** The newest sound one. */
  readonly latestSnapshot: Snapshot | undefined;
  /** Of all snapshots that fit the log, ascending; the older ones are checked when they are read. */
  readonly snapshotIndexes: readonly LogIndex[];
  /** Bytes of a torn end that were cut off, and where. */
  readonly torn: { readonly file: string; readonly position: ByteCount; readonly bytes: ByteCount } | undefined;
  /** Files that were mended from other copies. */
  readonly mended: readonly string[];
  /** Sealed segments that were not there: all their entries are damage. */
  readonly missing: readonly string[];
}

/** What the start of a log found, to be told. */
export function eventsOf({ torn, mended, missing, damage }: Recovered): LogEvent[] {
  return [
    ...(torn === undefined ? [] : [{ kind: 'torn-end', ...torn } as const]),
    ...mended.map((file) => ({ kind: 'mended', file }) as const),
    ...missing.map((file) => ({ kind: 'missing-segment', file }) as const),
    ...damage.list().map(({ file, position, firstIndex: index }) => {
      return { kind: 'damage', file, position, index } as const;
    }),
  ];
}

/** Makes the files of an empty log in a directory that nobody looks at yet: each flushed, then the directory once. */
export async function createLogFiles(context: LogContext, firstOffset: Offset = 0): Promise<void> {
  const { disk, directory, own } = context;
  const before: LogPoint = { ...START_POINT, nextOffset: firstOffset };
  await HardStateFile.create(disk, directory, own);
  const active = await makeSegment(context, 1, before);
  await active.file.close();
  const first: Manifest = {
    ...own,
    generation: 1,
    nextSegmentId: 2,
    commitHint: 0,
    sealed: [],
    active: { segmentId: 1, before },
  };
  await createManifest(disk, directory, first);
  await disk.syncDirectory(directory);
}

/** @param isJustMade This process has made the log, and flushed all of it, right before. */
export async function recover(context: LogContext, isJustMade = false): Promise<Recovered> {
  const first = await attempt(context, isJustMade);
  if (!('mendedFirst' in first)) return first;
  const second = await attempt(context, isJustMade);
  if ('mendedFirst' in second) {
    throw new StorageError('FLUSH_FAILED', 'a mended frame header reads back otherwise', { file: second.mendedFirst });
  }
  return { ...second, mended: [first.mendedFirst, ...second.mended] };
}

/** One judgement of everything; instead of a log the file in which frame headers were mended, to be judged again. */
async function attempt(
  context: LogContext,
  isJustMade: boolean,
): Promise<Recovered | { readonly mendedFirst: string }> {
  const { disk, directory, own } = context;
  const { manifest, isWhole: isManifestWhole } = await loadManifest(disk, directory, own);
  const { file: hardState, isWhole: isHardStateWhole } = await HardStateFile.open(disk, directory, own);
  let activeFile: File | undefined;
  try {
    const damage = new DamageList();
    const residue = await findResidue(context, manifest);
    const sealed = await judgeSealed(context, manifest, damage);
    const active = await openActive(context, manifest);
    activeFile = active.file;
    damage.note({ ...active, isSealed: false }, active.scan.faults);
    // Nothing that was flushed is ever cut at or below the commit hint: whoever shortened the file, it was not a crash.
    if (active.scan.last.index < manifest.commitHint) {
      const what = `the log ends at ${active.scan.last.index}, and ${manifest.commitHint} was committed here`;
      throw new StorageError('CORRUPT', what, { file: active.path, position: active.scan.dataEnd });
    }
    const commitHint = Math.max(manifest.commitHint, active.scan.commitHint);
    const termRuns = joinRuns(manifest, active);
    const tail = await collectTail(context, manifest, active, commitHint, sealed.missing);
    const snapshots = await judgeSnapshots(context, manifest, tail, termRuns);

    // From here on files change; everything above only read.
    if (await mendLostFrames(context, active)) {
      await active.file.close();
      await hardState.close();
      return { mendedFirst: active.path };
    }
    const mended = [...sealed.badHeaders.map((bad) => bad.path)];
    for (const bad of sealed.badHeaders) await writeHeader(context, bad);
    // Repair puts entries into a file; until then it is as good as one of zeros. Stopped here, the next open finds
    // that.
    for (const lost of sealed.missing) await writeHeader(context, lost, 'create');
    if (!active.isHeaderSound) {
      await writeHeader(context, { path: active.path, segmentId: active.segmentId, before: active.before });
      mended.push(active.path);
    }
    if (!isManifestWhole) {
      await storeManifest(disk, directory, manifest);
      mended.push(joinPath(directory, 'manifest'));
    }
    if (!isHardStateWhole) await hardState.mend();
    const { scan } = active;
    if (scan.tornBytes > 0) await active.file.setBytes(scan.dataEnd);
    // What a killed process wrote and did not flush may be in the cache alone: it is not called flushed before this.
    if (!isJustMade) await active.file.flush();
    for (const name of [...residue, ...snapshots.residue]) {
      const path = joinPath(directory, name);
      // Mending the manifest has used up a 'manifest.new' that an earlier stop left.
      if ((await disk.stat(path)) !== undefined) await disk.remove(path);
    }
    if (!isJustMade) await disk.syncDirectory(directory);

    const segments = new Segments(context, manifest, sealed.files, activeSegment(context, active));
    return {
      segments,
      hardState,
      termRuns,
      tail,
      commitHint,
      damage,
      latestSnapshot: snapshots.latest,
      snapshotIndexes: snapshots.indexes,
      torn: scan.tornBytes === 0 ? undefined : { file: active.path, position: scan.dataEnd, bytes: scan.tornBytes },
      mended,
      missing: sealed.missing.map(({ path }) => path),
    };
  } catch (error) {
    await hardState.close();
    await activeFile?.close();
    throw error;
  }
}

/** Whether what was being collected when the process ended is of no use any more: the log holds as much by now. */
async function isOutlived(context: LogContext, { sealed, active }: Manifest): Promise<boolean> {
  const key = await readIncomingKey(context);
  return key === undefined || key.index <= (sealed[0]?.before ?? active.before).index;
}

/**
 * Files of changes that were never listed, or are no longer. A segment that cannot be one of them is an error (W15).
 */
async function findResidue(context: LogContext, manifest: Manifest): Promise<string[]> {
  const listed = new Set([...manifest.sealed.map((summary) => summary.segmentId), manifest.active.segmentId]);
  const residue: string[] = [];
  for (const { name } of await context.disk.list(context.directory)) {
    const id = segmentIdOf(name);
    if (isAside(name)) residue.push(name);
    if (name === INCOMING_NAME && (await isOutlived(context, manifest))) residue.push(name);
    if (id === undefined || listed.has(id)) continue;
    if (id > manifest.nextSegmentId) {
      const file = joinPath(context.directory, name);
      throw new StorageError('CORRUPT', `segment ${id} is newer than the manifest, which was replaced by an old one`, {
        file,
      });
    }
    residue.push(name);
  }
  return residue;
}

async function judgeSealed(
  context: LogContext,
  manifest: Manifest,
  damage: DamageList,
): Promise<{ files: SealedFile[]; badHeaders: KnownHeader[]; missing: KnownHeader[] }> {
  const files: SealedFile[] = [];
  const badHeaders: KnownHeader[] = [];
  const missing: KnownHeader[] = [];
  for (const summary of manifest.sealed) {
    const { segmentId, before } = summary;
    const path = segmentPath(context.directory, segmentId);
    if ((await context.disk.stat(path)) === undefined) {
      // Named, and no reason to give the replica up: the manifest knows all that its promises rest on (W15, decision
      // 7).
      missing.push({ path, segmentId, before });
      files.push({ summary, fileBytes: SEGMENT_HEADER_BYTES });
      damage.note({ segmentId, path, isSealed: true }, [allOf(summary)]);
      continue;
    }
    const file = await context.disk.open(path, 'read');
    try {
      const header = { path, segmentId, before };
      const isHeaderSound = await hasOwnHeader(context, file, header);
      if (!isHeaderSound) badHeaders.push(header);
      const fileBytes = await file.bytes();
      files.push({ summary, fileBytes });
      // A header that is not its own: the rest may be another segment's as well. Else the bytes are read when needed.
      if (fileBytes < summary.dataEnd || !isHeaderSound) {
        const scan = await scanSealed(context, file, path, summary, () => undefined);
        damage.note({ segmentId, path, isSealed: true }, scan.faults);
      }
    } finally {
      await file.close();
    }
  }
  return { files, badHeaders, missing };
}

/** A sealed segment of which nothing is left, as a scan of a file of zeros would judge it. */
function allOf({ before, last, dataEnd, frames }: SegmentSummary): Fault {
  const position = SEGMENT_HEADER_BYTES;
  return { position, end: dataEnd, before, after: last, missing: { position, firstSequence: 1, count: frames } };
}

function scanSealed(
  context: LogContext,
  file: File,
  path: string,
  summary: SegmentSummary,
  onPoint: (point: LogPoint) => void,
): Promise<ScanResult> {
  const { diskUuid, groupId } = context.own;
  const { segmentId, before, last, frames, dataEnd } = summary;
  return scanSegment(
    { file, path, diskUuid, groupId, segmentId, before, end: dataEnd, proven: { last, frames } },
    (header) => onPoint(pointAfter(header)),
  );
}

interface OpenActive {
  readonly path: string;
  readonly file: File;
  readonly segmentId: number;
  readonly before: LogPoint;
  readonly isHeaderSound: boolean;
  readonly fileBytes: ByteCount;
  readonly scan: ScanResult;
  readonly marks: IndexTable;
  readonly points: LogPoint[];
  readonly manifestHint: LogIndex;
}

async function openActive(context: LogContext, manifest: Manifest): Promise<OpenActive> {
  const { segmentId, before } = manifest.active;
  const path = segmentPath(context.directory, segmentId);
  if ((await context.disk.stat(path)) === undefined) {
    // The end of the log was in it, and so what this replica promised.
    throw new StorageError('CORRUPT', 'the active segment, which the manifest lists, is missing', { file: path });
  }
  const file = await context.disk.open(path, 'write', 'durable-writes');
  try {
    const isHeaderSound = await hasOwnHeader(context, file, { path, segmentId, before });
    const fileBytes = await file.bytes();
    const marks = new IndexTable();
    const points: LogPoint[] = [];
    const { diskUuid, groupId } = context.own;
    const target = { file, path, diskUuid, groupId, segmentId, before, end: fileBytes, proven: undefined };
    const scan = await scanSegment(target, (header, position, frame) => {
      marks.add(header, position, frame);
      points.push(pointAfter(header));
    });
    // The header was durable before the manifest listed the segment. Without it, and without a frame, nothing says
    // that the segment was empty: this is no torn end.
    if (!isHeaderSound && scan.frames === 0) {
      throw new StorageError('CORRUPT', 'the active segment has lost its header and its frames', {
        file: path,
        position: 0,
      });
    }
    return {
      path,
      file,
      segmentId,
      before,
      isHeaderSound,
      fileBytes,
      scan,
      marks,
      points,
      manifestHint: manifest.commitHint,
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function activeSegment(context: LogContext, active: OpenActive): ActiveSegment {
  const { path, file, segmentId, before, scan, marks } = active;
  const termRuns = new TermRuns(before);
  addRuns(termRuns, active.points, scan.faults);
  return new ActiveSegment({
    path,
    file,
    diskUuid: context.own.diskUuid,
    segmentId,
    before,
    last: scan.last,
    dataEnd: scan.dataEnd,
    frames: scan.frames,
    isProven: scan.isProven || scan.last.index === before.index,
    commitHint: Math.max(active.manifestHint, scan.commitHint),
    fileBytes: scan.tornBytes > 0 ? scan.dataEnd : active.fileBytes,
    marks,
    termRuns,
  });
}

/** Terms of sound entries; a damaged region counts as of the term at its end, which later evidence names. */
function addRuns(runs: TermRuns, points: readonly LogPoint[], faults: readonly Fault[]): void {
  const ends: { term: Term; index: LogIndex }[] = [...points, ...faults.map((fault) => fault.after)];
  ends.sort((a, b) => a.index - b.index);
  for (const { term, index } of ends) if (index > runs.last.index) runs.add(term, index);
}

function joinRuns(manifest: Manifest, active: OpenActive): TermRuns {
  const runs = new TermRuns(manifest.sealed[0]?.before ?? manifest.active.before);
  for (const summary of manifest.sealed) for (const run of summary.termRuns) runs.add(run.term, run.lastIndex);
  addRuns(runs, active.points, active.scan.faults);
  return runs;
}

/** Points from the commit hint on: a cut can only come above it (W18). */
async function collectTail(
  context: LogContext,
  manifest: Manifest,
  active: OpenActive,
  commitHint: LogIndex,
  missing: readonly KnownHeader[],
): Promise<TailPoints> {
  const above = manifest.sealed.filter((summary) => summary.last.index > commitHint);
  const tail = new TailPoints(above[0]?.before ?? active.before);
  for (const summary of above) {
    const path = segmentPath(context.directory, summary.segmentId);
    if (!missing.some(({ segmentId }) => segmentId === summary.segmentId)) {
      const file = await context.disk.open(path, 'read');
      try {
        await scanSealed(context, file, path, summary, (point) => tail.push(point));
      } finally {
        await file.close();
      }
    }
    if (tail.last.index < summary.last.index) tail.push(summary.last);
  }
  for (const point of active.points) tail.push(point);
  if (tail.last.index < active.scan.last.index) tail.push(active.scan.last);
  tail.forgetBelow(commitHint);
  return tail;
}

/**
 * Which snapshots fit the log. One above its end, or of another history, is the residue of an install that was stopped
 * before the manifest; one below the base serves nobody. Only the newest is read whole: there is one per segment.
 */
async function judgeSnapshots(
  context: LogContext,
  manifest: Manifest,
  tail: TailPoints,
  runs: TermRuns,
): Promise<{ latest: Snapshot | undefined; indexes: LogIndex[]; residue: string[] }> {
  const { disk, directory, own } = context;
  const known = new Map<LogIndex, LogPoint>([[manifest.active.before.index, manifest.active.before]]);
  for (const { before, last } of manifest.sealed) known.set(before.index, before).set(last.index, last);
  const fits = (claimed: LogPoint): boolean => {
    if (claimed.index < runs.base.index || runs.termAt(claimed.index) !== claimed.term) return false;
    const point = known.get(claimed.index) ?? tail.at(claimed.index);
    return point === undefined || samePoint(point, claimed);
  };
  const indexes: LogIndex[] = [];
  const residue: string[] = [];
  let latest: Snapshot | undefined;
  let damaged: string | undefined;
  for (const { index, claimed } of await listSnapshots(disk, directory, own)) {
    const name = snapshotName(index);
    const isCandidate = claimed !== undefined && fits(claimed);
    const snapshot = isCandidate && latest !== undefined ? undefined : await loadSnapshot(disk, directory, own, index);
    if (snapshot !== undefined && !fits(pointOfSnapshot(snapshot))) residue.push(name);
    else if (snapshot === undefined && latest === undefined) damaged = name;
    else if (isCandidate) indexes.unshift(index);
    latest ??= residue.includes(name) ? undefined : snapshot;
  }
  if (runs.base.index > 0 && latest === undefined) {
    const file = joinPath(directory, damaged ?? snapshotName(runs.base.index));
    throw new StorageError('CORRUPT', 'no sound snapshot at or above the start of the log', { file });
  }
  return { latest, indexes, residue };
}

/** Writes frame headers anew where nothing else is damaged; true when there were any, and all is to be judged again. */
async function mendLostFrames(context: LogContext, active: OpenActive): Promise<boolean> {
  let didMend = false;
  for (const fault of active.scan.faults) {
    if (await mendFrames(context, active.file, { segmentId: active.segmentId, fault })) didMend = true;
  }
  return didMend;
}
