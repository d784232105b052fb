/**
 * Sealed segments rewritten aside, without the records that compaction takes out of them, and swapped in by the
 * manifest. What to take out is the caller's to say, batch by batch; here is how nothing else changes: every entry
 * keeps its index, header and chain, the new segment begins and ends where the old ones did, and it is read back whole
 * before it counts. Several adjacent segments become one.
 *
 * Runs beside appends and reads: only taking an id and the swap are steps of the write queue. Frames are flushed one by
 * one, each waiting its turn like any other flush, so that no large flush stands in front of an acknowledgement. A stop
 * before the swap leaves an unlisted file, which recovery removes; one after it leaves the old files, likewise.
 */
import assert from 'node:assert/strict';
import { ActiveSegment } from './active-segment.ts';
import { compactEntry } from './compacted-entry.ts';
import type { DamageList } from './damage.ts';
import { isStorageError, StorageError } from './errors.ts';
import type { SegmentSummary } from './footer.ts';
import { entryBytes, isChained } from './format.ts';
import type { GroupCommit } from './group-commit.ts';
import type { LogContext } from './log-context.ts';
import { type LogPoint, pointAfter, samePoint, whyNotAfter } from './log-point.ts';
import type { LogReader } from './log-reader.ts';
import { scanSegment } from './segment-scan.ts';
import { createSegment, type SealedFile, type Segments } from './segments.ts';
import type { StoredSegment } from './stored-segment.ts';
import type { ByteCount, EntryHeader, LogEntry, LogIndex } from './types.ts';

/** Entries may be appended while the active segment is rewritten: so often what came meanwhile is written behind the
 *  rest, before another try, later, is better. */
const CATCH_UPS_MAX = 5;
/** Bytes of entries read at once and of one frame: what one turn of a rewrite handles without a pause. */
const CHUNK_BYTES: ByteCount = 256 * 1024;

export interface RewritePlan {
  /** What is left of a batch's payload: the same array when nothing is taken out, an empty one when nothing is left. */
  keep(entry: LogEntry): Uint8Array;
  /** Called between chunks with the bytes read and written since; the rewrite goes on when it resolves. */
  pace(bytes: ByteCount): Promise<void>;
  /** The entry at an index whose bytes are damaged here, from elsewhere; undefined: the rewrite is given up. A plan
   *  with this mends, and takes nothing out: it may rewrite what can still be cut, and the active segment. */
  supply?(index: LogIndex): Promise<LogEntry | undefined>;
}

export interface Rewritten {
  /** Of the files, before and after. */
  readonly bytesBefore: ByteCount;
  readonly bytesAfter: ByteCount;
}

export interface RewriterParts {
  readonly context: LogContext;
  readonly segments: Segments;
  readonly commit: GroupCommit;
  readonly reader: LogReader;
  readonly damage: DamageList;
}

export interface RewriterLog {
  commitHint(): LogIndex;
  assertOpen(): void;
  /** A damaged entry is in its place again. */
  supplied(header: EntryHeader): void;
  /** Runs writes: a full disk fails them alone, any other failure ends the log (W4). */
  writing<T>(work: Promise<T>): Promise<T>;
}

export class Rewriter {
  readonly #parts: RewriterParts;
  readonly #log: RewriterLog;
  /** One rewrite at a time: the next begins where the last one ended. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(parts: RewriterParts, log: RewriterLog) {
    this.#parts = parts;
    this.#log = log;
  }

  /**
   * Rewrites the sealed segments from the one that holds `first` to the one that holds `last` into one, without what
   * `plan` takes out of them. All of them lie at or below the commit hint, so that no cut ever reaches into them (W18);
   * for a plan that mends they need not, and the one that holds `last` may be the active one, alone.
   * Undefined when there is nothing to rewrite, or the log changed meanwhile: nothing was swapped.
   * @throws StorageError CORRUPT when an entry is damaged and not supplied, OUT_OF_RANGE when what was supplied does
   *   not lead from the entries before it to those behind it, FULL when there is no room.
   */
  rewrite(first: LogIndex, last: LogIndex, plan: RewritePlan): Promise<Rewritten | undefined> {
    const rewriting = this.#work.then(() => this.#rewrite(first, last, plan));
    this.#work = rewriting.catch(() => undefined);
    return rewriting;
  }

