/**
 * The segments of one log on the disk, and the manifest that lists them. Every method is a step of group-commit.ts's
 * queue: none runs beside another, and none begins while a flush of entries is in flight.
 *
 * Each change has the same shape, and its crash argument is in docs/storage.md: first make what is new (a segment with
 * its header) durable while nobody knows of it; then replace the manifest, which is the moment the change counts; then
 * remove what is no longer listed. A stop before the manifest leaves residue, which recovery removes; a stop after it
 * leaves leftovers, which recovery removes as well.
 */
import assert from 'node:assert/strict';
import { ActiveSegment } from './active-segment.ts';
import { totalBytes } from './disk.ts';
import { encodeFooter, type SegmentSummary, sameSummary } from './footer.ts';
import type { Mark } from './index-table.ts';
import type { LogContext } from './log-context.ts';
import { type LogPoint, samePoint } from './log-point.ts';
import { type Manifest, storeManifest } from './manifest.ts';
import { encodeSegmentHeader } from './segment-header.ts';
import { infoOf, type SegmentInfo } from './segment-info.ts';
import { type StoredSegment, segmentPath } from './stored-segment.ts';
import { canPass } from './system-error.ts';
import type { ByteCount, LogEntry, LogIndex } from './types.ts';

/**
 * Where the first entry that is cut off begins, or the one before it ends: between them lies a frame header at most.
 */
export interface CutPlace {
  readonly position: ByteCount;
  /** Sequence of the last frame that begins in front of it. */
  readonly frame: number;
}

export interface SealedFile {
  readonly summary: SegmentSummary;
  readonly fileBytes: ByteCount;
}

export class Segments {
  readonly #context: LogContext;
  #manifest: Manifest;
  #sealed: StoredSegment[];
  #active: ActiveSegment;
  /** Files that are no longer listed and could not be removed yet. */
  #unlisted: string[] = [];

  constructor(context: LogContext, manifest: Manifest, sealed: readonly SealedFile[], active: ActiveSegment) {
    this.#context = context;
    this.#manifest = manifest;
    this.#sealed = sealed.map(({ summary, fileBytes }) => this.#stored(summary, fileBytes));
    this.#active = active;
  }

  get active(): ActiveSegment {
    return this.#active;
  }

  /** The log just below its first stored entry. */
  get base(): LogPoint {
    return this.#sealed[0]?.before ?? this.#active.before;
  }

