/** What one reader is given, one answer after the other: nothing left out, nothing twice, or TRIMMED. */
import type { Rule } from '../rule.ts';
import { type AnswerOf, type CallOf, type Done, type PartitionView, toldEarliest } from '../view.ts';

interface Step {
  readonly who: string;
  readonly call: CallOf<'read'>;
  readonly answer: AnswerOf<'records'>;
  /** Where this client's last read ended; undefined before its first. */
  readonly position: number | undefined;
}

/** Every answer with records, or none, and where its client stood. */
function* stepsOf(view: PartitionView): Iterable<Step> {
  const positions = new Map<string, number>();
  for (const { call, answer } of view.answered) {
    if (call.kind !== 'read' || answer === undefined) continue;
    if (answer.kind === 'trimmed') positions.set(call.client, answer.earliest);
    if (answer.kind !== 'records') continue;
    const who = `${call.client}${answer.node === undefined ? '' : ` on ${answer.node}`}`;
    yield { who, call, answer, position: positions.get(call.client) };
    positions.set(call.client, answer.next);
  }
}

export const BARE_HOLE: Rule = {
  name: 'bare-hole',
  sentence: 'A reader of a compacted partition was passed by a record that nothing had superseded.',
  source: 'P4; docs/guarantees.md, "Compacted topics"',
  *find(view) {
    if (view.compaction === undefined) return;
    for (const { who, call, answer, position } of stepsOf(view)) {
      const given = new Set(answer.records.map(({ offset }) => offset));
      // Of a subscription the tail told may be of before.
      const end = call.from === 'next' ? undefined : answer.tail;
      const asked = call.from === 'next' ? position : call.from;
      for (let offset = typeof asked === 'number' ? asked : answer.from; offset < answer.next; offset += 1)
        if (!given.has(offset) && !view.mayLack(offset, end))
          yield `${who} was given what lies around ${offset}, and nothing of its key from there to ${end ?? 'the end'}`;
    }
  },
};

export const POLL_SKIP: Rule = {
  name: 'poll-skip',
  sentence: 'A reader was moved forward without having been told TRIMMED.',
  source: 'P4; Kafka workload: poll-skip',
  *find(view) {
    // Of a compacted partition this, and the two rules that follow, are the business of bare-hole.
    if (view.compaction !== undefined) return;
    for (const { who, call, answer, position } of stepsOf(view)) {
      if (call.from === 'next' && position !== undefined && answer.from > position)
        yield `${who} was at ${position} and was given ${answer.from}`;
    }
  },
};

export const NONMONOTONIC_POLL: Rule = {
  name: 'nonmonotonic-poll',
  sentence: 'A reader was given again what it had been given.',
  source: 'P5; Kafka workload: nonmonotonic-poll',
  *find(view) {
    for (const { who, call, answer, position } of stepsOf(view)) {
      if (call.from === 'next' && position !== undefined && answer.from < position)
        yield `${who} was at ${position} and was given ${answer.from}`;
    }
  },
};

function* neighbours({ answer }: Step): Iterable<{ before: number; offset: number }> {
  let before = answer.from - 1;
  for (const { offset } of answer.records) {
    yield { before, offset };
    before = offset;
  }
}

export const INT_POLL_SKIP: Rule = {
  name: 'int-poll-skip',
  sentence: 'Within one answer an offset is left out.',
  source: 'P4; Kafka workload: int-poll-skip',
  *find(view) {
    if (view.compaction !== undefined) return;
    for (const step of stepsOf(view))
      for (const { before, offset } of neighbours(step))
        if (offset > before + 1) yield `${step.who} was given ${offset} where ${before + 1} was due`;
  },
};

export const INT_NONMONOTONIC_POLL: Rule = {
  name: 'int-nonmonotonic-poll',
  sentence: 'Within one answer an offset is not above the one before it.',
  source: 'P5; Kafka workload: int-nonmonotonic-poll',
  *find(view) {
    for (const step of stepsOf(view))
      for (const { before, offset } of neighbours(step))
        if (offset <= before) yield `${step.who} was given ${offset} behind ${before}`;
  },
};

/** What compaction took out may be passed, and never anything twice. */
function isElsewhere(view: PartitionView, at: number, due: number): boolean {
  return view.compaction === undefined ? at !== due : at < due;
}

