/**
 * The log as the core sees it: which term each index has, kept as runs of equal terms. No entries, no sizes: a log of
 * a billion entries written under three leaders is three runs.
 *
 *   base      run 0        run 1   run 2
 *   3@1   |  4@1 .. 9@1 | 10@2 | 11@5 .. 20@5      (index@term)
 *
 * Invariants: runs are in index order without holes, terms rise strictly from run to run and never fall below the
 * base's; base is the entry just before the first one here, and its term is known.
 */
import { strict as assert } from 'node:assert';
import type { EntryId, LogIndex, Term, TermRun } from './types.ts';

export class TermIndex {
  #base: EntryId;
  /** Parallel arrays; `#lasts[i]` is the inclusive last index of run i. */
  readonly #terms: Term[] = [];
  readonly #lasts: LogIndex[] = [];
  #lastIndex: LogIndex;
  #lastTerm: Term;

  constructor(base: EntryId, runs: readonly TermRun[]) {
    this.#base = base;
    this.#lastIndex = base.index;
    this.#lastTerm = base.term;
    for (const run of runs) this.append(run.term, run.lastIndex);
  }

  get base(): EntryId {
    return this.#base;
  }

  /** base.index when no entry is stored. */
  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#lastTerm;
  }

  get last(): EntryId {
    return { term: this.#lastTerm, index: this.#lastIndex };
  }

  /** The term at `index`, for index in [base.index, lastIndex]; undefined outside. */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.#lastIndex || index < this.#base.index) return undefined;
    if (index === this.#base.index) return this.#base.term;
    return this.#terms[this.#runOf(index)];
  }

  /** Does this log hold exactly that entry (or is it the base)? */
  has(entry: EntryId): boolean {
    return this.termAt(entry.index) === entry.term;
  }

  entryAt(index: LogIndex): EntryId {
    const term = this.termAt(index);
    if (term === undefined) assert.fail(`index ${index} lies outside [${this.#base.index}, ${this.#lastIndex}]`);
    return { term, index };
  }

  /** Entries lastIndex + 1 .. `last` (inclusive), all of `term`. */
  append(term: Term, last: LogIndex): void {
    if (last <= this.#lastIndex) assert.fail(`append up to ${last} does not extend the log past ${this.#lastIndex}`);
    if (term < this.#lastTerm) assert.fail(`append of term ${term} after term ${this.#lastTerm}`);
    const runs = this.#terms.length;
    if (runs > 0 && this.#terms[runs - 1] === term) {
      this.#lasts[runs - 1] = last;
    } else {
      this.#terms.push(term);
      this.#lasts.push(last);
    }
    this.#lastIndex = last;
    this.#lastTerm = term;
  }

  /** Forgets the entries from `from` on. */
  truncateFrom(from: LogIndex): void {
    if (from <= this.#base.index) assert.fail(`truncation from ${from} would cut the base ${this.#base.index}`);
    if (from > this.#lastIndex) return;
    const keep = from - 1 === this.#base.index ? -1 : this.#runOf(from - 1);
    this.#terms.length = keep + 1;
    this.#lasts.length = keep + 1;
    if (keep >= 0) this.#lasts[keep] = from - 1;
    this.#lastIndex = from - 1;
    this.#lastTerm = this.#terms[keep] ?? this.#base.term;
  }

  /** Forgets the entries up to `base`, which becomes the new base. Ignored when already forgotten. */
  trimTo(base: EntryId): void {
    if (base.index <= this.#base.index) return;
    if (this.termAt(base.index) !== base.term) assert.fail(`the new base ${base.index} is not an entry of this log`);
    const run = this.#runOf(base.index);
    const drop = this.#lasts[run] === base.index ? run + 1 : run;
    this.#terms.splice(0, drop);
    this.#lasts.splice(0, drop);
    this.#base = base;
  }

  /** Replaces the whole log by the state as of `base`. */
  reset(base: EntryId): void {
    this.#terms.length = 0;
    this.#lasts.length = 0;
    this.#base = base;
    this.#lastIndex = base.index;
    this.#lastTerm = base.term;
  }

  /** The last entry at or before `index` whose term is not above `term`; undefined when that lies below the base.
   *  Two logs can agree nowhere later than there, which lets backtracking skip a term at a time (paper 5.3). */
  lastAtOrBelow(index: LogIndex, term: Term): EntryId | undefined {
    const top = Math.min(index, this.#lastIndex);
    if (top < this.#base.index) return undefined;
    if (top > this.#base.index) {
      for (let run = this.#runOf(top); run >= 0; run -= 1) {
        const runTerm = this.#terms[run]!;
        if (runTerm <= term) return { term: runTerm, index: Math.min(top, this.#lasts[run]!) };
      }
    }
    return this.#base.term <= term ? this.#base : undefined;
  }

  runs(): TermRun[] {
    return this.#terms.map((term, i) => ({ term, lastIndex: this.#lasts[i]! }));
  }

  /** The run that holds `index`, for base.index < index <= lastIndex. Most questions are about the last run. */
  #runOf(index: LogIndex): number {
    let high = this.#lasts.length - 1;
    if (high === 0 || index > this.#lasts[high - 1]!) return high;
    let low = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#lasts[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