  async #rewrite(first: LogIndex, last: LogIndex, plan: RewritePlan): Promise<Rewritten | undefined> {
    this.#log.assertOpen();
    const { segments } = this.#parts;
    const mends = plan.supply !== undefined;
    if (mends && first > segments.active.before.index) return this.#renewActive(plan);
    const all = segments.all().filter(({ isSealed }) => isSealed);
    const old = all.filter((segment) => segment.before.index < last && segment.last.index >= first);
    if (old.length === 0 || (!mends && old.at(-1)!.last.index > this.#log.commitHint())) return undefined;
    return this.#run(old, plan);
  }

  /** Resolves when no rewrite is under way: a closed log ends one at its next step. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async #run(old: readonly StoredSegment[], plan: RewritePlan): Promise<Rewritten | undefined> {
    const { context, commit, segments } = this.#parts;
    const { writing, commitHint } = this.#log;
    const segmentId = await commit.step(0, () => segments.takeSegmentId(commitHint()));
    const made = await writing(createSegment(context, segmentId, old[0]!.before));
    const supplied: EntryHeader[] = [];
    let mayBeListed = false;
    try {
      if (!(await this.#fill(made, old.at(-1)!.last, plan, supplied))) return undefined;
      const fileBytes = await writing(context.scheduler.run('entries', () => made.seal()));
      const file = { summary: made.summary(), fileBytes };
      await assertReadsBack(context, made, made.summary());
      // Until it says no, also when it fails: what is listed is the only copy here.
      mayBeListed = true;
      const isSwapped = await commit.stepThatFrees(() => this.#swap(old, file, plan));
      mayBeListed = isSwapped;
      if (isSwapped) for (const header of supplied) this.#log.supplied(header);
      const bytesBefore = old.reduce((sum, segment) => sum + segment.fileBytes, 0);
      return isSwapped ? { bytesBefore, bytesAfter: fileBytes } : undefined;
    } finally {
      await made.file.close();
      // Of no use any more. Left behind, it is what a stop would leave: the next open removes it.
      if (!mayBeListed) await context.disk.remove(made.path).catch(() => undefined);
    }
  }

  /**
   * The active segment, written anew for an entry that lies in it in another form than the one there is of it now.
   * Beside appends as well: what comes meanwhile is written behind the rest until both end at the same entry.
   */
  async #renewActive(plan: RewritePlan): Promise<Rewritten | undefined> {
    const { context, commit, segments, damage, reader } = this.#parts;
    const { writing, commitHint } = this.#log;
    const segmentId = await commit.step(0, () => segments.takeSegmentId(commitHint()));
    const old = segments.active;
    const made = await writing(createSegment(context, segmentId, old.before));
    const supplied: EntryHeader[] = [];
    const onListed = (): void => {
      damage.note({ ...old, isSealed: false }, []);
      reader.layoutChanged();
      for (const header of supplied) this.#log.supplied(header);
    };
    let isSwapped = false;
    let mayBeListed = false;
    try {
      for (let tries = 0; tries < CATCH_UPS_MAX && !isSwapped && segments.active === old; tries += 1) {
        if (!(await this.#fill(made, old.last, plan, supplied))) return undefined;
        // Proves the frames before it: what a crash leaves of them is not to pass for a torn end.
        await writing(context.scheduler.run('entries', () => made.writeFrame([], commitHint())));
        await assertReadsBack(context, made, made.summary());
        mayBeListed = true;
        isSwapped = await commit.step(0, () => segments.renewActive(old, made, commitHint(), onListed));
        mayBeListed = isSwapped;
      }
      return isSwapped ? { bytesBefore: old.dataEnd, bytesAfter: made.dataEnd } : undefined;
    } finally {
      if (!isSwapped && segments.active !== made) await made.file.close();
      if (!mayBeListed) await context.disk.remove(made.path).catch(() => undefined);
    }
  }

  /** False: the segments are not what they were, or damage was found in them that this rewrite does not mend. */
  async #swap(old: readonly StoredSegment[], made: SealedFile, plan: RewritePlan): Promise<boolean> {
    const { segments, damage, reader } = this.#parts;
    const isDamaged = old.some(({ segmentId }) => damage.hasIn(segmentId));
    if (isDamaged && plan.supply === undefined) return false;
    return segments.replace(old, made, this.#log.commitHint(), () => {
      for (const segment of old) damage.note(segment, []);
      reader.layoutChanged();
    });
  }