export const WRONG_START: Rule = {
  name: 'wrong-start',
  sentence: 'An answer begins at another offset than the one asked for.',
  source: 'P4',
  *find(view) {
    for (const { who, call, answer } of stepsOf(view))
      if (typeof call.from === 'number' && isElsewhere(view, answer.from, call.from))
        yield `${who} asked for ${call.from} and was given ${answer.from}`;
  },
};

export const WRONG_NEXT: Rule = {
  name: 'wrong-next',
  sentence: 'An answer tells the reader to go on elsewhere than behind its last record.',
  source: 'P4, P5',
  *find(view) {
    for (const { who, answer } of stepsOf(view)) {
      const end = (answer.records.at(-1)?.offset ?? answer.from - 1) + 1;
      if (isElsewhere(view, answer.next, end))
        yield `${who} was given records up to ${end} and sent on to ${answer.next}`;
    }
  },
};

export const READ_PAST_TAIL: Rule = {
  name: 'read-past-tail',
  sentence: 'An answer holds records at or past the tail it names: they were not committed there.',
  source: 'P6; L1',
  *find(view) {
    for (const { who, answer } of stepsOf(view)) {
      const last = answer.records.at(-1)?.offset ?? -1;
      if (answer.tail !== undefined && last >= answer.tail)
        yield `${who} was given ${last}; the tail is ${answer.tail}`;
    }
  },
};

export const LOST_POSITION: Rule = {
  name: 'lost-position',
  sentence: 'A reader that goes on where it was is told that there is no such offset.',
  source: 'P5, P6',
  *find(view) {
    for (const { call, answer } of view.answered) {
      if (call.kind !== 'read' || call.from !== 'next' || answer?.kind !== 'failed') continue;
      if (answer.code === 'OUT_OF_RANGE') yield `${call.client} went on where it was and was told OUT_OF_RANGE`;
    }
  },
};

export const TRIM_LIE: Rule = {
  name: 'trim-lie',
  sentence: 'An offset below the log start was served as if nothing were there.',
  source: 'P4; our own',
  *find(view) {
    for (const { who, answer } of stepsOf(view))
      if (answer.records.length === 0 && answer.from < (answer.earliest ?? 0))
        yield `${who} was given nothing at ${answer.from}, below the log start ${answer.earliest}`;
  },
};

export const FALSE_TRIM: Rule = {
  name: 'false-trim',
  sentence: 'A reader was told TRIMMED at an offset that was not below the log start.',
  source: 'P4',
  *find(view) {
    const positions = new Map<string, number>();
    for (const { call, answer } of view.answered) {
      if (call.kind !== 'read') continue;
      const asked = call.from === 'next' ? positions.get(call.client) : call.from;
      if (answer?.kind === 'trimmed' && typeof asked === 'number' && asked >= answer.earliest)
        yield `${call.client} asked for ${asked} and was told TRIMMED: earliest is ${answer.earliest}`;
      if (answer?.kind === 'records') positions.set(call.client, answer.next);
      if (answer?.kind === 'trimmed') positions.set(call.client, answer.earliest);
    }
  },
};

export const UNASKED_TRIM: Rule = {
  name: 'unasked-trim',
  sentence: 'The log start moved beyond what anybody had asked to trim, and the partition has no retention.',
  source: 'P1; W21',
  *find(view) {
    if (view.hasRetention) return;
    const asked = new TrimsAsked(view);
    for (const done of view.answered) {
      const before = asked.upTo(done.endedLine);
      const earliest = toldEarliest(done.answer) ?? 0;
      if (earliest > before)
        yield `${done.call.client} was told that ${earliest} is earliest; a trim was asked up to ${before}`;
    }
    for (const { node, earliest } of view.replicas) {
      const before = asked.upTo(Number.POSITIVE_INFINITY);
      if (earliest > before) yield `${node} begins at ${earliest}; a trim was asked up to ${before}`;
    }
  },
};

/** The highest trim begun before a line, asked in rising order. */
class TrimsAsked {
  readonly #trims: readonly Done[];
  #at = 0;
  #before = 0;

  constructor(view: PartitionView) {
    this.#trims = view.calls.filter(({ call }) => call.kind === 'trim');
  }

  upTo(line: number): number {
    for (; this.#at < this.#trims.length && this.#trims[this.#at]!.beganLine < line; this.#at += 1) {
      const { call } = this.#trims[this.#at]!;
      if (call.kind === 'trim') this.#before = Math.max(this.#before, call.before);
    }
    return this.#before;
  }
}
