/**
 * The segment being written: frames go behind each other, one at a time, each a single durable write. It knows only
 * what is on the disk; what was accepted and not yet flushed is group-commit.ts's.
 *
 * Invariants: `dataEnd` and `last` move only when a flush returned; nothing before `dataEnd` is ever rewritten (repair
 * apart); at most one frame is in flight (N4), and zeros beside it only behind it (file-room.ts).
 */
import assert from 'node:assert/strict';
import { CHUNKS_MAX, type File, totalBytes } from './disk.ts';
import { FileRoom } from './file-room.ts';
import { encodeFooter, type SegmentSummary } from './footer.ts';
import { entryBytes } from './format.ts';
import { encodeFrameHeader, FRAME_HEADER_BYTES, frameSeed } from './frame.ts';
import { IndexTable } from './index-table.ts';
import { type LogPoint, pointAfter } from './log-point.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { TermRuns } from './term-runs.ts';
import type { ByteCount, EntryHeader, LogEntry, LogIndex } from './types.ts';

/** Entries up to this size are copied together; larger payloads are written from where they lie. */
const COPIED_ENTRY_BYTES_MAX: ByteCount = 4096;
/** Frame header, and one staging chunk between two large entries of two chunks each. */
const CHUNKS_PER_LARGE_ENTRY = 3;

export interface ActiveStart {
  readonly path: string;
  readonly file: File;
  readonly diskUuid: string;
  readonly segmentId: number;
  readonly before: LogPoint;
  readonly last: LogPoint;
  readonly dataEnd: ByteCount;
  readonly frames: number;
  readonly isProven: boolean;
  /** The highest commit hint on disk. */
  readonly commitHint: LogIndex;
  /** Current size of the file. */
  readonly fileBytes: ByteCount;
  readonly marks: IndexTable;
  readonly termRuns: TermRuns;
}

export class ActiveSegment {
  readonly path: string;
  readonly file: File;
  readonly segmentId: number;
  readonly before: LogPoint;
  readonly marks: IndexTable;
  readonly #termRuns: TermRuns;
  readonly #diskUuid: string;
  readonly #seed: number;
  #last: LogPoint;
  #dataEnd: ByteCount;
  #frames: number;
  #isProven: boolean;
  #commitHint: LogIndex;
  readonly #room: FileRoom;

  constructor(start: ActiveStart) {
    this.path = start.path;
    this.file = start.file;
    this.segmentId = start.segmentId;
    this.before = start.before;
    this.marks = start.marks;
    this.#termRuns = start.termRuns;
    this.#diskUuid = start.diskUuid;
    this.#seed = frameSeed(start.diskUuid, start.segmentId);
    this.#last = start.last;
    this.#dataEnd = start.dataEnd;
    this.#frames = start.frames;
    this.#isProven = start.isProven;
    this.#commitHint = start.commitHint;
    this.#room = new FileRoom(start.file, start.fileBytes);
  }

  /** A segment that was just created, its header durable. */
  static fresh(at: Pick<ActiveStart, 'path' | 'file' | 'diskUuid' | 'segmentId' | 'before'>): ActiveSegment {
    return new ActiveSegment({
      ...at,
      last: at.before,
      dataEnd: SEGMENT_HEADER_BYTES,
      frames: 0,
      isProven: true,
      commitHint: 0,
      fileBytes: SEGMENT_HEADER_BYTES,
      marks: new IndexTable(),
      termRuns: new TermRuns(at.before),
    });
  }

  get last(): LogPoint {
    return this.#last;
  }

  get dataEnd(): ByteCount {
    return this.#dataEnd;
  }

  get frames(): number {
    return this.#frames;
  }

  get isEmpty(): boolean {
    return this.#last.index === this.before.index;
  }

  /** Whether no entry waits for a later frame to prove it. */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** The highest commit hint in a frame of this segment. */
  get commitHint(): LogIndex {
    return this.#commitHint;
  }

  get fileBytes(): ByteCount {
    return this.#room.bytes;
  }