  /** All segments, oldest first, the active one last. */
  all(): StoredSegment[] {
    const { path, fileBytes, marks } = this.#active;
    return [...this.#sealed, { ...this.#active.summary(), path, fileBytes, marks, isSealed: false }];
  }

  /** As all(), without the runs of terms, which are copied there and may be many: retention asks every second. */
  infos(): SegmentInfo[] {
    const { before, last, marks, fileBytes, dataEnd } = this.#active;
    const infos = this.#sealed.map(infoOf);
    infos.push(infoOf({ before, last, marks, fileBytes, dataEnd, isSealed: false }));
    return infos;
  }

  /** Bytes of all files, with the active one counted up to what is flushed. */
  get bytes(): ByteCount {
    return this.#sealed.reduce((sum, segment) => sum + segment.fileBytes, this.#active.dataEnd);
  }

  /** The segment that holds a flushed entry. */
  holding(index: LogIndex): StoredSegment {
    const { path, fileBytes, marks } = this.#active;
    if (index > this.#active.before.index) {
      return { ...this.#active.summary(), path, fileBytes, marks, isSealed: false };
    }
    const found = this.#sealed[this.#sealedHolding(index)];
    if (found === undefined || index <= found.before.index)
      assert.fail(`no segment holds ${index}, base is ${this.base.index}`);
    return found;
  }

  /** Whether a sealed segment ends at `index`. */
  endsAt(index: LogIndex): boolean {
    return this.#sealed.some((segment) => segment.last.index === index);
  }

  /** Of all logs of the data directory, so far. */
  get flushesBegun(): number {
    return this.#context.scheduler.begun;
  }

  async writeFrame(entries: readonly LogEntry[], commitHint: LogIndex): Promise<ByteCount> {
    return this.#context.scheduler.run('entries', () => this.#active.writeFrame(entries, commitHint));
  }

  /** After a frame of `frameBytes`: makes room for the next ones beside their flushes; not waited for. */
  fillAhead(frameBytes: ByteCount, segmentBytes: ByteCount): void {
    const { scheduler } = this.#context;
    this.#active.fillAhead({ frameBytes, endMax: segmentBytes }, (fill) => scheduler.run('files', fill));
  }

  async cutToFlushed(): Promise<void> {
    await this.#active.cutToFlushed();
  }

  /** Seals the active segment and begins another. */
  async roll(commitHint: LogIndex): Promise<LogPoint> {
    const old = this.#active;
    assert(!old.isEmpty, 'an empty segment is not sealed');
    const sealing = this.#flush(() => old.seal());
    // No step of a failed change runs on, and none leaves a handle behind.
    const [sealed, made] = await Promise.allSettled([sealing, this.#createNext(old.last)]);
    if (sealed.status === 'rejected') {
      if (made.status === 'fulfilled') await made.value.close();
      throw sealed.reason;
    }
    if (made.status === 'rejected') throw made.reason;
    const [fileBytes, next] = [sealed.value, made.value];
    const summary = old.summary();
    await this.#list({ sealed: [...this.#summaries(), summary], active: next, commitHint });
    this.#sealed.push(this.#stored(summary, fileBytes));
    this.#active = next;
    await old.close();
    await this.#removeFiles([]);
    return summary.last;
  }

  /**
   * Drops every entry behind `point`; the next one begins `cutAt.position` in the segment that holds point.index. The
   * manifest is durable before anything else is written, so no crash brings the dropped entries back (W17). True when
   * a segment was sealed by it.
   */
  async cut(point: LogPoint, cutAt: CutPlace | undefined, commitHint: LogIndex): Promise<boolean> {
    const old = this.#active;
    const next = await this.#createNext(point);
    const whole = this.#sealed.filter((segment) => segment.last.index <= point.index);
    const across = this.all().find((segment) => segment.before.index < point.index && segment.last.index > point.index);
    const kept: { summary: SegmentSummary; marks: readonly Mark[] | undefined; fileBytes: ByteCount }[] = [];
    if (!old.isEmpty && samePoint(old.last, point)) {
      kept.push({ summary: old.summary(), marks: old.marks.marks, fileBytes: old.fileBytes });
    } else if (across !== undefined) {
      if (cutAt === undefined) assert.fail(`the entry behind ${point.index} was not located`);
      const termRuns = across.termRuns
        .filter((_run, i) => i === 0 || across.termRuns[i - 1]!.lastIndex < point.index)
        .map((run) => ({ term: run.term, lastIndex: Math.min(run.lastIndex, point.index) }));
      const { segmentId, before, fileBytes } = across;
      const summary = { segmentId, before, last: point, dataEnd: cutAt.position, frames: cutAt.frame, termRuns };
      old.marks.cut(point.index + 1);
      kept.push({ summary, marks: across.isSealed ? undefined : old.marks.marks, fileBytes });
    }
    const dropped = this.all().filter((segment) => segment.before.index >= point.index && segment.isSealed);
    if (old.before.index >= point.index) dropped.push(this.all().at(-1)!);
    await this.#list({
      sealed: [...whole.map(summaryOf), ...kept.map((one) => one.summary)],
      active: next,
      commitHint,
    });
    this.#sealed = [...whole, ...kept.map((one) => this.#stored(one.summary, one.fileBytes))];
    this.#active = next;
    await old.close();
    // First: the cut counts, and is not made again when a file cannot be opened for its footer.
    await this.#removeFiles(dropped);
    for (const { summary, marks, fileBytes } of kept) await this.#endAt(this.#stored(summary, fileBytes), marks);
    return kept.length > 0;
  }

  /**
   * Removes whole sealed segments whose entries all lie below `firstIndexToKeep`. `onListed` runs when the manifest
   * counts and before any file goes: nobody is sent to a file that is being removed.
   */
  async trim(firstIndexToKeep: LogIndex, commitHint: LogIndex, onListed: () => void): Promise<void> {
    const dropped = this.#sealed.filter((segment) => segment.last.index < firstIndexToKeep);
    if (dropped.length === 0) return;
    const kept = this.#sealed.slice(dropped.length);
    await this.#list({ sealed: kept.map(summaryOf), active: this.#active, commitHint });
    this.#sealed = kept;
    onListed();
    await this.#removeFiles(dropped);
  }

  /** A segment id for a file that is made beside the log: taken in the manifest first, so that the file, until it is
   *  listed, is residue, and no other segment ever has its id. */
  async takeSegmentId(commitHint: LogIndex): Promise<number> {
    const segmentId = this.#manifest.nextSegmentId;
    await this.#list({ sealed: this.#summaries(), active: this.#active, commitHint, nextSegmentId: segmentId + 1 });
    return segmentId;
  }

  /**
   * Lists a rewritten segment, whole and durable, in place of the adjacent sealed ones it was made from. False when
   * they are no longer listed as they were. `onListed` as in trim().
   */
  async replace(
    old: readonly StoredSegment[],
    made: SealedFile,
    commitHint: LogIndex,
    onListed: () => void,
  ): Promise<boolean> {
    const first = this.#sealed.findIndex(({ segmentId }) => segmentId === old[0]!.segmentId);
    const found = first < 0 ? [] : this.#sealed.slice(first, first + old.length);
    const isSame = found.length === old.length && found.every((segment, at) => sameSummary(segment, old[at]!));
    if (!isSame) return false;
    const { before, last } = made.summary;
    assert(samePoint(before, found[0]!.before) && samePoint(last, found.at(-1)!.last), 'a rewrite keeps both ends');
    const kept = this.#sealed.slice();
    kept.splice(first, old.length, this.#stored(made.summary, made.fileBytes));
    await this.#list({ sealed: kept.map(summaryOf), active: this.#active, commitHint });
    this.#sealed = kept;
    onListed();
    await this.#removeFiles(found);
    return true;
  }

  /**
   * Lists `made`, which holds the same entries durably, as the active segment in place of `old`. False when that one
   * was sealed or cut, or has grown. `onListed` as in trim().
   */
  async renewActive(
    old: ActiveSegment,
    made: ActiveSegment,
    commitHint: LogIndex,
    onListed: () => void,
  ): Promise<boolean> {
    if (this.#active !== old || !samePoint(old.last, made.last)) return false;
    await this.#list({ sealed: this.#summaries(), active: made, commitHint, isLent: true });
    this.#active = made;
    onListed();
    await old.close();
    await this.#removeFiles([old]);
    return true;
  }

  /** Replaces all segments by an empty one that begins behind `point`. */
  async replaceBy(point: LogPoint, onListed: () => void): Promise<void> {
    const old = this.all();
    const oldActive = this.#active;
    const next = await this.#createNext(point);
    await this.#list({ sealed: [], active: next, commitHint: point.index });
    this.#sealed = [];
    this.#active = next;
    onListed();
    await oldActive.close();
    await this.#removeFiles(old);
  }

  /** Writes the footer of a sealed segment anew: derived data, and behind everything that is not (F46). */
  async rewriteFooter(segment: StoredSegment, marks: readonly Mark[]): Promise<void> {
    if (this.holds(segment)) await this.#endAt(segment, marks);
  }

  /** Whether a segment is still listed as it was when somebody looked: it may have been cut or trimmed since. */
  holds(segment: StoredSegment): boolean {
    return this.all().some((other) => other.segmentId === segment.segmentId && other.last.index >= segment.last.index);
  }

  /** Cuts the active file to what it holds. */
  async cutUnused(): Promise<void> {
    await this.#active.cutUnused();
  }

  /** Ends use of the files. */
  async close(): Promise<void> {
    await this.#active.close();
    for (const segment of this.all()) await this.#context.handles.drop(segment.path);
  }

  /** Cuts a sealed segment's file behind its data and writes its footer; without marks the next reader makes them. */
  async #endAt(segment: StoredSegment, marks: readonly Mark[] | undefined): Promise<void> {
    const footer = marks === undefined ? [] : encodeFooter(summaryOf(segment), marks, this.#context.own.diskUuid);
    const file = await this.#context.disk.open(segment.path, 'write');
    try {
      await this.#flush(async () => {
        await file.setBytes(segment.dataEnd);
        await file.write(segment.dataEnd, footer);
        await file.flush();
      });
    } finally {
      await file.close();
    }
    const at = this.#sealed.findIndex((other) => other.segmentId === segment.segmentId);
    if (at >= 0) this.#sealed[at] = this.#stored(segment, segment.dataEnd + totalBytes(footer));
  }

  #flush<T>(flush: () => Promise<T>): Promise<T> {
    return this.#context.scheduler.run('entries', flush);
  }

  #summaries(): SegmentSummary[] {
    return this.#sealed.map(summaryOf);
  }

