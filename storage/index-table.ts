/**
 * The sparse index of one segment: about one mark per 64 KiB, at the start of an entry. In memory for the segment being
 * written; in the footer of a sealed one. A lookup finds the last mark at or before what is sought; the reader walks
 * entry headers from there. Derived data: rebuilt by a scan when missing or damaged (F46).
 */
import type { FieldReader, FieldWriter } from './fields.ts';
import type { ByteCount, EntryHeader, LogIndex, Ms, Offset } from './types.ts';

/** All entries that start before the next mark start within this many bytes of their mark. */
export const MARK_EVERY_BYTES: number = 64 * 1024;

export interface Mark {
  readonly index: LogIndex;
  readonly baseOffset: Offset;
  readonly appendTimeMs: Ms;
  /** Of the entry's header in the file. */
  readonly position: ByteCount;
  /** Sequence of the frame it lies in. */
  readonly frame: number;
}

/** Bytes of one mark in a footer: five u64. */
export const MARK_BYTES = 40;

export class IndexTable {
  readonly #marks: Mark[];

  constructor(marks: readonly Mark[] = []) {
    this.#marks = [...marks];
  }

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** Notes an entry that begins at `position` in frame number `frame`; entries arrive in order. */
  add(header: EntryHeader, position: ByteCount, frame: number): void {
    const last = this.#marks.at(-1);
    if (last !== undefined && position - last.position < MARK_EVERY_BYTES) return;
    const { index, baseOffset, appendTimeMs } = header;
    this.#marks.push({ index, baseOffset, appendTimeMs, position, frame });
  }

  /** Puts an extra mark in its place; false when its entry has one. */
  insert(mark: Mark): boolean {
    const at = this.#lastWhere((other) => other.index < mark.index) + 1;
    if (this.#marks[at]?.index === mark.index) return false;
    this.#marks.splice(at, 0, mark);
    return true;
  }

  byIndex(index: LogIndex): Mark | undefined {
    return this.#marks[this.#lastWhere((mark) => mark.index <= index)];
  }

  /** The last mark whose entry begins at or before `offset`. Entries without records share an offset with the next. */
  byOffset(offset: Offset): Mark | undefined {
    return this.#marks[this.#lastWhere((mark) => mark.baseOffset <= offset)];
  }

  /** The last mark strictly before `timestampMs`, behind which the first entry at or after it lies; else the first. */
  byTime(timestampMs: Ms): Mark | undefined {
    return this.#marks[
      Math.max(
        0,
        this.#lastWhere((mark) => mark.appendTimeMs < timestampMs),
      )
    ];
  }

  /** The first mark behind `position`. */
  after(position: ByteCount): Mark | undefined {
    return this.#marks[this.#lastWhere((mark) => mark.position <= position) + 1];
  }

  /** Forgets entries from `index` on. */
  cut(index: LogIndex): void {
    this.#marks.length = this.#lastWhere((mark) => mark.index < index) + 1;
  }

  /** Number of the last mark that fulfils a condition true of a prefix only; -1 when none does. */
  #lastWhere(isBefore: (mark: Mark) => boolean): number {
    let low = 0;
    let high = this.#marks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#marks[middle]!)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

export function writeMarks(writer: FieldWriter, marks: readonly Mark[]): void {
  writer.u32(marks.length);
  for (const mark of marks) {
    writer.u64(mark.index).u64(mark.baseOffset).u64(mark.appendTimeMs).u64(mark.position).u64(mark.frame);
  }
}

export function readMarks(reader: FieldReader): Mark[] {
  const count = reader.u32();
  if (count * MARK_BYTES > reader.left) throw new RangeError(`${count} marks in ${reader.left} bytes`);
  return Array.from({ length: count }, () => ({
    index: reader.u64(),
    baseOffset: reader.u64(),
    appendTimeMs: reader.u64(),
    position: reader.u64(),
    frame: reader.u64(),
  }));
}