  /**
   * Writes one frame with `entries` (none: a proving frame); durable when it resolves. On an error nothing is believed
   * of what lies behind dataEnd.
   */
  async writeFrame(entries: readonly LogEntry[], commitHint: LogIndex): Promise<ByteCount> {
    const chunks = chunksOf(entries);
    const bodyBytes = totalBytes(chunks);
    const position = this.#dataEnd;
    // A leader may know of commits beyond its own disk; a hint about entries that are not here proves nothing.
    const hint = Math.min(commitHint, entries.at(-1)?.header.index ?? this.#last.index);
    const frame = encodeFrameHeader(
      {
        segmentId: this.segmentId,
        sequence: this.#frames + 1,
        position,
        // One write in flight: everything before this frame was flushed (W8).
        provenPosition: position,
        commitHint: hint,
        bodyBytes,
        entryCount: entries.length,
        before: this.#last,
      },
      this.#seed,
    );
    const end = position + FRAME_HEADER_BYTES + bodyBytes;
    await this.#room.reach(end);
    await this.file.writeDurable(position, [frame, ...chunks]);
    this.#noteFlushed(entries, position + FRAME_HEADER_BYTES);
    this.#dataEnd = end;
    this.#frames++;
    this.#isProven = entries.length === 0;
    this.#commitHint = Math.max(this.#commitHint, hint);
    return end - position;
  }

  /** How many of `entries` the next frame takes: at least one, then as the limits and one vectored write allow. */
  static frameLength(
    entries: readonly LogEntry[],
    limits: { readonly bytesMax: ByteCount; readonly countMax: number },
  ): number {
    let bytes = 0;
    let chunks = 2;
    const countMax = Math.min(entries.length, limits.countMax);
    for (let count = 0; count < countMax; count++) {
      const size = entryBytes(entries[count]!);
      if (size > COPIED_ENTRY_BYTES_MAX) chunks += CHUNKS_PER_LARGE_ENTRY;
      if (count > 0 && (bytes + size > limits.bytesMax || chunks > CHUNKS_MAX)) return count;
      bytes += size;
    }
    return countMax;
  }

  /** What the segment would be if it were sealed now. */
  summary(): SegmentSummary {
    const { segmentId, before } = this;
    const termRuns = this.#termRuns.runs();
    return { segmentId, before, last: this.#last, dataEnd: this.#dataEnd, frames: this.#frames, termRuns };
  }

  /**
   * Writes the footer and cuts the file to its size; durable when it resolves. The manifest decides whether it counts.
   */
  async seal(): Promise<ByteCount> {
    await this.#room.settled();
    const footer = encodeFooter(this.summary(), this.marks.marks, this.#diskUuid);
    await this.file.write(this.#dataEnd, footer);
    const end = this.#dataEnd + totalBytes(footer);
    await this.file.setBytes(end);
    await this.file.flush();
    return end;
  }

  /** After a write that failed for want of space: the file ends at what is flushed, durably, before anything else. */
  async cutToFlushed(): Promise<void> {
    await this.cutUnused();
    await this.file.flush();
  }

  /** Cuts the file to what it holds, at a clean end, so that the next start need not search its end. Not durable. */
  async cutUnused(): Promise<void> {
    await this.#room.settled();
    await this.file.setBytes(this.#dataEnd);
    this.#room.cutTo(this.#dataEnd);
  }

  /** Makes room for what comes behind a frame of `frameBytes`, up to `endMax` (file-room.ts); not waited for. */
  fillAhead(
    at: { readonly frameBytes: ByteCount; readonly endMax: ByteCount },
    run: (fill: () => Promise<void>) => Promise<void>,
  ): void {
    this.#room.fillAhead({ ...at, dataEnd: this.#dataEnd }, run);
  }

  async close(): Promise<void> {
    await this.#room.settled();
    await this.file.close();
  }

  /** A damaged entry is back in its place: its term was a guess until now, and would go into the footer as one. */
  repaired({ term, index }: EntryHeader): void {
    this.#termRuns.correct(term, index);
  }

  #noteFlushed(entries: readonly LogEntry[], bodyPosition: ByteCount): void {
    let position = bodyPosition;
    for (const entry of entries) {
      const { header } = entry;
      if (header.index !== this.#last.index + 1) assert.fail(`flushed ${header.index} behind ${this.#last.index}`);
      this.marks.add(header, position, this.#frames + 1);
      this.#termRuns.add(header.term, header.index);
      this.#last = pointAfter(header);
      position += entryBytes(entry);
    }
  }
}

/** The entries as few chunks: small ones copied together, large payloads as they are (no concatenation of payloads). */
function chunksOf(entries: readonly LogEntry[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let copied = 0;
  for (const entry of entries) if (entryBytes(entry) <= COPIED_ENTRY_BYTES_MAX) copied += entryBytes(entry);
  // Every byte of it is written below: nothing old can leak (N8).
  const staging = Buffer.allocUnsafeSlow(copied);
  let start = 0;
  let at = 0;
  for (const entry of entries) {
    if (entryBytes(entry) <= COPIED_ENTRY_BYTES_MAX) {
      staging.set(entry.headerBytes, at);
      staging.set(entry.payload, at + entry.headerBytes.length);
      at += entryBytes(entry);
      continue;
    }
    if (at > start) chunks.push(staging.subarray(start, at));
    start = at;
    chunks.push(entry.headerBytes, entry.payload);
  }
  if (at > start) chunks.push(staging.subarray(start, at));
  return chunks;
}
