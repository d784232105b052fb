/**
 * Reads of a log by index, offset and time: from memory what is accepted and not flushed, from the segments the rest.
 *
 * A read crosses awaits, and the log may be cut, trimmed or replaced meanwhile; then its result is dropped and it
 * starts over, so that an answer always is of one state of the log. A fault makes the whole segment be judged once:
 * what it finds goes on the damage list, and later reads of those entries are refused without touching the disk.
 */
import assert from 'node:assert/strict';
import type { DamageList } from './damage.ts';
import { isStorageError, StorageError } from './errors.ts';
import { entryBytes } from './format.ts';
import type { GroupCommit } from './group-commit.ts';
import type { IndexTable, Mark } from './index-table.ts';
import type { LogPoint } from './log-point.ts';
import type { LogEvent } from './options.ts';
import type { SegmentReader } from './segment-reader.ts';
import type { Fault } from './segment-scan.ts';
import type { Segments } from './segments.ts';
import type { StoredSegment } from './stored-segment.ts';
import type { ByteCount, ChainSum, EntryHeader, LogEntry, LogIndex, Ms, Offset } from './types.ts';

export interface ReaderParts {
  readonly segments: Segments;
  readonly commit: GroupCommit;
  readonly files: SegmentReader;
  readonly damage: DamageList;
}

export interface ReaderState {
  base(): LogPoint;
  last(): LogPoint;
  assertOpen(): void;
  observe(event: LogEvent): void;
  /** Writes a frame header anew when nothing else of a region is damaged; false when more is, or it cannot be now. */
  mendFrames(segment: StoredSegment, fault: Fault): Promise<boolean>;
}

/** The log changed while a segment was read. */
const CHANGED = Symbol('changed');

export class LogReader {
  readonly #parts: ReaderParts;
  readonly #state: ReaderState;
  /** Counts changes of the layout: cuts, trims, installs, repairs. */
  #generation = 0;

  constructor(parts: ReaderParts, state: ReaderState) {
    this.#parts = parts;
    this.#state = state;
  }

  layoutChanged(): void {
    this.#generation++;
  }

  /** Entries from `from` on: whole ones, at least one, stopping before bytesMax is exceeded. */
  async read(from: LogIndex, bytesMax: ByteCount): Promise<LogEntry[]> {
    for (;;) {
      this.#assertReadable(from);
      // A segment may hold more than that: entries that are cut logically and not yet on disk.
      const upTo = this.#parts.commit.flushed.index;
      if (from > upTo) return this.#fromMemory(from, bytesMax);
      const segment = this.#parts.segments.holding(from);
      const read = () => this.#parts.files.read(segment, { from, upTo, bytesMax });
      const entries = await this.#attempt(segment, from, read);
      if (entries !== CHANGED) return entries;
    }
  }

  /** Index of the entry that holds `offset`, in [first offset, next offset). */
  async indexOfOffset(offset: Offset): Promise<LogIndex> {
    for (;;) {
      this.#state.assertOpen();
      const { nextOffset } = this.#state.last();
      if (offset < this.#state.base().nextOffset) throw new StorageError('TRIMMED', `offset ${offset} is trimmed`);
      if (!(offset < nextOffset))
        throw new StorageError('OUT_OF_RANGE', `offset ${offset}, the log ends at ${nextOffset}`);
      const holds = (header: EntryHeader): boolean => header.baseOffset + header.recordCount > offset;
      const segment = this.#flushedSegments().find((one) => one.last.nextOffset > offset);
      const found = await this.#seek(segment, (marks) => marks.byOffset(offset), holds);
      if (found === undefined) assert.fail(`no entry holds offset ${offset}, below ${nextOffset}`);
      if (found !== CHANGED) return found.index;
    }
  }

  /** First offset whose entry's append time is at or after `timestampMs`; the next offset when there is none. */
  async offsetOfTime(timestampMs: Ms): Promise<Offset> {
    for (;;) {
      this.#state.assertOpen();
      const isLate = (header: EntryHeader): boolean => header.appendTimeMs >= timestampMs;
      const segment = this.#flushedSegments().find(
        (one) => one.last.index > one.before.index && one.last.appendTimeMs >= timestampMs,
      );
      const found = await this.#seek(segment, (marks) => marks.byTime(timestampMs), isLate);
      if (found === undefined) return this.#state.last().nextOffset;
      if (found !== CHANGED) return found.baseOffset;
    }
  }

