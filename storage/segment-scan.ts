/**
 * Reads a whole segment and judges every byte of it: what is sound, what is a torn end, what is damage (design
 * decision 7). Writes nothing. Recovery uses it on the active segment, a read that failed on any, `wal verify` on all.
 *
 * The rule (W8, W9): bytes that fail are a torn end only in the active segment and only when no sound frame follows
 * them, found by a byte-wise search, since the damaged field may be a length. A sound frame with a higher sequence
 * was written after the flush of everything before it, so what fails in front of it was once good: damage. In a
 * sealed segment everything up to the data end of the manifest is proven.
 *
 * A torn frame is dropped whole, however many of its entries are sound (W7): nobody was told of them.
 */
import type { File } from './disk.ts';
import { StorageError } from './errors.ts';
import { FileWindow, WINDOW_BYTES } from './file-window.ts';
import { ENTRY_PROBE_BYTES, isChained, isPayloadSound, parseEntryHeader, payloadStart, storedBytes } from './format.ts';
import { FRAME_HEADER_BYTES, FRAME_MAGIC, type FrameHeader, frameSeed, parseFrameHeader } from './frame.ts';
import { type LogPoint, pointAfter, samePoint, whyNotAfter } from './log-point.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import type { ByteCount, EntryHeader, GroupId, LogIndex } from './types.ts';

export interface ScanTarget {
  readonly file: Pick<File, 'read'>;
  readonly path: string;
  readonly diskUuid: string;
  readonly groupId: GroupId;
  readonly segmentId: number;
  readonly before: LogPoint;
  /** Exclusive end of what is judged: data end of a sealed segment, file size of the active one. */
  readonly end: ByteCount;
  /** Where a segment whose whole content is proven must end; undefined: its end is to be found. */
  readonly proven: { readonly last: LogPoint; readonly frames: number } | undefined;
  /** Bytes of one read; absent: a window's usual size. */
  readonly windowBytes?: ByteCount;
}

/** Frame headers that are lost in a damaged region; they can be written anew once the region is known. */
export interface MissingFrames {
  /** Where the first of them began. */
  readonly position: ByteCount;
  readonly firstSequence: number;
  readonly count: number;
}

/** A region of proven bytes that does not check. */
export interface Fault {
  readonly position: ByteCount;
  /** Exclusive. */
  readonly end: ByteCount;
  /** The log before the first and after the last entry of the region. */
  readonly before: LogPoint;
  readonly after: LogPoint;
  readonly missing: MissingFrames | undefined;
}

export interface ScanResult {
  /** The log after the last sound frame. */
  readonly last: LogPoint;
  /** Exclusive end of the last sound frame; a torn end begins here. */
  readonly dataEnd: ByteCount;
  /** Sequence of the last sound frame; 0 when there is none. */
  readonly frames: number;
  /** The highest commit hint of the sound frames. */
  readonly commitHint: LogIndex;
  /** Whether the last sound frame is an empty one, which proves everything before it. */
  readonly isProven: boolean;
  readonly faults: readonly Fault[];
  /** Bytes from dataEnd to the last one that is not zero: what a cut would remove. 0 for a grown, unwritten end. */
  readonly tornBytes: ByteCount;
}

export interface ScannedEntry {
  readonly header: EntryHeader;
  readonly position: ByteCount;
}

/** A sound frame and those of its entries that are sound. */
export interface ScannedFrame {
  readonly frame: FrameHeader;
  readonly entries: readonly ScannedEntry[];
}

/** Called for every sound entry; `frame` is the sequence of its frame. */
export type EntryVisitor = (header: EntryHeader, position: ByteCount, frame: number) => void;

export async function scanSegment(target: ScanTarget, onEntry: EntryVisitor): Promise<ScanResult> {
  const frames = scanFrames(target);
  for (let next = await frames.next(); ; next = await frames.next()) {
    if (next.done) return next.value;
    const { frame, entries } = next.value;
    for (const { header, position } of entries) onEntry(header, position, frame.sequence);
  }
}

/** The sound frames one after the other; what was judged of the rest is the generator's result. */
export function scanFrames(target: ScanTarget): AsyncGenerator<ScannedFrame, ScanResult, undefined> {
  return new Scan(target).frames();
}

interface BodyFault {
  readonly position: ByteCount;
  readonly end: ByteCount;
  readonly before: LogPoint;
  /** Known when only the payload is bad. */
  readonly after: LogPoint | undefined;
}

