/**
 * A history of one partition, arranged for the rules: batches with all their attempts, answered reads, and who was
 * given which record where. Built in one pass; rules look things up here and never search.
 *
 * "Line" is the place of an event in the history: the only clock of the judge.
 */
import type { Answer, Call, HistoryEvent, Note, Producer, Sighting } from './history.ts';
import { isCall } from './history.ts';
import { Keys } from './keys.ts';

export type CallOf<K extends Call['kind']> = Extract<Call, { kind: K }>;
export type AnswerOf<K extends Answer['kind']> = Extract<Answer, { kind: K }>;
export type Replica = Extract<Note, { kind: 'replica' }>;

/** A call with its answer, if it has one. Lines: when it began and ended. */
export interface Done<C extends Call = Call> {
  readonly call: C;
  readonly beganLine: number;
  endedLine: number;
  answer: Answer | undefined;
}

/** One batch, whatever number of attempts were made at it. */
export interface Batch {
  readonly client: string;
  readonly values: readonly string[];
  readonly producer: Producer | undefined;
  readonly order: number | undefined;
  readonly attempts: Done<CallOf<'append'>>[];
  /** Line of the first attempt that can have had an effect; of the first one of all, when none can. */
  beganLine: number;
  /** Every attempt ended with outcome 'none'. */
  isSurelyNot: boolean;
  /** Line of the first ack. */
  ackedLine: number | undefined;
  /** Of the first ack that told one. */
  ackedOffset: number | undefined;
}

/** Whoever says that records lie where they lie: an answer, or a replica read at the end. */
interface Source {
  readonly line: number;
  /** 'reader c1' or 'replica n1'. */
  readonly who: string;
  readonly isReplica: boolean;
}

export interface Witness extends Sighting, Source {}

/** Two records said to lie at one offset, or one record at two. */
export interface Conflict {
  readonly first: Witness;
  readonly second: Witness;
}

export class PartitionView {
  readonly name: string;
  readonly batches: Batch[] = [];
  /** By value: the batch it belongs to and its place in it. */
  readonly sent: Map<string, { readonly batch: Batch; readonly at: number }> = new Map();
  /** First witness of each offset. */
  readonly byOffset: Map<number, Witness> = new Map();
  /** First witness of each value. */
  readonly byValue: Map<string, Witness> = new Map();
  readonly conflicts: Conflict[] = [];
  readonly duplicates: Conflict[] = [];
  readonly damaged: Witness[] = [];
  /** In the order they began. */
  readonly calls: Done[] = [];
  /** In the order they ended. */
  readonly answered: Done[] = [];
  readonly replicas: Replica[] = [];
  readonly drained: { readonly client: string; readonly line: number }[] = [];
  hasRetention = false;
  /** Undefined: the partition is not compacted, and every record of it is kept. */
  compaction: { readonly isForgetful: boolean } | undefined;
  healedLine: number | undefined;
  /** One past the highest offset anybody was given. */
  seenEnd = 0;
  #keys: Keys | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** One past the last record of the longest replica; undefined when none was read at the end. */
  get finalTail(): number | undefined {
    return this.replicas.length === 0 ? undefined : Math.max(...this.replicas.map(({ tail }) => tail));
  }

  /** Of a compacted partition. To be asked for when the view is whole. */
  get keys(): Keys {
    this.#keys ??= new Keys(this);
    return this.#keys;
  }

  /** Whether a log that was read up to `end` may lack what lies at `offset`: never, but for compaction. */
  mayLack(offset: number, end?: number): boolean {
    return this.compaction !== undefined && this.keys.mayBeGone(offset, end);
  }

  /** Offset of a batch's first record: as seen, else as acknowledged. */
  placeOf(batch: Batch): number | undefined {
    for (const [at, value] of batch.values.entries()) {
      const witness = this.byValue.get(value);
      if (witness !== undefined) return witness.offset - at;
    }
    return batch.ackedOffset;
  }

  witness(sighting: Sighting, source: Source): void {
    if (sighting.isDamaged === true) {
      this.damaged.push({ ...sighting, ...source });
      return;
    }
    const { offset, value } = sighting;
    const there = this.byOffset.get(offset);
    const elsewhere = this.byValue.get(value);
    // Most of what is seen was seen before, just so.
    if (there !== undefined && elsewhere?.offset === offset && isSame(there, sighting)) return;
    const witness = { ...sighting, ...source };
    if (there === undefined) this.byOffset.set(offset, witness);
    else if (!isSame(there, witness)) this.conflicts.push({ first: there, second: witness });
    if (elsewhere === undefined) this.byValue.set(value, witness);
    else if (elsewhere.offset !== offset) this.duplicates.push({ first: elsewhere, second: witness });
    this.seenEnd = Math.max(this.seenEnd, offset + 1);
  }

