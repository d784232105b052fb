/**
 * Small histories at random: a true log serves a few clients whose calls overlap, and some of their answers get lost
 * (good histories); then a detail of it is changed, which may or may not be noticeable (mutated ones).
 */
import type { Prng } from '../../raft/support/prng.ts';
import { type Answer, type Call, type HistoryEvent, isCall, type Sighting } from './history.ts';

const CALLS_MAX = 12;
const P = 't/0';

interface Pending {
  readonly op: number;
  readonly call: Call;
  answer: Answer | undefined;
}

/** The true log, with what it knows of its one idempotent producer. */
class TrueLog {
  readonly values: string[] = [];
  epoch = 0;
  next = 0;

  append({ values, producer }: Extract<Call, { kind: 'append' }>): Answer {
    const there = this.values.indexOf(values[0]!);
    if (producer !== undefined && there !== -1) return { kind: 'acked', offset: there };
    if (producer !== undefined) {
      const isDue = producer.epoch === this.epoch ? producer.sequence === this.next : producer.sequence === 0;
      if (producer.epoch < this.epoch || !isDue) return { kind: 'failed', outcome: 'none' };
      this.epoch = producer.epoch;
      this.next = producer.sequence + values.length;
    }
    this.values.push(...values);
    return { kind: 'acked', offset: this.values.length - values.length };
  }

  records(from: number, next: number, tail: number): Extract<Answer, { kind: 'records' }> {
    const records = this.values.slice(from, next).map((value, at) => ({ offset: from + at, value }));
    return { kind: 'records', from, next, earliest: 0, tail, records };
  }
}

export function goodHistory(random: Prng): HistoryEvent[] {
  const log = new TrueLog();
  const calls = new Calls(random);
  const events: HistoryEvent[] = [];
  const pending: Pending[] = [];
  /** Ends of batches: where a lagging replica may say that the log ends. */
  const ends = [0];
  const count = 4 + random.below(CALLS_MAX - 3);
  while (calls.made < count || pending.length > 0) {
    if (calls.made < count && random.chance(0.4)) {
      const call = calls.next(log);
      pending.push({ op: calls.made, call, answer: undefined });
      events.push({ ...call, op: calls.made });
      continue;
    }
    if (pending.length === 0) continue;
    const one = random.pick(pending);
    if (one.answer === undefined && !random.chance(0.1)) {
      one.answer = answerOf(log, one.call, ends, random);
      if (log.values.length > ends.at(-1)!) ends.push(log.values.length);
      continue;
    }
    pending.splice(pending.indexOf(one), 1);
    // Lost before it took effect, or its answer was lost, or it never ended.
    const fate = random.below(6);
    if (one.answer === undefined && fate < 3) events.push({ kind: 'failed', outcome: 'none', op: one.op });
    else if (one.answer === undefined || fate === 0) events.push({ kind: 'failed', outcome: 'unknown', op: one.op });
    else if (fate > 1) events.push({ ...one.answer, op: one.op });
  }
  const records = log.values.map((value, offset) => ({ offset, value }));
  events.push({ kind: 'replica', partition: P, node: 'n1', earliest: 0, tail: records.length, records });
  return events;
}

function answerOf(log: TrueLog, call: Call, ends: readonly number[], random: Prng): Answer {
  if (call.kind === 'append') return log.append(call);
  if (call.kind === 'tail') return { kind: 'tailIs', earliest: 0, tail: log.values.length };
  const tail = call.kind === 'read' && call.level === 'any' ? random.pick(ends) : log.values.length;
  const from = call.kind === 'read' && typeof call.from === 'number' ? call.from : 0;
  if (from > tail) return { kind: 'failed', outcome: 'none', code: 'OUT_OF_RANGE' };
  return log.records(from, from + random.below(tail - from + 1), tail);
}

/** Calls at random; retries of idempotent batches among them. */
class Calls {
  made = 0;
  readonly #random: Prng;
  #epoch = 0;
  #sequence = 0;
  #last: Call | undefined;

  constructor(random: Prng) {
    this.#random = random;
  }

