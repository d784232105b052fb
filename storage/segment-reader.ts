/**
 * Reads entries out of segment files: by index, offset and time. Every byte that leaves is checked (W24): header CRC,
 * payload CRC, order and, from the first entry on, the chain.
 *
 * A lookup goes to the last mark at or before what is sought and walks headers from there, at most about 64 KiB; a
 * reader that goes on where it stopped is remembered and goes straight to its place. Indexes of sealed segments are
 * read on first use and kept, the last few of them; one that is missing or damaged is rebuilt by a scan (F46).
 */
import type { File } from './disk.ts';
import { isStorageError, isUnreadable, StorageError } from './errors.ts';
import { FileWindow } from './file-window.ts';
import { readFooter, sameSummary } from './footer.ts';
import {
  decodeEntryAt,
  ENTRY_PROBE_BYTES,
  entryBytes,
  isChained,
  parseEntryHeader,
  storedBytes,
  whyNotNext,
} from './format.ts';
import { FRAME_HEADER_BYTES, FRAME_MAGIC, frameSeed, parseFrameHeader } from './frame.ts';
import { IndexTable, MARK_EVERY_BYTES, type Mark } from './index-table.ts';
import type { LogContext } from './log-context.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { type Fault, type ScanResult, scanSegment } from './segment-scan.ts';
import type { CutPlace } from './segments.ts';
import type { StoredSegment } from './stored-segment.ts';
import type { ByteCount, ChainSum, EntryHeader, LogEntry, LogIndex } from './types.ts';

/** Sparse indexes of sealed segments kept in memory a log: some 32 KiB each at full size. */
const INDEXES_MAX = 32;
/** Places where readers stopped that are remembered a log. */
const PLACES_MAX = 64;
const WALK_BYTES: ByteCount = MARK_EVERY_BYTES + ENTRY_PROBE_BYTES + FRAME_HEADER_BYTES;

/** Where a header lies. */
export interface Found {
  readonly header: EntryHeader;
  readonly position: ByteCount;
  /** Sequence of the frame that holds it. */
  readonly frame: number;
}

interface Place {
  readonly segmentId: number;
  readonly position: ByteCount;
  readonly chain: ChainSum;
}

interface Wanted {
  readonly from: LogIndex;
  readonly upTo: LogIndex;
  readonly bytesMax: ByteCount;
}

export class SegmentReader {
  readonly #context: LogContext;
  readonly #onRebuilt: (segment: StoredSegment, marks: readonly Mark[]) => void;
  /** Least recently used first. */
  readonly #indexes = new Map<number, Promise<IndexTable>>();
  /** Where reads ended: a shortcut, and no proof. What was cut there since and appended anew lies elsewhere. */
  readonly #places = new Map<LogIndex, Place>();

  constructor(context: LogContext, onRebuilt: (segment: StoredSegment, marks: readonly Mark[]) => void) {
    this.#context = context;
    this.#onRebuilt = onRebuilt;
  }

  /** Entries from `from` on, at least one, not beyond bytesMax nor behind `upTo`. CORRUPT names the first bad one. */
  async read(segment: StoredSegment, wanted: Wanted): Promise<LogEntry[]> {
    try {
      return await this.#readAt(segment, wanted, this.#places.get(wanted.from));
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'CORRUPT' || !this.#places.delete(wanted.from))
        throw error;
      return this.#readAt(segment, wanted, undefined);
    }
  }

  async #readAt(segment: StoredSegment, { from, upTo, bytesMax }: Wanted, place?: Place): Promise<LogEntry[]> {
    const isKnown = place?.segmentId === segment.segmentId;
    const mark = isKnown ? undefined : ((await this.#marks(segment)).byIndex(from) ?? startOf(segment));
    const start = mark?.position ?? place!.position;
    return this.#context.handles.use(segment.path, async (file) => {
      const slack = isKnown ? ENTRY_PROBE_BYTES + FRAME_HEADER_BYTES : WALK_BYTES;
      const walk = new Walk(segment, this.#context, file, start, bytesMax + slack);
      for (let skipped = mark?.index ?? from; skipped < from; skipped++) walk.pass((await walk.peek(skipped)).header);
      const entries: LogEntry[] = [];
      let bytes = 0;
      let chain = isKnown ? place.chain : undefined;
      for (let next = from; next <= Math.min(upTo, segment.last.index); next++) {
        if (entries.length > 0 && !walk.isAtHand()) break;
        const found = await this.#orStop(walk.peek(next), entries.length > 0);
        if (found === undefined || (entries.length > 0 && bytes + sizeOf(found) > bytesMax)) break;
        const entry = await this.#orStop(walk.take(next, entries.at(-1), chain), entries.length > 0);
        if (entry === undefined) break;
        entries.push(entry);
        bytes += entryBytes(entry);
        chain = entry.header.chain;
      }
      const last = entries.at(-1)!.header;
      this.#remember(last.index + 1, { segmentId: segment.segmentId, position: walk.position, chain: last.chain });
      return entries;
    });
  }