class Scan {
  readonly #target: ScanTarget;
  readonly #window: FileWindow;
  readonly #seed: number;
  readonly #faults: Fault[] = [];
  /** Where the next frame is expected, and the log before it. */
  #position: ByteCount = SEGMENT_HEADER_BYTES;
  #point: LogPoint;
  #sequence = 0;
  #commitHint: LogIndex = 0;
  #isProven = false;
  /** The frame that was just found sound, to be handed out. */
  #scanned: ScannedFrame | undefined;

  constructor(target: ScanTarget) {
    this.#target = target;
    const { file, end, windowBytes = WINDOW_BYTES, proven } = target;
    this.#window = new FileWindow(file, end, { windowBytes, isProven: proven !== undefined });
    this.#seed = frameSeed(target.diskUuid, target.segmentId);
    this.#point = target.before;
  }

  async *frames(): AsyncGenerator<ScannedFrame, ScanResult, undefined> {
    const { proven, end } = this.#target;
    while (proven === undefined || this.#position < end) {
      const frame = await this.#frameAt(this.#position);
      const isNext = frame?.sequence === this.#sequence + 1 && samePoint(frame.before, this.#point);
      const isGood = isNext ? await this.#body(frame) : await this.#lostFrames();
      if (!isGood) break;
      if (this.#scanned !== undefined) yield this.#scanned;
      this.#scanned = undefined;
    }
    const tornBytes = proven === undefined ? await this.#tornBytes() : 0;
    return {
      last: this.#point,
      dataEnd: this.#position,
      frames: this.#sequence,
      commitHint: this.#commitHint,
      isProven: this.#isProven,
      faults: this.#faults,
      tornBytes,
    };
  }

  async #frameAt(position: ByteCount): Promise<FrameHeader | undefined> {
    await this.#window.load(position, FRAME_HEADER_BYTES);
    const { bytes, view } = this.#window;
    const { segmentId } = this.#target;
    return parseFrameHeader(bytes, view, this.#window.at(position), { seed: this.#seed, segmentId, position });
  }

  /** No frame where one must be. Goes on at the next sound one; false when nothing proves that there was any. */
  async #lostFrames(): Promise<boolean> {
    const next = await this.#findFrame(this.#position + 1);
    const { proven, end } = this.#target;
    if (next === undefined && proven === undefined) return false;
    const sequence = next === undefined ? proven!.frames : next.sequence - 1;
    const after = next === undefined ? proven!.last : next.before;
    this.#faults.push({
      position: this.#position,
      end: next?.position ?? end,
      before: this.#point,
      after,
      missing: {
        position: this.#position,
        firstSequence: this.#sequence + 1,
        count: sequence - this.#sequence,
      },
    });
    this.#goOn(next?.position ?? end, after, sequence);
    return true;
  }

  /** The entries of a sound frame; false when they are a torn end. */
  async #body(frame: FrameHeader): Promise<boolean> {
    const { proven, end } = this.#target;
    const bodyStart = frame.position + FRAME_HEADER_BYTES;
    const frameEnd = bodyStart + frame.bodyBytes;
    // A cut (truncateSuffix) ends a segment within a frame; nowhere else may a body pass the end.
    const bodyEnd = proven === undefined ? frameEnd : Math.min(frameEnd, end);
    const visits: ScannedEntry[] = [];
    const faults: BodyFault[] = [];
    let point = frame.before;
    let position = bodyStart;
    while (position < bodyEnd) {
      const step = await this.#entryAt(position, bodyEnd, point);
      if (step.fault !== undefined) faults.push(step.fault);
      if (step.header !== undefined) visits.push({ header: step.header, position });
      position = step.next;
      point = step.point;
    }
    const isWhole = frameEnd > bodyEnd || point.index === frame.before.index + frame.entryCount;
    // Sound entries that do not add up to the frame's count: none of them is to be believed.
    if (!isWhole && faults.length === 0) {
      faults.push({ position: bodyStart, end: bodyEnd, before: frame.before, after: undefined });
    }
    const last = faults.at(-1);
    if (last === undefined) {
      this.#accept(frame, visits);
      this.#goOn(bodyEnd, point, frame.sequence);
      return true;
    }
    const next = bodyEnd < end ? await this.#findFrame(bodyEnd, frame.sequence) : undefined;
    if (next === undefined && proven === undefined) return false;
    this.#accept(frame, visits);
    for (const { after, ...fault } of faults) {
      if (after !== undefined) this.#faults.push({ ...fault, after, missing: undefined });
    }
    if (last.after !== undefined) this.#goOn(bodyEnd, point, frame.sequence);
    else this.#skipTo(next, { frame, bodyEnd, from: last });
    return true;
  }

  /** A fault that hides where the entries behind it begin reaches to the next evidence, lost frames included. */
  #skipTo(
    next: FrameHeader | undefined,
    lost: { readonly frame: FrameHeader; readonly bodyEnd: ByteCount; readonly from: BodyFault },
  ): void {
    const { proven, end } = this.#target;
    const { frame, bodyEnd, from } = lost;
    const sequence = next === undefined ? proven!.frames : next.sequence - 1;
    const after = next === undefined ? proven!.last : next.before;
    const regionEnd = next?.position ?? end;
    const count = sequence - frame.sequence;
    const missing = count === 0 ? undefined : { position: bodyEnd, firstSequence: frame.sequence + 1, count };
    this.#faults.push({ position: from.position, end: regionEnd, before: from.before, after, missing });
    this.#goOn(regionEnd, after, sequence);
  }

  async #entryAt(
    position: ByteCount,
    bodyEnd: ByteCount,
    point: LogPoint,
  ): Promise<{ next: ByteCount; point: LogPoint; header?: EntryHeader; fault?: BodyFault }> {
    const window = this.#window;
    if (!window.has(position, ENTRY_PROBE_BYTES)) await window.load(position, ENTRY_PROBE_BYTES);
    const probeEnd = Math.min(window.at(bodyEnd), window.bytes.length);
    const header = parseEntryHeader(window.bytes, window.view, window.at(position), probeEnd);
    if (header === 'unsupported') {
      const details = { file: this.#target.path, position, index: point.index + 1 };
      throw new StorageError('UNSUPPORTED', 'an entry of an unknown version, kind or flag', details);
    }
    const lost = { next: bodyEnd, point, fault: { position, end: bodyEnd, before: point, after: undefined } };
    if (typeof header === 'string') return lost;
    const at = window.at(position);
    const headerBytes = window.bytes.subarray(at, at + payloadStart(header));
    const isNext = whyNotAfter(point, header) === undefined && isChained(headerBytes, header, point.chain);
    const next = position + storedBytes(header);
    if (!isNext || header.groupId !== this.#target.groupId || next > bodyEnd) return lost;
    const after = pointAfter(header);
    if (!window.has(position, next - position)) await window.load(position, next - position);
    const payload = window.bytes.subarray(window.at(position) + payloadStart(header), window.at(next));
    if (isPayloadSound(header, payload)) return { next, point: after, header };
    return { next, point: after, fault: { position, end: next, before: point, after } };
  }

  /**
   * The first sound frame behind `from` that continues the sequence and says that all up to `from` was flushed (W9).
   */
  async #findFrame(from: ByteCount, sequence: number = this.#sequence): Promise<FrameHeader | undefined> {
    const magic = new Uint8Array(4);
    new DataView(magic.buffer).setUint32(0, FRAME_MAGIC, true);
    const window = this.#window;
    let position = from + 4;
    while (position < window.end) {
      await window.load(position, Math.min(4, window.end - position));
      const { bytes } = window;
      const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(magic, window.at(position));
      if (found < 0) {
        // The magic may straddle two reads: step back by less than its length.
        const loadedEnd = position + (bytes.length - window.at(position));
        if (loadedEnd >= window.end || loadedEnd <= position) return undefined;
        position = Math.max(position + 1, loadedEnd - 3);
        continue;
      }
      const frameAt = position + (found - window.at(position)) - 4;
      const frame = await this.#frameAt(frameAt);
      if (frame !== undefined && frame.sequence > sequence && frame.provenPosition >= from) return frame;
      position = frameAt + 5;
    }
    return undefined;
  }

  #accept(frame: FrameHeader, entries: readonly ScannedEntry[]): void {
    this.#commitHint = Math.max(this.#commitHint, frame.commitHint);
    this.#isProven = frame.entryCount === 0;
    this.#scanned = { frame, entries };
  }

  #goOn(position: ByteCount, point: LogPoint, sequence: number): void {
    this.#position = position;
    this.#point = point;
    this.#sequence = sequence;
  }

  async #tornBytes(): Promise<ByteCount> {
    const window = this.#window;
    let last = this.#position;
    for (let position = this.#position; position < window.end; ) {
      await window.load(position, 1);
      const start = window.at(position);
      const written = endOfWritten(window.bytes.subarray(start));
      if (written > 0) last = position + written;
      position += window.bytes.length - start;
      if (window.bytes.length === start) break;
    }
    return last - this.#position;
  }
}

const ZEROS = Buffer.alloc(4096);

/** Where the zeros begin that `bytes` ends with. Whole pages of them at a time: a new segment is nothing else. */
function endOfWritten(bytes: Uint8Array): ByteCount {
  let end = bytes.length;
  while (end >= ZEROS.length && ZEROS.compare(bytes, end - ZEROS.length, end) === 0) end -= ZEROS.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}
