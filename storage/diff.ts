/**
 * The same log on two disks, compared entry by entry, for `logdrive wal diff`: where they part, and whether replicas of
 * one group may differ like that. Headers are compared, not payloads: the chain covers every byte of both (chain.ts).
 *
 * Legal: another start (one was trimmed further), another end, other segments, an uncommitted tail of an older leader.
 * Illegal: two entries where both sides call the index committed (Raft's State Machine Safety), or two entries of one
 * index and term, or equal entries behind unequal ones (Log Matching); and whatever is damaged on either side.
 */
import { sameChain } from './chain.ts';
import type { Disk } from './disk.ts';
import { inspectSegment, type LogReport } from './inspect.ts';
import type { ChainSum, EntryHeader, GroupId, LogIndex, Term } from './types.ts';

/** Inclusive on both ends. */
export interface IndexRange {
  readonly first: LogIndex;
  readonly last: LogIndex;
}

export interface DiffSide {
  /** undefined: no entry is stored. */
  readonly stored: IndexRange | undefined;
  /** What this side knows committed: a lower bound. */
  readonly commitHint: LogIndex;
  readonly segments: number;
  /** Entries that the other side does not have, or cannot read. */
  readonly only: readonly IndexRange[];
  /** Entries that fail their checksum here. */
  readonly damaged: readonly IndexRange[];
}

export interface Divergence {
  readonly index: LogIndex;
  readonly a: { readonly term: Term; readonly chain: ChainSum };
  readonly b: { readonly term: Term; readonly chain: ChainSum };
}

export interface Difference {
  readonly isLegal: boolean;
  readonly what: string;
}

export interface LogDiff {
  readonly groupId: GroupId;
  readonly a: DiffSide;
  readonly b: DiffSide;
  /** Entries compared and found equal. */
  readonly equal: number;
  readonly divergence: Divergence | undefined;
  readonly differences: readonly Difference[];
}

export async function diffLogs(a: Source, b: Source): Promise<LogDiff> {
  const [left, right] = [new Cursor(a), new Cursor(b)];
  const found = new Comparison();
  await Promise.all([left.next(), right.next()]);
  while (left.at !== undefined || right.at !== undefined) {
    const [leftIndex, rightIndex] = [left.at?.index ?? Infinity, right.at?.index ?? Infinity];
    if (leftIndex < rightIndex) left.takeAlone();
    else if (rightIndex < leftIndex) right.takeAlone();
    else found.compare(left.at!, right.at!);
    if (leftIndex <= rightIndex) await left.next();
    if (rightIndex <= leftIndex) await right.next();
  }
  const sides = { a: left.side(), b: right.side() };
  const { equal, divergence } = found;
  const differences = [...found.differences, ...tell(sides.a, sides.b, divergence), ...tellSegments(a.log, b.log)];
  return { groupId: a.log.groupId, ...sides, equal, divergence, differences };
}

/** One side: a log as inspectDirectory() reports it, and the disk it lies on. */
export interface Source {
  readonly disk: Disk;
  readonly log: LogReport;
}

/** Goes through the sound entries of one side. */
class Cursor {
  readonly #source: Source;
  readonly #entries: AsyncGenerator<EntryHeader, void, undefined>;
  readonly #only: IndexRange[] = [];
  readonly #damaged: IndexRange[] = [];
  #stored: IndexRange | undefined;
  #commitHint: LogIndex;
  at: EntryHeader | undefined;

  constructor(source: Source) {
    this.#source = source;
    this.#commitHint = source.log.manifest?.commitHint ?? 0;
    this.#entries = this.#walk();
  }

  async next(): Promise<void> {
    const next = await this.#entries.next();
    this.at = next.done ? undefined : next.value;
    const { at } = this;
    if (at !== undefined) this.#stored = { first: this.#stored?.first ?? at.index, last: at.index };
  }