  /** False: the log was cut meanwhile. `supplied` gets what was damaged here. */
  async #fill(made: ActiveSegment, upTo: LogPoint, plan: RewritePlan, supplied: EntryHeader[]): Promise<boolean> {
    const { context, commit } = this.#parts;
    while (made.last.index < upTo.index) {
      this.#log.assertOpen();
      // Cut already, and not on the disk yet: there is nothing to be read up to that end any more.
      if (commit.flushed.index < upTo.index) return false;
      const read = await this.#readOn(made.last, plan, supplied);
      const entries = read.filter(({ header }) => header.index <= upTo.index).map((entry) => kept(entry, plan));
      let bytes = 0;
      for (const entry of read) bytes += entryBytes(entry);
      for (let rest = entries; rest.length > 0; ) {
        const count = ActiveSegment.frameLength(rest, { bytesMax: CHUNK_BYTES, countMax: rest.length });
        const frame = rest.slice(0, count);
        const hint = this.#log.commitHint();
        bytes += await this.#log.writing(context.scheduler.run('entries', () => made.writeFrame(frame, hint)));
        rest = rest.slice(count);
      }
      await plan.pace(bytes);
    }
    if (samePoint(made.last, upTo)) return true;
    const what = `rewritten up to ${made.last.index}, which is not where the old ones end`;
    assert(plan.supply !== undefined, what);
    throw new StorageError('OUT_OF_RANGE', what, { index: upTo.index });
  }

  /** The next entries; a damaged one as the plan supplies it. */
  async #readOn(last: LogPoint, plan: RewritePlan, supplied: EntryHeader[]): Promise<readonly LogEntry[]> {
    try {
      const read = await this.#parts.reader.read(last.index + 1, CHUNK_BYTES);
      if (supplied.at(-1)?.index === last.index) assertFollows(read[0]!, last);
      return read;
    } catch (error) {
      if (!isStorageError(error, 'CORRUPT') || error.index !== last.index + 1) throw error;
      const entry = await plan.supply?.(error.index);
      if (entry === undefined) throw error;
      assertFollows(entry, last);
      supplied.push(entry.header);
      return [entry];
    }
  }
}

/** @throws StorageError OUT_OF_RANGE when one of the two is another than the one that was here. */
function assertFollows({ header, headerBytes }: LogEntry, last: LogPoint): void {
  const disorder = whyNotAfter(last, header);
  if (disorder === undefined && isChained(headerBytes, header, last.chain)) return;
  const what = `not a repair: ${disorder ?? 'its chain does not follow'}`;
  throw new StorageError('OUT_OF_RANGE', what, { index: header.index });
}

function kept(entry: LogEntry, plan: RewritePlan): LogEntry {
  if (entry.header.kind !== 'batch') return entry;
  const payload = plan.keep(entry);
  return payload === entry.payload ? entry : compactEntry(entry, payload);
}

/** The new segment, read as recovery would: every byte sound, and the same end. */
async function assertReadsBack(context: LogContext, made: ActiveSegment, summary: SegmentSummary): Promise<void> {
  const { diskUuid, groupId } = context.own;
  const { segmentId, before, last, frames, dataEnd } = summary;
  const file = await context.disk.open(made.path, 'read');
  try {
    const { faults } = await scanSegment(
      { file, path: made.path, diskUuid, groupId, segmentId, before, end: dataEnd, proven: { last, frames } },
      (header) =>
        assert(header.index <= last.index && pointAfter(header).nextOffset <= last.nextOffset, 'in its range'),
    );
    if (faults.length === 0) return;
    const { position } = faults[0]!;
    throw new StorageError('CORRUPT', 'a rewritten segment reads back otherwise', { file: made.path, position });
  } finally {
    await file.close();
  }
}