  /** The header of one entry. */
  async find(segment: StoredSegment, index: LogIndex): Promise<Found> {
    const mark = (await this.#marks(segment)).byIndex(index) ?? startOf(segment);
    return this.#first(segment, mark, index, (header) => header.index === index);
  }

  /** Where what stays ends, when a segment is cut in front of `index`, which is not its first entry. That one may be
   *  damaged, and is cut away for just that: then it begins where the one before it ends. */
  async placeOfCut(segment: StoredSegment, index: LogIndex): Promise<CutPlace> {
    try {
      return await this.find(segment, index);
    } catch (error) {
      if (!isStorageError(error, 'CORRUPT')) throw error;
      const { header, position, frame } = await this.find(segment, index - 1);
      return { position: position + storedBytes(header), frame };
    }
  }

  /** The first entry whose header fulfils `isFound`, from a mark at or before it on. */
  async firstWhere(
    segment: StoredSegment,
    markOf: (marks: IndexTable) => Mark | undefined,
    isFound: (header: EntryHeader) => boolean,
  ): Promise<Found> {
    const mark = markOf(await this.#marks(segment)) ?? startOf(segment);
    return this.#first(segment, mark, mark.index, isFound);
  }

  /** Judges a whole segment, all of which is proven. */
  async scan(segment: StoredSegment, onEntry: (found: Found) => void = () => undefined): Promise<ScanResult> {
    return this.#context.handles.use(segment.path, (file) =>
      scanSegment(
        {
          file,
          path: segment.path,
          diskUuid: this.#context.own.diskUuid,
          groupId: this.#context.own.groupId,
          segmentId: segment.segmentId,
          before: segment.before,
          end: segment.dataEnd,
          proven: { last: segment.last, frames: segment.frames },
        },
        (header, position, frame) => onEntry({ header, position, frame }),
      ),
    );
  }

  /** Notes where the log goes on behind damaged regions, so that what follows them can be reached. True for news. */
  async addResumePoints(segment: StoredSegment, faults: readonly Fault[]): Promise<boolean> {
    const marks = await this.#marks(segment);
    let isNews = false;
    for (const { after, end } of faults) {
      if (end >= segment.dataEnd) continue;
      const { index, nextOffset, appendTimeMs } = after;
      const mark = { index: index + 1, baseOffset: nextOffset, appendTimeMs, position: end, frame: 0 };
      if (marks.insert(mark)) isNews = true;
    }
    return isNews;
  }

  async #first(
    segment: StoredSegment,
    mark: Mark,
    sought: LogIndex,
    isFound: (header: EntryHeader) => boolean,
  ): Promise<Found> {
    return this.#context.handles.use(segment.path, async (file) => {
      const walk = new Walk(segment, this.#context, file, mark.position, WALK_BYTES, mark.frame);
      for (let index = mark.index; index <= segment.last.index; index++) {
        const found = await walk.peek(index);
        if (isFound(found.header)) return found;
        walk.pass(found.header);
      }
      throw corrupt('an entry is not where the index leads', segment, walk.position, sought);
    });
  }

  /** Behind the first entry of an answer a fault ends the answer; the next read begins at it and reports it. */
  async #orStop<T>(step: Promise<T>, mayStop: boolean): Promise<T | undefined> {
    if (!mayStop) return step;
    try {
      return await step;
    } catch (error) {
      if (error instanceof StorageError && error.code === 'CORRUPT') return undefined;
      throw error;
    }
  }

  async #marks(segment: StoredSegment): Promise<IndexTable> {
    if (segment.marks !== undefined) return segment.marks;
    const known = this.#indexes.get(segment.segmentId);
    this.#indexes.delete(segment.segmentId);
    const loading = known ?? this.#loadMarks(segment);
    this.#indexes.set(segment.segmentId, loading);
    if (this.#indexes.size > INDEXES_MAX) this.#indexes.delete(this.#indexes.keys().next().value!);
    try {
      return await loading;
    } catch (error) {
      this.#indexes.delete(segment.segmentId);
      throw error;
    }
  }

  async #loadMarks(segment: StoredSegment): Promise<IndexTable> {
    const stored = await this.#context.handles.use(segment.path, (file) => readIndex(segment, file));
    if (stored.marks !== undefined && stored.marks.length > 0) return new IndexTable(stored.marks);
    const rebuilt = new IndexTable();
    const scan = await this.scan(segment, ({ header, position, frame }) => rebuilt.add(header, position, frame));
    // Marks around damage are too far apart to be kept; they serve until it is repaired.
    if (scan.faults.length === 0 && !stored.isUnreadable) this.#onRebuilt(segment, rebuilt.marks);
    return rebuilt;
  }

  #remember(index: LogIndex, place: Place): void {
    this.#places.delete(index);
    this.#places.set(index, place);
    if (this.#places.size > PLACES_MAX) this.#places.delete(this.#places.keys().next().value!);
  }
}

