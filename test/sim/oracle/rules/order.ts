/** Order: of real time, of each writer, and of what replicas stamp on records. */
import type { Rule } from '../rule.ts';
import type { Batch, Done, PartitionView } from '../view.ts';

/** One past the last offset that an answer shows to be committed. */
export function shownEnd(view: PartitionView, { call, answer }: Done): number {
  if (answer?.kind === 'acked' && answer.offset !== null && call.kind === 'append')
    return answer.offset + call.values.length;
  if (answer?.kind === 'tailIs') return answer.tail;
  if (answer?.kind === 'records') return Math.max(answer.tail ?? 0, (answer.records.at(-1)?.offset ?? -1) + 1);
  // An ack without its offset, of a batch that was seen.
  if (answer?.kind === 'acked' && call.kind === 'append') {
    const place = view.byValue.get(call.values.at(-1)!);
    return place === undefined ? 0 : place.offset + 1;
  }
  return 0;
}

/** For each line asked for: how far the log was known to reach by the calls that had ended before it. */
export function knownEnds(view: PartitionView, lines: readonly number[]): Map<number, number> {
  const ends = new Map<number, number>();
  let at = 0;
  let end = 0;
  for (const line of [...lines].sort((a, b) => a - b)) {
    for (; at < view.answered.length && view.answered[at]!.endedLine < line; at += 1)
      end = Math.max(end, shownEnd(view, view.answered[at]!));
    ends.set(line, end);
  }
  return ends;
}

export const RT_ORDER: Rule = {
  name: 'rt-order',
  sentence: 'An append began after the log was known to reach an offset, and lies below it.',
  source: "P3; Redpanda's checker",
  *find(view) {
    const placed = view.batches.flatMap((batch) => {
      const place = view.placeOf(batch);
      return place === undefined || batch.isSurelyNot ? [] : [{ batch, place }];
    });
    const ends = knownEnds(
      view,
      placed.map(({ batch }) => batch.beganLine),
    );
    for (const { batch, place } of placed) {
      const end = ends.get(batch.beganLine)!;
      // Read before it was sent at all: that is future-read.
      const line = view.byOffset.get(place)?.line;
      if (line !== undefined && line < batch.beganLine) continue;
      if (place < end) yield `${batch.values[0]} lies at ${place}; the log reached ${end} before it was sent`;
    }
  },
};

/** Batches with a place, in the order of the log. */
function inLogOrder(view: PartitionView): { batch: Batch; place: number }[] {
  return view.batches
    .flatMap((batch) => {
      const place = view.placeOf(batch);
      return place === undefined ? [] : [{ batch, place }];
    })
    .sort((a, b) => a.place - b.place);
}

export const NONMONOTONIC_SEND: Rule = {
  name: 'nonmonotonic-send',
  sentence: "A writer's later batch lies below an earlier one.",
  source: 'P3; Kafka workload: nonmonotonic-send',
  *find(view) {
    const last = new Map<string, { order: number; value: string }>();
    for (const { batch } of inLogOrder(view)) {
      for (const [stream, order] of streamsOf(batch)) {
        const before = last.get(stream);
        if (before !== undefined && order <= before.order) yield `${batch.values[0]} lies behind ${before.value}`;
        if (before === undefined || order > before.order) last.set(stream, { order, value: batch.values[0]! });
      }
    }
  },
};

/** The orders a batch belongs to: its client's, and its producer's within an epoch. */
function* streamsOf({ client, order, producer }: Batch): Iterable<[string, number]> {
  if (order !== undefined) yield [`client ${client}`, order];
  if (producer !== undefined) yield [`producer ${producer.id} ${producer.epoch}`, producer.sequence];
}

export const FENCED_APPEND: Rule = {
  name: 'fenced-append',
  sentence: 'A batch of a fenced epoch lies behind one of a higher epoch.',
  source: 'P7; F72',
  *find(view) {
    const highest = new Map<string, { epoch: number; value: string }>();
    for (const { batch } of inLogOrder(view)) {
      if (batch.producer === undefined) continue;
      const { id, epoch } = batch.producer;
      const before = highest.get(id);
      if (before !== undefined && epoch < before.epoch)
        yield `${batch.values[0]} of epoch ${epoch} lies behind ${before.value} of epoch ${before.epoch}`;
      else highest.set(id, { epoch, value: batch.values[0]! });
    }
  },
};

export const SEQUENCE_GAP: Rule = {
  name: 'sequence-gap',
  sentence: "An idempotent producer's batch is in the log and the one before it, of the same epoch, is not.",
  source: 'P7; R: producer table',
  *find(view) {
    const due = new Map<string, { next: number; unread: number }>();
    const holes = new Holes(view);
    for (const { batch, place } of inLogOrder(view)) {
      if (batch.producer === undefined) continue;
      const { id, epoch, sequence } = batch.producer;
      const key = `${id} ${epoch}`;
      const unread = holes.below(place);
      const { next, unread: unreadThen } = due.get(key) ?? { next: 0, unread: 0 };
      // What was trimmed before anybody read it may have been the missing one.
      if (sequence > next && unread === unreadThen)
        yield `${batch.values[0]} has sequence ${sequence} of epoch ${epoch}; ${next} was due`;
      due.set(key, { next: sequence + batch.values.length, unread });
    }
  },
};

/** Counts the offsets nobody was given, asked in rising order. */
class Holes {
  readonly #view: PartitionView;
  #at = 0;
  #count = 0;

  constructor(view: PartitionView) {
    this.#view = view;
  }

  below(offset: number): number {
    for (; this.#at < offset; this.#at += 1) if (!this.#view.byOffset.has(this.#at)) this.#count += 1;
    return this.#count;
  }
}

function* steps(view: PartitionView, of: 'time' | 'term'): Iterable<string> {
  const stamped = [...view.byOffset.values()].filter((witness) => witness[of] !== undefined);
  stamped.sort((a, b) => a.offset - b.offset);
  for (const [at, later] of stamped.entries()) {
    const earlier = stamped[at - 1];
    if (earlier !== undefined && later[of]! < earlier[of]!)
      yield `${of} ${later[of]} at ${later.offset} is below ${earlier[of]} at ${earlier.offset}`;
  }
}

export const TIME_BACK: Rule = {
  name: 'time-back',
  sentence: 'The append time of a record is below that of an earlier one.',
  source: 'F26',
  find: (view) => steps(view, 'time'),
};

export const TERM_BACK: Rule = {
  name: 'term-back',
  sentence: 'The term of a record is below that of an earlier one.',
  source: 'P2; log matching',
  find: (view) => steps(view, 'term'),
};