  #stored(summary: SegmentSummary, fileBytes: ByteCount): StoredSegment {
    const path = segmentPath(this.#context.directory, summary.segmentId);
    return { ...summaryOf(summary), path, fileBytes, marks: undefined, isSealed: true };
  }

  /** Number of the last sealed segment that begins below `index`. */
  #sealedHolding(index: LogIndex): number {
    let low = 0;
    let high = this.#sealed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sealed[middle]!.before.index < index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** A segment file with its header, durable with its directory entry (W2), and not yet listed. */
  async #createNext(before: LogPoint): Promise<ActiveSegment> {
    return createSegment(this.#context, this.#manifest.nextSegmentId, before);
  }

  async #list(change: {
    sealed: readonly SegmentSummary[];
    active: ActiveSegment;
    commitHint: LogIndex;
    nextSegmentId?: number;
    /** The active segment is the caller's until it is listed, and stays open when that fails. */
    isLent?: boolean;
  }): Promise<void> {
    const { sealed, active, commitHint, nextSegmentId = 0, isLent = false } = change;
    const next: Manifest = {
      ...this.#manifest,
      generation: this.#manifest.generation + 1,
      nextSegmentId: Math.max(this.#manifest.nextSegmentId, active.segmentId + 1, nextSegmentId),
      commitHint: Math.max(this.#manifest.commitHint, Math.min(commitHint, active.last.index)),
      sealed,
      active: { segmentId: active.segmentId, before: active.before },
    };
    try {
      await this.#flush(() => storeManifest(this.#context.disk, this.#context.directory, next));
    } catch (error) {
      if (active !== this.#active && !isLent) await active.file.close();
      throw error;
    }
    this.#manifest = next;
  }

  /**
   * Removes what is no longer listed. That has no room to fail for: the change counts already, and is not to be made
   * again. File systems that copy on write want room for it all the same; then it is tried again with the next change.
   */
  async #removeFiles(segments: readonly Pick<StoredSegment, 'path'>[]): Promise<void> {
    const { disk, directory, handles } = this.#context;
    this.#unlisted.push(...segments.map(({ path }) => path));
    if (this.#unlisted.length === 0) return;
    try {
      for (let path = this.#unlisted[0]; path !== undefined; path = this.#unlisted[0]) {
        await disk.remove(path);
        this.#unlisted.shift();
        // Not before: a read that began earlier may open it until then, and its handle would keep the space.
        await handles.drop(path);
      }
      await disk.syncDirectory(directory);
    } catch (error) {
      if (!canPass(error)) throw error;
    }
  }
}

/** A segment file with its header, durable with its directory entry (W2). */
export async function createSegment(context: LogContext, segmentId: number, before: LogPoint): Promise<ActiveSegment> {
  const made = await makeSegment(context, segmentId, before);
  try {
    await context.disk.syncDirectory(context.directory);
  } catch (error) {
    await discard(context, made);
    throw error;
  }
  return made;
}

/** As createSegment, but the directory entry is not durable before the caller flushes the directory. */
export async function makeSegment(context: LogContext, segmentId: number, before: LogPoint): Promise<ActiveSegment> {
  const { disk, directory, own } = context;
  const path = segmentPath(directory, segmentId);
  // An earlier attempt may have ended, for want of space, between this file and the manifest.
  if ((await disk.stat(path)) !== undefined) await disk.remove(path);
  const file = await disk.open(path, 'create', 'durable-writes');
  try {
    await file.write(0, [encodeSegmentHeader({ ...own, segmentId, before })]);
    await file.flush();
  } catch (error) {
    await discard(context, { path, file });
    throw error;
  }
  return ActiveSegment.fresh({ path, file, diskUuid: own.diskUuid, segmentId, before });
}

/** Of what was begun and is of no use. A file that cannot be removed is what a stop would leave. */
async function discard({ disk }: LogContext, made: Pick<ActiveSegment, 'path' | 'file'>): Promise<void> {
  await made.file.close();
  await disk.remove(made.path).catch(() => undefined);
}

function summaryOf(segment: SegmentSummary): SegmentSummary {
  const { segmentId, before, last, dataEnd, frames, termRuns } = segment;
  return { segmentId, before, last, dataEnd, frames, termRuns };
}