/** The marks in a sealed segment's footer; undefined when they are missing, damaged or of another state of the segment.
 *  Where the medium does not give them back they are not written anew in their place either: less than a page cannot be
 *  written without reading the page. */
async function readIndex(
  segment: StoredSegment,
  file: File,
): Promise<{ readonly marks: readonly Mark[] | undefined; readonly isUnreadable: boolean }> {
  try {
    const { summary, marks } = await readFooter(file, segment.dataEnd, segment.path);
    const isOwn = summary !== undefined && sameSummary(summary, segment);
    return { marks: isOwn ? marks : undefined, isUnreadable: false };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { marks: undefined, isUnreadable: true };
  }
}

/** Where a segment's first entry is looked for when no mark leads to it: the marks were made while it was damaged. */
function startOf({ before }: StoredSegment): Mark {
  const { index, nextOffset, appendTimeMs } = before;
  return { index: index + 1, baseOffset: nextOffset, appendTimeMs, position: SEGMENT_HEADER_BYTES, frame: 0 };
}

function sizeOf(found: Found): ByteCount {
  return storedBytes(found.header);
}

function corrupt(what: string, segment: StoredSegment, position: ByteCount, index: LogIndex): StorageError {
  return new StorageError('CORRUPT', what, { file: segment.path, position, index });
}

/** Goes forward through a segment from one entry to the next, over frame headers. */
class Walk {
  readonly #segment: StoredSegment;
  readonly #window: FileWindow;
  readonly #seed: number;
  readonly #groupId: number;
  /** Start of the next entry, or of a frame header in front of it. */
  position: ByteCount;
  #frame: number;

  constructor(
    segment: StoredSegment,
    context: LogContext,
    file: File,
    position: ByteCount,
    windowBytes: ByteCount,
    frame = 0,
  ) {
    this.#segment = segment;
    this.#window = new FileWindow(file, segment.dataEnd, { windowBytes, isProven: true });
    this.#seed = frameSeed(context.own.diskUuid, segment.segmentId);
    this.#groupId = context.own.groupId;
    this.position = position;
    this.#frame = frame;
  }

  /** Whether the next header can be looked at without a read. */
  isAtHand(): boolean {
    return this.#window.has(this.position, ENTRY_PROBE_BYTES + FRAME_HEADER_BYTES);
  }

  /** The header of the next entry, which must be `index`; stays in front of it. */
  async peek(index: LogIndex): Promise<Found> {
    const window = this.#window;
    for (;;) {
      if (!window.has(this.position, ENTRY_PROBE_BYTES)) await window.load(this.position, ENTRY_PROBE_BYTES);
      const at = window.at(this.position);
      if (at + 8 > window.bytes.length || window.view.getUint32(at + 4, true) !== FRAME_MAGIC) break;
      const { segmentId } = this.#segment;
      const expect = { seed: this.#seed, segmentId, position: this.position };
      const frame = parseFrameHeader(window.bytes, window.view, at, expect);
      if (frame === undefined) throw this.#fault('the header of a frame fails its check', index);
      this.#frame = frame.sequence;
      this.position += FRAME_HEADER_BYTES;
    }
    const header = parseEntryHeader(window.bytes, window.view, window.at(this.position), window.bytes.length);
    if (header === 'unsupported') {
      const { path } = this.#segment;
      throw new StorageError('UNSUPPORTED', 'an entry of an unknown version, kind or flag', { file: path, index });
    }
    if (typeof header === 'string') throw this.#fault('the header of an entry fails its check', index);
    if (header.index !== index || header.groupId !== this.#groupId) throw this.#fault('another entry lies here', index);
    return { header, position: this.position, frame: this.#frame };
  }

  pass(header: EntryHeader): void {
    this.position += storedBytes(header);
  }

  /** The next entry, whole and checked against the one before it. */
  async take(index: LogIndex, previous: LogEntry | undefined, chain: ChainSum | undefined): Promise<LogEntry> {
    const { header } = await this.peek(index);
    const size = storedBytes(header);
    const window = this.#window;
    if (!window.has(this.position, size)) await window.load(this.position, size);
    const entry = decodeEntryAt(window.bytes, window.view, window.at(this.position), window.bytes.length);
    if (typeof entry === 'string') throw this.#fault('the payload of an entry fails its checksum', index);
    const disorder = previous === undefined ? undefined : whyNotNext(previous.header, entry.header);
    if (disorder !== undefined) throw this.#fault(disorder, index);
    if (chain !== undefined && !isChained(entry.headerBytes, entry.header, chain)) {
      throw this.#fault('the chain breaks', index);
    }
    this.pass(header);
    return entry;
  }

  #fault(what: string, index: LogIndex): StorageError {
    return corrupt(what, this.#segment, this.position, index);
  }
}
