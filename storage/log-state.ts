/**
 * The logical state of a log: where it begins and ends, and what is known of it without asking the disk. It moves at
 * once, with every append and cut; what of it is durable is group-commit.ts's to say. Synchronous, no IO.
 *
 * Invariants: base.index <= commitHint <= last.index; terms, offsets and append times never go down along the log; the
 * points from commitHint to last are known, so that a cut anywhere above it can be made at once.
 */
import assert from 'node:assert/strict';
import { isChained } from './format.ts';
import { type LogPoint, pointAfter, samePoint, whyNotAfter } from './log-point.ts';
import { TailPoints } from './tail-points.ts';
import { TermRuns } from './term-runs.ts';
import type { EntryHeader, GroupId, LogEntry, LogIndex, Term, TermRun } from './types.ts';

export interface LogStart {
  readonly base: LogPoint;
  readonly termRuns: TermRuns;
  readonly tail: TailPoints;
  readonly commitHint: LogIndex;
}

export class LogState {
  readonly #groupId: GroupId;
  #base: LogPoint;
  #termRuns: TermRuns;
  #tail: TailPoints;
  #commitHint: LogIndex;

  constructor(groupId: GroupId, start: LogStart) {
    this.#groupId = groupId;
    this.#base = start.base;
    this.#termRuns = start.termRuns;
    this.#tail = start.tail;
    this.#commitHint = Math.max(start.commitHint, start.base.index);
  }

  /** The log just below its first stored entry. */
  get base(): LogPoint {
    return this.#base;
  }

  /** The log after its last accepted entry. */
  get last(): LogPoint {
    return this.#tail.last;
  }

  /** A lower bound of the commit index. Never goes down; nothing at or below it is ever cut (W18). */
  get commitHint(): LogIndex {
    return this.#commitHint;
  }

  termRuns(): TermRun[] {
    return this.#termRuns.runs();
  }

  termAt(index: LogIndex): Term | undefined {
    return this.#termRuns.termAt(index);
  }

  /** The point at `index` if it is in memory, as all from the commit hint on are. */
  pointAt(index: LogIndex): LogPoint | undefined {
    return this.#tail.at(index);
  }

  /** Moves the end over `entries`. All are checked before anything moves. */
  accept(entries: readonly LogEntry[]): void {
    const points: LogPoint[] = [];
    let { last } = this;
    for (const { header, headerBytes } of entries) {
      const disorder = whyNotAfter(last, header);
      if (disorder !== undefined) assert.fail(`append: ${disorder}`);
      if (header.groupId !== this.#groupId) assert.fail(`an entry of group ${header.groupId} for log ${this.#groupId}`);
      if (!isChained(headerBytes, header, last.chain))
        assert.fail(`the chain of entry ${header.index} does not follow`);
      last = pointAfter(header);
      points.push(last);
    }
    for (const point of points) {
      this.#tail.push(point);
      this.#termRuns.add(point.term, point.index);
    }
  }

  /** An entry that damage had hidden can be read. */
  found(header: EntryHeader): void {
    if (header.index <= this.last.index) this.#tail.insert(pointAfter(header));
  }

  /** A damaged entry is back in its place: the log may be cut behind it again, and its term is no guess any more. */
  repaired(header: EntryHeader): void {
    const point = pointAfter(header);
    const known = this.#tail.at(header.index);
    // It may have been cut away while it was put back, and another one may be there by now.
    if (header.index > this.last.index || (known !== undefined && !samePoint(known, point))) return;
    this.#tail.insert(point);
    this.#termRuns.correct(header.term, header.index);
  }

  /** Moves the end back in front of `from`; the new end. */
  cutFrom(from: LogIndex): LogPoint {
    if (from <= this.#commitHint) assert.fail(`cut at ${from}, known committed up to ${this.#commitHint}`);
    if (from <= this.#base.index) assert.fail(`cut at ${from}, the log begins at ${this.#base.index + 1}`);
    this.#termRuns.cutAfter(from - 1);
    return this.#tail.cutAfter(from - 1);
  }

  setCommitHint(index: LogIndex): void {
    const hint = Math.min(index, this.last.index);
    if (hint <= this.#commitHint) return;
    this.#commitHint = hint;
    this.#tail.forgetBelow(hint);
  }

  /** The log begins behind `base` now. */
  trimTo(base: LogPoint): void {
    this.#base = base;
    this.#termRuns.trimTo({ term: base.term, index: base.index });
    this.setCommitHint(base.index);
    this.#tail.forgetBelow(base.index);
  }

  /** The log is empty and begins behind `point`. */
  restartAt(point: LogPoint): void {
    this.#base = point;
    this.#tail = new TailPoints(point);
    this.#termRuns = new TermRuns({ term: point.term, index: point.index });
    this.#commitHint = point.index;
  }
}