  next(log: TrueLog): Call {
    const random = this.#random;
    this.made += 1;
    const client = `c${this.made}`;
    const values = Array.from({ length: 1 + random.below(2) }, (_, at) => `${this.made}.${at}`);
    const level = random.pick(['any', 'linearizable'] as const);
    switch (random.below(6)) {
      case 0:
        return { kind: 'read', client, partition: P, from: random.below(log.values.length + 1), level };
      case 1:
        return { kind: 'tail', client, partition: P, level: 'linearizable' };
      case 2:
      case 3:
        return { kind: 'append', client, partition: P, values };
      default:
        return this.#idempotent(client, values);
    }
  }

  #idempotent(client: string, values: readonly string[]): Call {
    const random = this.#random;
    if (this.#last !== undefined && random.chance(0.4)) return { ...this.#last, client };
    if (this.#last !== undefined && random.chance(0.2)) {
      this.#epoch += 1;
      this.#sequence = 0;
    }
    const producer = { id: 'p', epoch: this.#epoch, sequence: this.#sequence };
    this.#sequence += values.length;
    this.#last = { kind: 'append', client, partition: P, values, producer };
    return this.#last;
  }
}

type Change = (events: HistoryEvent[], random: Prng) => void;

/** Replaces a random event of a kind. */
function change<K extends HistoryEvent['kind']>(
  kind: K,
  to: (event: Extract<HistoryEvent, { kind: K }>, random: Prng) => HistoryEvent,
): Change {
  return (events, random) => {
    const places = events.flatMap((event, at) => (event.kind === kind ? [at] : []));
    if (places.length === 0) return;
    const at = random.pick(places);
    events[at] = to(events[at] as Extract<HistoryEvent, { kind: K }>, random);
  };
}

const near = (value: number, random: Prng): number => Math.max(0, value + random.pick([-2, -1, 1, 2]));

/** Another order, one less, one twice, or one that nobody sent. */
function meddle(records: readonly Sighting[], from: number, random: Prng): Sighting[] {
  const values = records.map(({ value }) => value);
  const at = random.below(values.length + 1);
  const kind = random.below(4);
  if (kind === 0 && at + 1 < values.length) [values[at], values[at + 1]] = [values[at + 1]!, values[at]!];
  else if (kind === 1) values.splice(at, 1);
  else if (kind === 2 && values.length > 0) values.splice(at, 0, random.pick(values));
  else values.splice(at, 0, 'x');
  return values.map((value, index) => ({ offset: from + index, value }));
}

const CHANGES: readonly Change[] = [
  change('acked', (event, random) => ({ ...event, offset: near(event.offset ?? 0, random) })),
  change('acked', ({ op }) => ({ kind: 'failed', op, outcome: 'none' })),
  change('failed', (event) => ({ ...event, outcome: event.outcome === 'none' ? 'unknown' : 'none' })),
  change('tailIs', (event, random) => ({ ...event, tail: near(event.tail, random) })),
  change('read', (event) => ({ ...event, level: event.level === 'any' ? 'linearizable' : 'any' })),
  change('records', (event, random) => {
    const records = meddle(event.records, event.from, random);
    const next = event.from + records.length;
    return { ...event, records, next, tail: Math.max(event.tail ?? 0, next) };
  }),
  change('records', (event, random) => ({ ...event, tail: Math.max(event.next, near(event.tail ?? 0, random)) })),
  change('replica', (event, random) => {
    const records = meddle(event.records, 0, random);
    return { ...event, records, tail: records.length };
  }),
  // Somebody's clock: an event is seen earlier or later, as far as it can be.
  (events, random) => {
    const from = random.below(events.length - 1);
    const [event] = events.splice(from, 1) as [HistoryEvent];
    const op = 'op' in event ? event.op : undefined;
    const other = events.findIndex((one) => 'op' in one && one.op === op);
    const [low, high] = isCall(event) ? [0, other === -1 ? events.length - 1 : other] : [other + 1, events.length - 1];
    events.splice(low + random.below(high - low + 1), 0, event);
  },
];

export function mutatedHistory(random: Prng): HistoryEvent[] {
  const events = goodHistory(random);
  for (let changes = 1 + random.below(2); changes > 0; changes -= 1) random.pick(CHANGES)(events, random);
  return events;
}
