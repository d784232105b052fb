/**
 * The judge: a history in, a verdict out. It knows nothing of simulators, processes or sockets; general linearizability
 * is hard to check, but offsets are explicit here, so every rule is one pass over maps (no search).
 */
import { RULES } from './anomalies.ts';
import type { HistoryEvent } from './history.ts';
import { type PartitionView, type Replica, toldEarliest, viewsOf } from './view.ts';

export interface Anomaly {
  /** Of the rule that found it. */
  readonly name: string;
  readonly partition: string;
  readonly text: string;
}

/** What the history holds: a run in which hardly anything happened proves nothing. */
export interface Counts {
  /** Batches by fate. */
  readonly acked: number;
  readonly refused: number;
  readonly unknown: number;
  /** Distinct records somebody was given, replicas at the end included. */
  readonly seen: number;
  /** Answered reads. */
  readonly reads: number;
  /** Highest log start anybody was told. */
  readonly trimmed: number;
  /** Of compacted partitions, over all replicas at the end: records that are gone. */
  readonly compacted: number;
  /** Of these, deletions that were the last word on their key. */
  readonly forgotten: number;
}

export interface Verdict {
  readonly anomalies: readonly Anomaly[];
  readonly counts: Counts;
}

/** Cases of one kind reported per partition: the first ones tell the story. */
const CASES_MAX = 10;

/** @throws Error when the history is none: an answer without a call, a value used for two batches. */
export function judge(history: readonly HistoryEvent[]): Verdict {
  const views = viewsOf(history);
  const anomalies = views.flatMap((view) =>
    RULES.flatMap(({ name, find }) => take(find(view)).map((text) => ({ name, partition: view.name, text }))),
  );
  return { anomalies, counts: views.map(countsOf).reduce(add, NOTHING) };
}

/** A verdict's anomalies as lines. */
export function describeAnomalies(anomalies: readonly Anomaly[]): string {
  return anomalies.map(({ name, partition, text }) => `${name} in ${partition}: ${text}`).join('\n');
}

function take(found: Iterable<string>): string[] {
  const taken: string[] = [];
  for (const text of found) {
    if (taken.length >= CASES_MAX) break;
    taken.push(text);
  }
  return taken;
}

const NOTHING: Counts = { acked: 0, refused: 0, unknown: 0, seen: 0, reads: 0, trimmed: 0, compacted: 0, forgotten: 0 };

function countsOf(view: PartitionView): Counts {
  const acked = view.batches.filter(({ ackedLine }) => ackedLine !== undefined).length;
  const refused = view.batches.filter(({ isSurelyNot }) => isSurelyNot).length;
  const unknown = view.batches.length - acked - refused;
  const reads = view.answered.filter(({ answer }) => answer?.kind === 'records').length;
  let trimmed = 0;
  for (const { answer } of view.answered) trimmed = Math.max(trimmed, toldEarliest(answer) ?? 0);
  for (const { earliest } of view.replicas) trimmed = Math.max(trimmed, earliest);
  const gone = view.compaction === undefined ? [] : view.replicas.map((replica) => goneFrom(view, replica));
  const compacted = gone.reduce((sum, { records }) => sum + records, 0);
  const forgotten = gone.reduce((sum, { deletions }) => sum + deletions, 0);
  return { acked, refused, unknown, seen: view.byOffset.size, reads, trimmed, compacted, forgotten };
}

function goneFrom(
  { keys }: PartitionView,
  { earliest, tail, records }: Replica,
): { readonly records: number; readonly deletions: number } {
  const held = new Set(records.map(({ offset }) => offset));
  const deletions = [...keys.lastDeletions()].filter((offset) => offset >= earliest && !held.has(offset));
  return { records: tail - earliest - records.length, deletions: deletions.length };
}

function add(a: Counts, b: Counts): Counts {
  return {
    acked: a.acked + b.acked,
    refused: a.refused + b.refused,
    unknown: a.unknown + b.unknown,
    seen: a.seen + b.seen,
    reads: a.reads + b.reads,
    trimmed: a.trimmed + b.trimmed,
    compacted: a.compacted + b.compacted,
    forgotten: a.forgotten + b.forgotten,
  };
}