  /** The chain just after the entry at `index`, in [base, last]. */
  async chainAt(index: LogIndex): Promise<ChainSum> {
    for (;;) {
      this.#state.assertOpen();
      if (index < this.#state.base().index) throw new StorageError('TRIMMED', 'below the first entry', { index });
      if (index > this.#state.last().index) throw new StorageError('OUT_OF_RANGE', 'above the last entry', { index });
      if (index === this.#state.base().index) return this.#state.base().chain;
      const { flushed, waiting } = this.#parts.commit;
      if (index > flushed.index) return waiting[index - flushed.index - 1]!.header.chain;
      const segment = this.#parts.segments.holding(index);
      if (segment.last.index === index) return segment.last.chain;
      const found = await this.#attempt(segment, index, () => this.#parts.files.find(segment, index));
      if (found !== CHANGED) return found.header.chain;
    }
  }

  #assertReadable(from: LogIndex): void {
    this.#state.assertOpen();
    const firstIndex = this.#state.base().index + 1;
    if (from < firstIndex) {
      throw new StorageError('TRIMMED', `the first entry is ${firstIndex}`, { index: from });
    }
    if (!(from <= this.#state.last().index)) {
      throw new StorageError('OUT_OF_RANGE', `the last entry is ${this.#state.last().index}`, { index: from });
    }
    this.#assertSound(from);
  }

  #assertSound(index: LogIndex): void {
    const found = this.#parts.damage.covering(index);
    if (found === undefined) return;
    throw new StorageError('CORRUPT', 'this entry is damaged and not repaired yet', {
      file: found.path,
      position: found.fault.position,
      index,
    });
  }

  #fromMemory(from: LogIndex, bytesMax: ByteCount): LogEntry[] {
    const { waiting, flushed } = this.#parts.commit;
    const start = from - flushed.index - 1;
    let end = start;
    let bytes = 0;
    while (end < waiting.length && (end === start || bytes + entryBytes(waiting[end]!) <= bytesMax)) {
      bytes += entryBytes(waiting[end++]!);
    }
    return waiting.slice(start, end);
  }

  /** Segments that hold flushed entries; the last of them may hold more, which is about to be cut. */
  #flushedSegments(): StoredSegment[] {
    const { flushed } = this.#parts.commit;
    return this.#parts.segments.all().filter((segment) => segment.before.index < flushed.index);
  }

  /** The first entry that fulfils a condition, in `segment` as far as it is flushed, else among what waits. */
  async #seek(
    segment: StoredSegment | undefined,
    markOf: (marks: IndexTable) => Mark | undefined,
    isFound: (header: EntryHeader) => boolean,
  ): Promise<EntryHeader | undefined | typeof CHANGED> {
    const { files, commit } = this.#parts;
    if (segment !== undefined) {
      const first = segment.before.index + 1;
      const found = await this.#attempt(segment, first, () => files.firstWhere(segment, markOf, isFound));
      if (found === CHANGED || found.header.index <= commit.flushed.index)
        return found === CHANGED ? CHANGED : found.header;
    }
    return commit.waiting.find((entry) => isFound(entry.header))?.header;
  }

  /**
   * Runs one read; CHANGED when the log changed under it. A CORRUPT one has the segment judged before it is reported.
   */
  async #attempt<T>(segment: StoredSegment, index: LogIndex, read: () => Promise<T>): Promise<T | typeof CHANGED> {
    const generation = this.#generation;
    try {
      const result = await read();
      return generation === this.#generation ? result : CHANGED;
    } catch (error) {
      if (generation !== this.#generation) return CHANGED;
      if (!isStorageError(error, 'CORRUPT')) throw error;
      const isNews = await this.#judge(segment, generation);
      if (generation !== this.#generation) return CHANGED;
      this.#assertSound(error.index ?? index);
      // The fault lies elsewhere in the segment, and now there is a way around it: try once more.
      if (isNews) return CHANGED;
      throw error;
    }
  }

  /** Judges a segment that somebody found damaged: what is so goes on the list, or is mended. */
  async judge(segment: StoredSegment): Promise<void> {
    const generation = this.#generation;
    await this.#judge(segment, generation);
    // The log changed meanwhile, perhaps elsewhere; the next look at this segment finds what is still there.
  }

  /** Judges a segment whole; true when there is something new: damage, a way around it, or bytes that were mended. */
  async #judge(segment: StoredSegment, generation: number): Promise<boolean> {
    const { damage, files } = this.#parts;
    const { faults } = await files.scan(segment);
    const left: Fault[] = [];
    for (const fault of faults) if (!(await this.#state.mendFrames(segment, fault))) left.push(fault);
    if (generation !== this.#generation) return false;
    const known = new Set(damage.all.map((found) => `${found.segmentId}/${found.fault.position}`));
    const news = left.filter((fault) => !known.has(`${segment.segmentId}/${fault.position}`));
    damage.note(segment, left);
    for (const { position, before } of news) {
      this.#state.observe({ kind: 'damage', file: segment.path, position, index: before.index + 1 });
    }
    const hasWayAround = await files.addResumePoints(segment, left);
    return hasWayAround || news.length > 0 || left.length < faults.length;
  }
}
