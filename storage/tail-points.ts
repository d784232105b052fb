/**
 * Log points of the entries that may still be cut: from the commit hint to the last accepted entry. truncateSuffix
 * moves the logical end of the log at once, and needs chain, offset and time there without asking the disk. Bounded by
 * what may be uncommitted, which the Raft core bounds.
 */
import assert from 'node:assert/strict';
import type { LogPoint } from './log-point.ts';
import type { LogIndex } from './types.ts';

/** Dead places at the front that are worth moving the rest for. */
const COMPACT_AT = 1024;

export class TailPoints {
  /** points[#head] is the anchor: the lowest point that is known. Contiguous from there. */
  #points: LogPoint[];
  #head = 0;

  constructor(anchor: LogPoint) {
    this.#points = [anchor];
  }

  get last(): LogPoint {
    return this.#points.at(-1)!;
  }

  get first(): LogPoint {
    return this.#points[this.#head]!;
  }

  push(point: LogPoint): void {
    if (point.index <= this.last.index) assert.fail(`point ${point.index} behind ${this.last.index}`);
    this.#points.push(point);
  }

  /** A point that damage had hidden is known again. */
  insert(point: LogPoint): void {
    if (point.index <= this.first.index || this.at(point.index) !== undefined) return;
    const before = this.#points.findIndex(({ index }) => index > point.index);
    if (before <= this.#head) assert.fail(`point ${point.index} is behind the last one, ${this.last.index}`);
    this.#points.splice(before, 0, point);
  }

  /** The point at `index`, when it is known. */
  at(index: LogIndex): LogPoint | undefined {
    if (index < this.first.index) return undefined;
    // Without damage the points are contiguous and the guess is right; with it, indexes are missing in between.
    const guess = this.#points[this.#head + index - this.first.index];
    if (guess?.index === index) return guess;
    return this.#points.slice(this.#head).find((point) => point.index === index);
  }

  /** Drops what is behind `index`, whose point must be known. */
  cutAfter(index: LogIndex): LogPoint {
    const point = this.at(index);
    if (point === undefined)
      assert.fail(`no point known at ${index}; known are ${this.first.index} to ${this.last.index}`);
    this.#points.length = this.#points.indexOf(point) + 1;
    return point;
  }

  /** Forgets what is below `index`. The last point always stays. */
  forgetBelow(index: LogIndex): void {
    while (this.#head < this.#points.length - 1 && this.#points[this.#head + 1]!.index <= index) this.#head++;
    if (this.#head < COMPACT_AT) return;
    this.#points = this.#points.slice(this.#head);
    this.#head = 0;
  }
}
