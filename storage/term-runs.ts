/**
 * Terms of a log as runs of (term, last index): no entries, a few numbers per election. Runs ascend in both; a run's
 * first index is one past the last of the run before it, and the first run begins behind the base.
 */
import assert from 'node:assert/strict';
import type { EntryId, LogIndex, Term, TermRun } from './types.ts';

export class TermRuns {
  #base: EntryId;
  #runs: { term: Term; lastIndex: LogIndex }[] = [];

  constructor(base: EntryId) {
    this.#base = base;
  }

  get base(): EntryId {
    return this.#base;
  }

  get last(): EntryId {
    const run = this.#runs.at(-1);
    return run === undefined ? this.#base : { term: run.term, index: run.lastIndex };
  }

  /** A copy; its owner is the caller. */
  runs(): TermRun[] {
    return this.#runs.map((run) => ({ ...run }));
  }

  /** Takes entries of `term` up to `lastIndex`. */
  add(term: Term, lastIndex: LogIndex): void {
    const run = this.#runs.at(-1);
    const last = this.last;
    if (lastIndex <= last.index) assert.fail(`entries up to ${lastIndex} behind ${last.index}`);
    if (term < last.term) assert.fail(`term ${term} behind ${last.term}`);
    if (run !== undefined && run.term === term) run.lastIndex = lastIndex;
    else this.#runs.push({ term, lastIndex });
  }

  /** The entry at `index` counted as of a later term until now, as entries of a damaged region do (recovery.ts). */
  correct(term: Term, index: LogIndex): void {
    const { last } = this;
    if (index <= this.#base.index || index > last.index || this.termAt(index) === term) return;
    const behind = this.slice(index, last.index);
    this.cutAfter(index - 1);
    this.add(term, index);
    for (const run of behind) this.add(run.term, run.lastIndex);
  }

  /** Drops everything behind `lastIndex`. */
  cutAfter(lastIndex: LogIndex): void {
    if (lastIndex < this.#base.index) assert.fail(`cut at ${lastIndex}, below the base ${this.#base.index}`);
    let run = this.#runs.at(-1);
    let dropped: { term: Term; lastIndex: LogIndex } | undefined;
    while (run !== undefined && run.lastIndex > lastIndex) {
      dropped = this.#runs.pop();
      run = this.#runs.at(-1);
    }
    // The run that reached across the cut keeps its front part.
    if (dropped !== undefined && this.last.index < lastIndex) this.#runs.push({ term: dropped.term, lastIndex });
  }

  /** Drops everything up to and including `base`, which becomes the new base. */
  trimTo(base: EntryId): void {
    while (this.#runs.length > 0 && this.#runs[0]!.lastIndex <= base.index) this.#runs.shift();
    this.#base = base;
  }

  /** The term at `index`, the base included; undefined outside. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.#base.index) return this.#base.term;
    if (index < this.#base.index || index > this.last.index) return undefined;
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#runs[middle]!.lastIndex < index) low = middle + 1;
      else high = middle;
    }
    return this.#runs[low]!.term;
  }

  /** Runs of the entries (after, upTo]. */
  slice(after: LogIndex, upTo: LogIndex): TermRun[] {
    const slice: TermRun[] = [];
    for (const run of this.#runs) {
      if (run.lastIndex <= after) continue;
      slice.push({ term: run.term, lastIndex: Math.min(run.lastIndex, upTo) });
      if (run.lastIndex >= upTo) break;
    }
    return slice;
  }
}