  /** A batch's further attempts join the first. @throws Error when values are shared by different batches. */
  attempt(done: Done<CallOf<'append'>>): void {
    const { values, client, producer, order } = done.call;
    const known = this.sent.get(values[0]!)?.batch;
    if (known !== undefined && known.values.join('\n') === values.join('\n')) {
      known.attempts.push(done);
      return;
    }
    const fate = { isSurelyNot: false, ackedLine: undefined, ackedOffset: undefined };
    const batch: Batch = { client, values, producer, order, attempts: [done], beganLine: done.beganLine, ...fate };
    for (const [at, value] of values.entries()) {
      if (this.sent.has(value)) throw new Error(`${value} of ${client} is used in two batches of ${this.name}`);
      this.sent.set(value, { batch, at });
    }
    this.batches.push(batch);
  }
}

/** The tail an answer tells, if it tells one. */
export function toldTail(answer: Answer | undefined): number | undefined {
  return answer?.kind === 'records' || answer?.kind === 'tailIs' ? answer.tail : undefined;
}

/** The log start an answer tells, if it tells one. */
export function toldEarliest(answer: Answer | undefined): number | undefined {
  return answer !== undefined && 'earliest' in answer ? answer.earliest : undefined;
}

/** Times and terms count where both know them. */
function isSame(a: Sighting, b: Sighting): boolean {
  const isEqual = (x: number | undefined, y: number | undefined): boolean =>
    x === undefined || y === undefined || x === y;
  return a.value === b.value && isEqual(a.time, b.time) && isEqual(a.term, b.term);
}

/** One view for each partition of the history. @throws Error when calls and answers do not match. */
export function viewsOf(history: readonly HistoryEvent[]): PartitionView[] {
  const views = new Map<string, PartitionView>();
  const open = new Map<number, Done | 'closed'>();
  const viewOf = (name: string): PartitionView => {
    const view = views.get(name) ?? new PartitionView(name);
    views.set(name, view);
    return view;
  };
  let healedLine: number | undefined;
  for (const [line, event] of history.entries()) {
    if (isCall(event)) {
      if (open.has(event.op)) throw new Error(`op ${event.op} begins twice`);
      const done: Done = { call: event, beganLine: line, endedLine: Number.POSITIVE_INFINITY, answer: undefined };
      open.set(event.op, done);
      const view = viewOf(event.partition);
      view.calls.push(done);
      if (event.kind === 'append') view.attempt(done as Done<CallOf<'append'>>);
    } else if ('op' in event) {
      const done = open.get(event.op);
      if (done === undefined || done === 'closed') throw new Error(`op ${event.op} ends without having begun`);
      checkAnswer(done.call, event);
      open.set(event.op, 'closed');
      close(viewOf(done.call.partition), done, event, line);
    } else if (event.kind === 'healed') healedLine ??= line;
    else take(viewOf(event.partition), event, line);
  }
  for (const view of views.values()) {
    view.healedLine = healedLine;
    for (const batch of view.batches) settle(batch);
  }
  return [...views.values()];
}

const ANSWERS: Readonly<Record<Call['kind'], readonly Answer['kind'][]>> = {
  append: ['acked', 'failed'],
  read: ['records', 'trimmed', 'failed'],
  tail: ['tailIs', 'failed'],
  trim: ['done', 'failed'],
  create: ['done', 'failed'],
  delete: ['done', 'failed'],
};

function checkAnswer(call: Call, answer: Answer): void {
  if (!ANSWERS[call.kind].includes(answer.kind)) throw new Error(`${answer.kind} is no answer to ${call.kind}`);
}

function close(view: PartitionView, done: Done, answer: Answer, line: number): void {
  done.endedLine = line;
  done.answer = answer;
  view.answered.push(done);
  if (answer.kind !== 'records') return;
  const who = `${done.call.client}${answer.node === undefined ? '' : ` on ${answer.node}`}`;
  const source = { line, who, isReplica: false };
  for (const record of answer.records) view.witness(record, source);
}

function take(view: PartitionView, note: Exclude<Note, { kind: 'healed' }>, line: number): void {
  if (note.kind === 'retention') view.hasRetention = true;
  else if (note.kind === 'compacted') view.compaction = note;
  else if (note.kind === 'drained') view.drained.push({ client: note.client, line });
  else {
    view.replicas.push(note);
    const source = { line, who: `replica ${note.node}`, isReplica: true };
    for (const record of note.records) view.witness(record, source);
  }
}

/** The fate of a batch from the fates of its attempts. */
function settle(batch: Batch): void {
  const isNone = ({ answer }: Done): boolean => answer?.kind === 'failed' && answer.outcome === 'none';
  batch.isSurelyNot = batch.attempts.every(isNone);
  // What surely had no effect did not begin anything: the copy in the log is of a later attempt.
  batch.beganLine = (batch.attempts.find((attempt) => !isNone(attempt)) ?? batch.attempts[0]!).beganLine;
  const acks = batch.attempts.filter(({ answer }) => answer?.kind === 'acked');
  batch.ackedLine = acks.length === 0 ? undefined : Math.min(...acks.map(({ endedLine }) => endedLine));
  for (const { answer } of acks) {
    if (answer?.kind === 'acked' && answer.offset !== null) batch.ackedOffset ??= answer.offset;
  }
}