  /** The other side has no such entry. */
  takeAlone(): void {
    const { index } = this.at!;
    const last = this.#only.at(-1);
    if (last?.last === index - 1) this.#only[this.#only.length - 1] = { first: last.first, last: index };
    else this.#only.push({ first: index, last: index });
  }

  side(): DiffSide {
    return {
      stored: this.#stored,
      commitHint: this.#commitHint,
      segments: this.#source.log.segments.length,
      only: this.#only,
      damaged: this.#damaged,
    };
  }

  async *#walk(): AsyncGenerator<EntryHeader, void, undefined> {
    const { disk, log } = this.#source;
    for (const segment of log.segments) {
      for await (const item of inspectSegment(disk, segment)) {
        if (item.kind === 'entry') yield item.header;
        if (item.kind === 'frame') this.#commitHint = Math.max(this.#commitHint, item.frame.commitHint);
        if (item.kind === 'fault') this.#damaged.push({ first: item.before.index + 1, last: item.after.index });
      }
    }
  }
}

class Comparison {
  readonly differences: Difference[] = [];
  equal = 0;
  divergence: Divergence | undefined;

  compare(a: EntryHeader, b: EntryHeader): void {
    const isEqual = a.term === b.term && sameChain(a.chain, b.chain);
    if (isEqual && this.divergence === undefined) {
      this.equal++;
    } else if (this.divergence === undefined) {
      const { index } = a;
      this.divergence = { index, a: { term: a.term, chain: a.chain }, b: { term: b.term, chain: b.chain } };
      // A leader makes one entry for an index in its term.
      if (a.term === b.term) this.#illegal(`entry ${index} is of term ${a.term} on both, with different content`);
    } else if (a.term === b.term && this.differences.length === 0) {
      const what = `entries ${a.index} are of one term ${a.term}, behind entries that differ: one log was rewritten`;
      this.#illegal(what);
    }
  }

  #illegal(what: string): void {
    this.differences.push({ isLegal: false, what });
  }
}

function tell(a: DiffSide, b: DiffSide, divergence: Divergence | undefined): Difference[] {
  const differences: Difference[] = [];
  const committed = Math.min(a.commitHint, b.commitHint);
  if (divergence !== undefined) {
    const { index } = divergence;
    const isLegal = index > committed;
    const what = isLegal
      ? `from ${index} on they differ; at most one side knows it committed, the other's tail is to be overwritten`
      : `they differ from ${index} on, and both call ${committed} committed: one of them lost or invented entries`;
    differences.push({ isLegal, what });
  }
  for (const [name, side, other] of [['A', a, b] as const, ['B', b, a] as const]) {
    for (const { first, last } of side.damaged) {
      differences.push({ isLegal: false, what: `entries ${first}..${last} are damaged on ${name}` });
    }
    for (const { first, last } of side.only) differences.push(tellOnly(name, { first, last }, other));
  }
  return differences;
}

function tellOnly(name: string, { first, last }: IndexRange, other: DiffSide): Difference {
  const range = `entries ${first}..${last} are on ${name} alone`;
  if (other.stored === undefined) return { isLegal: true, what: `${range}: the other side stores none` };
  if (last < other.stored.first) return { isLegal: true, what: `${range}: the other side begins later` };
  if (first > other.stored.last) {
    const isLegal = other.commitHint < first;
    return {
      isLegal,
      what: isLegal ? `${range}: the other side ends before` : `${range}, and the other side lost them`,
    };
  }
  return { isLegal: false, what: `${range}: they are missing or damaged in the middle of the other side` };
}

function tellSegments(a: LogReport, b: LogReport): Difference[] {
  const [inA, inB] = [boundariesOf(a), boundariesOf(b)];
  const isSame = inA.length === inB.length && inA.every((index, at) => index === inB[at]);
  return isSame ? [] : [{ isLegal: true, what: 'their segments begin at different indexes' }];
}

/** Where segments meet, as far as both sides may have them: the first begins where trimming left it. */
function boundariesOf(log: LogReport): LogIndex[] {
  return log.segments.slice(1).map((segment) => segment.before.index);
}
