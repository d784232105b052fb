/**
 * One small history for each anomaly, and its good twin: the same but for what makes it bad. Written in a short hand:
 * `w.append('a')` begins an append of record a, `.acked(0)` ends it, `r.read(...)` is a read with its answer, and so
 * on.
 */
import { type Answer, type HistoryEvent, type Level, type Producer, Recorder, type Sighting } from './index.ts';

const P = 't/0';

export interface BadHistory {
  readonly anomaly: string;
  readonly bad: readonly HistoryEvent[];
  readonly good: readonly HistoryEvent[];
}

type Records = readonly (string | Sighting)[];

/** Records from an offset on; a string is one with nothing but its value. */
function recordsFrom(from: number, values: Records): Sighting[] {
  return values.map((value, at) => (typeof value === 'string' ? { offset: from + at, value } : value));
}

class Story {
  readonly #recorder = new Recorder();

  get events(): readonly HistoryEvent[] {
    return this.#recorder.events;
  }

  /** Begins; end it with acked() or failed(). */
  begin(client: string, values: readonly string[], more: { producer?: Producer; order?: number } = {}): number {
    return this.#recorder.begin({ kind: 'append', client, partition: P, values, ...more });
  }

  end(op: number, answer: Answer): this {
    this.#recorder.end(op, answer);
    return this;
  }

  acked(
    client: string,
    values: readonly string[],
    offset: number | null,
    more: { producer?: Producer; order?: number } = {},
  ): this {
    return this.end(this.begin(client, values, more), { kind: 'acked', offset });
  }

  failed(
    client: string,
    values: readonly string[],
    outcome: 'none' | 'unknown',
    more: { producer?: Producer } = {},
  ): this {
    return this.end(this.begin(client, values, more), { kind: 'failed', outcome });
  }

  askRead(client: string, from: number | 'next' | 'earliest', level: Level = 'any', atLeast?: number): number {
    const token = atLeast === undefined ? {} : { atLeast };
    return this.#recorder.begin({ kind: 'read', client, partition: P, from, level, ...token });
  }

  /** A read with its answer; `given` is where the answer begins, the tail is its end unless told. */
  read(
    client: string,
    from: number | 'next' | 'earliest',
    values: Records,
    more: { given?: number; next?: number; tail?: number; earliest?: number; level?: Level; atLeast?: number } = {},
  ): this {
    const op = this.askRead(client, from, more.level ?? 'any', more.atLeast);
    return this.records(op, more.given ?? (typeof from === 'number' ? from : 0), values, more);
  }

  records(
    op: number,
    given: number,
    values: Records,
    more: { next?: number; tail?: number; earliest?: number } = {},
  ): this {
    const records = recordsFrom(given, values);
    const next = more.next ?? (records.at(-1)?.offset ?? given - 1) + 1;
    return this.end(op, {
      kind: 'records',
      from: given,
      next,
      earliest: more.earliest ?? 0,
      tail: more.tail ?? next,
      records,
    });
  }

  trimmed(client: string, from: number | 'next', earliest: number): this {
    return this.end(this.askRead(client, from), { kind: 'trimmed', earliest });
  }

  askTail(client: string, level: Level = 'linearizable'): number {
    return this.#recorder.begin({ kind: 'tail', client, partition: P, level });
  }

  tail(client: string, tail: number, earliest = 0): this {
    return this.end(this.askTail(client), { kind: 'tailIs', tail, earliest });
  }

  trim(before: number): this {
    return this.end(this.#recorder.begin({ kind: 'trim', client: 'operator', partition: P, before }), { kind: 'done' });
  }

  manage(kind: 'create' | 'delete'): this {
    return this.end(this.#recorder.begin({ kind, client: 'operator', partition: P }), { kind: 'done' });
  }

  healed(): this {
    this.#recorder.note({ kind: 'healed' });
    return this;
  }

  drained(client: string): this {
    this.#recorder.note({ kind: 'drained', client, partition: P });
    return this;
  }

  replica(node: string, values: Records, more: { earliest?: number; tail?: number; chain?: string } = {}): this {
    const earliest = more.earliest ?? 0;
    const records = recordsFrom(earliest, values);
    const tail = more.tail ?? earliest + values.length;
    const chain = more.chain === undefined ? {} : { chain: [{ offset: tail - 1, sum: more.chain }] };
    this.#recorder.note({ kind: 'replica', partition: P, node, earliest, tail, records, ...chain });
    return this;
  }
}

type Tell = (story: Story) => Story;

function pair(anomaly: string, bad: Tell, good: Tell): BadHistory {
  return { anomaly, bad: bad(new Story()).events, good: good(new Story()).events };
}

const tuple = (epoch: number, sequence: number): { producer: Producer } => ({ producer: { id: 'p', epoch, sequence } });

/** b is sent after a was acknowledged at 1. */
const late =
  (place: number): Tell =>
  (story) =>
    story.acked('w1', ['a'], 1).acked('w2', ['b'], place);

export const BAD_HISTORIES: readonly BadHistory[] = [
  pair(
    'lost-write',
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).acked('w', ['c'], 2).read('r', 2, ['c']),
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).acked('w', ['c'], 2).read('r', 0, ['a', 'b', 'c']),
  ),
  pair(
    'lost-write',
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).replica('n1', ['a']),
    (h) => h.acked('w', ['a'], 0).failed('w', ['b'], 'unknown').replica('n1', ['a']),
  ),
  pair(
    'lost-on-node',
    (h) =>
      h
        .acked('w', ['a', 'b', 'c'], 0)
        .replica('n1', ['a', 'b', 'c'])
        .replica('n2', ['a', { offset: 2, value: 'c' }], { tail: 3 }),
    (h) =>
      h
        .acked('w', ['a', 'b', 'c'], 0)
        .trim(1)
        .replica('n1', ['a', 'b', 'c'])
        .replica('n2', ['b', 'c'], { earliest: 1 }),
  ),
  pair(
    'vanished-read',
    (h) => h.acked('w', ['a'], 0).failed('w', ['b'], 'unknown').read('r', 0, ['a', 'b']).replica('n1', ['a']),
    (h) => h.acked('w', ['a'], 0).failed('w', ['b'], 'unknown').read('r', 0, ['a']).replica('n1', ['a']),
  ),
  pair(
    'aborted-read',
    (h) => h.failed('w', ['a'], 'none').read('r', 0, ['a']),
    (h) => h.failed('w', ['a'], 'unknown').read('r', 0, ['a']),
  ),
  pair(
    'phantom',
    (h) => h.acked('w', ['a'], 0).read('r', 0, ['a', 'x']),
    (h) => h.acked('w', ['a'], 0).read('r', 0, ['a']),
  ),
  pair(
    'future-read',
    (h) => h.read('r', 0, ['a']).failed('w', ['a'], 'unknown'),
    (h) => {
      const op = h.begin('w', ['a']);
      return h.read('r', 0, ['a']).end(op, { kind: 'failed', outcome: 'unknown' });
    },
  ),
  pair(
    'wrong-bytes',
    (h) => h.acked('w', ['a'], 0).read('r', 0, [{ offset: 0, value: 'a', isDamaged: true }]),
    (h) => h.acked('w', ['a'], 0).read('r', 0, ['a']),
  ),
  pair(
    'replica-divergence',
    (h) => h.failed('w', ['a'], 'unknown').failed('v', ['b'], 'unknown').replica('n1', ['a']).replica('n2', ['b']),
    (h) => h.failed('w', ['a'], 'unknown').failed('v', ['b'], 'unknown').replica('n1', ['a']).replica('n2', ['a']),
  ),
  pair(
    'replica-divergence',
    (h) => h.acked('w', ['a'], 0).replica('n1', ['a'], { chain: '1f' }).replica('n2', ['a'], { chain: '2e' }),
    (h) => h.acked('w', ['a'], 0).replica('n1', ['a'], { chain: '1f' }).replica('n2', ['a'], { chain: '1f' }),
  ),
  pair(
    'unseen',
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).healed().read('r', 'next', ['a'], { tail: 2 }).drained('r'),
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).healed().read('r', 'next', ['a', 'b']).drained('r'),
  ),
  pair(
    'inconsistent-offset',
    (h) => h.failed('w', ['a'], 'unknown').failed('v', ['b'], 'unknown').read('r', 0, ['a']).read('s', 0, ['b']),
    (h) => h.failed('w', ['a'], 'unknown').failed('v', ['b'], 'unknown').read('r', 0, ['a']).read('s', 0, ['a', 'b']),
  ),
  pair(
    'inconsistent-offset',
    (h) =>
      h
        .failed('w', ['a'], 'unknown')
        .read('r', 0, [{ offset: 0, value: 'a', term: 1 }])
        .read('s', 0, [{ offset: 0, value: 'a', term: 2 }]),
    (h) =>
      h
        .failed('w', ['a'], 'unknown')
        .read('r', 0, [{ offset: 0, value: 'a', term: 1 }])
        .read('s', 0, ['a']),
  ),
  pair(
    'ack-of-another',
    (h) => {
      const op = h.begin('w', ['a']);
      return h.failed('v', ['b'], 'unknown').end(op, { kind: 'acked', offset: 0 }).read('r', 0, ['b']);
    },
    (h) => {
      const op = h.begin('w', ['a']);
      return h.failed('v', ['b'], 'unknown').end(op, { kind: 'acked', offset: 0 }).read('r', 0, ['a']);
    },
  ),
  pair(
    'ack-of-another',
    (h) =>
      h
        .end(h.begin('w', ['a']), { kind: 'acked', offset: 0, term: 2 })
        .read('r', 0, [{ offset: 0, value: 'a', term: 1 }]),
    (h) =>
      h
        .end(h.begin('w', ['a']), { kind: 'acked', offset: 0, term: 1 })
        .read('r', 0, [{ offset: 0, value: 'a', term: 1 }]),
  ),
  pair(
    'offset-reuse',
    (h) => {
      const first = h.begin('w', ['a', 'b']);
      const second = h.begin('v', ['c']);
      return h.end(first, { kind: 'acked', offset: 0 }).end(second, { kind: 'acked', offset: 1 });
    },
    (h) => {
      const first = h.begin('w', ['a', 'b']);
      const second = h.begin('v', ['c']);
      return h.end(first, { kind: 'acked', offset: 0 }).end(second, { kind: 'acked', offset: 2 });
    },
  ),
  pair(
    'two-acks',
    (h) => h.acked('w', ['a'], 0, tuple(0, 0)).acked('w', ['a'], 1, tuple(0, 0)),
    (h) => h.acked('w', ['a'], 0, tuple(0, 0)).acked('w', ['a'], 0, tuple(0, 0)),
  ),
  pair(
    'duplicate',
    (h) => h.failed('w', ['a'], 'unknown', tuple(0, 0)).acked('w', ['a'], 0, tuple(0, 0)).read('r', 0, ['a', 'a']),
    (h) => h.failed('w', ['a'], 'unknown', tuple(0, 0)).acked('w', ['a'], 0, tuple(0, 0)).read('r', 0, ['a']),
  ),
  pair(
    'torn-batch',
    (h) => h.failed('w', ['a', 'b'], 'unknown').replica('n1', ['a']),
    (h) => h.failed('w', ['a', 'b'], 'unknown').replica('n1', ['a', 'b']),
  ),
  pair(
    'torn-batch',
    (h) => h.failed('w', ['a', 'b'], 'unknown').failed('v', ['c'], 'unknown').read('r', 0, ['a', 'c', 'b']),
    (h) => h.failed('w', ['a', 'b'], 'unknown').failed('v', ['c'], 'unknown').read('r', 0, ['a', 'b', 'c']),
  ),
  pair('rt-order', late(0), late(2)),
  pair(
    'rt-order',
    // What was read shows how far the log had come, too.
    (h) => h.failed('w', ['a'], 'unknown').tail('r', 1).failed('v', ['b'], 'unknown').read('r', 0, ['b', 'a']),
    (h) => h.failed('w', ['a'], 'unknown').tail('r', 1).failed('v', ['b'], 'unknown').read('r', 0, ['a', 'b']),
  ),
  pair(
    'nonmonotonic-send',
    (h) => {
      const first = h.begin('w', ['a'], { order: 0 });
      const second = h.begin('w', ['b'], { order: 1 });
      return h.end(first, { kind: 'acked', offset: 1 }).end(second, { kind: 'acked', offset: 0 });
    },
    (h) => {
      const first = h.begin('w', ['a'], { order: 0 });
      const second = h.begin('w', ['b'], { order: 1 });
      return h.end(second, { kind: 'acked', offset: 1 }).end(first, { kind: 'acked', offset: 0 });
    },
  ),
  pair(
    'fenced-append',
    (h) => h.failed('w', ['a'], 'unknown', tuple(0, 0)).acked('w', ['b'], 0, tuple(1, 0)).read('r', 0, ['b', 'a']),
    (h) => h.failed('w', ['a'], 'unknown', tuple(0, 0)).acked('w', ['b'], 1, tuple(1, 0)).read('r', 0, ['a', 'b']),
  ),
  pair(
    'sequence-gap',
    (h) => h.failed('w', ['a'], 'unknown', tuple(0, 0)).acked('w', ['b'], 0, tuple(0, 1)).read('r', 0, ['b']),
    (h) => h.acked('w', ['a'], 0, tuple(0, 0)).acked('w', ['b'], 1, tuple(0, 1)).read('r', 0, ['a', 'b']),
  ),
  pair(
    'time-back',
    (h) =>
      h.failed('w', ['a', 'b'], 'unknown').read('r', 0, [
        { offset: 0, value: 'a', time: 9 },
        { offset: 1, value: 'b', time: 8 },
      ]),
    (h) =>
      h.failed('w', ['a', 'b'], 'unknown').read('r', 0, [
        { offset: 0, value: 'a', time: 9 },
        { offset: 1, value: 'b', time: 9 },
      ]),
  ),
  pair(
    'term-back',
    (h) =>
      h.failed('w', ['a', 'b'], 'unknown').read('r', 0, [
        { offset: 0, value: 'a', term: 3 },
        { offset: 1, value: 'b', term: 2 },
      ]),
    (h) =>
      h.failed('w', ['a', 'b'], 'unknown').read('r', 0, [
        { offset: 0, value: 'a', term: 3 },
        { offset: 1, value: 'b', term: 3 },
      ]),
  ),
  pair(
    'poll-skip',
    (h) =>
      h
        .failed('w', ['a', 'b', 'c'], 'unknown')
        .read('r', 'next', ['a'], { tail: 3 })
        .read('r', 'next', ['c'], { given: 2 }),
    (h) => h.failed('w', ['a', 'b', 'c'], 'unknown').read('r', 'next', ['a'], { tail: 3 }).read('r', 2, ['c']),
  ),
  pair(
    'poll-skip',
    // A trim moves a reader on only when it is told.
    (h) =>
      h
        .failed('w', ['a', 'b', 'c'], 'unknown')
        .read('r', 'next', ['a'], { tail: 3 })
        .trim(2)
        .read('r', 'next', ['c'], { given: 2, earliest: 2 }),
    (h) =>
      h
        .failed('w', ['a', 'b', 'c'], 'unknown')
        .read('r', 'next', ['a'], { tail: 3 })
        .trim(2)
        .trimmed('r', 'next', 2)
        .read('r', 'next', ['c'], { given: 2, earliest: 2 }),
  ),
  pair(
    'int-poll-skip',
    (h) => h.failed('w', ['a', 'b', 'c'], 'unknown').read('r', 0, ['a', { offset: 2, value: 'c' }]),
    (h) => h.failed('w', ['a', 'b', 'c'], 'unknown').read('r', 0, ['a', 'b', 'c']),
  ),
  pair(
    'nonmonotonic-poll',
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 'next', ['a', 'b']).read('r', 'next', ['b'], { given: 1 }),
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 'next', ['a', 'b']).read('s', 'next', ['b'], { given: 1 }),
  ),
  pair(
    'int-nonmonotonic-poll',
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 0, ['a', 'b', { offset: 1, value: 'b' }]),
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 0, ['a', 'b']),
  ),
  pair(
    'wrong-start',
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 0, ['b'], { given: 1 }),
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 'earliest', ['a', 'b'], { given: 0 }),
  ),
  pair(
    'wrong-next',
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 0, ['a'], { next: 2 }),
    (h) => h.failed('w', ['a', 'b'], 'unknown').read('r', 0, ['a'], { tail: 2 }),
  ),
  pair(
    'read-past-tail',
    (h) => h.failed('w', ['a'], 'unknown').failed('w', ['b'], 'unknown').read('r', 0, ['a', 'b'], { tail: 1 }),
    (h) => h.failed('w', ['a'], 'unknown').failed('w', ['b'], 'unknown').read('r', 0, ['a'], { tail: 1 }),
  ),
  pair(
    'lost-position',
    (h) => h.end(h.askRead('r', 'next'), { kind: 'failed', outcome: 'none', code: 'OUT_OF_RANGE' }),
    (h) => h.end(h.askRead('r', 7), { kind: 'failed', outcome: 'none', code: 'OUT_OF_RANGE' }),
  ),
  pair(
    'trim-lie',
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(2).read('r', 0, [], { earliest: 2, tail: 2 }),
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(2).trimmed('r', 0, 2).read('r', 2, [], { earliest: 2 }),
  ),
  pair(
    'false-trim',
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(1).trimmed('r', 1, 1),
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(1).trimmed('r', 0, 1),
  ),
  pair(
    'unasked-trim',
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(1).trimmed('r', 0, 2),
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(2).trimmed('r', 0, 2),
  ),
  pair(
    'stale-tail',
    (h) => h.acked('w', ['a'], 0).tail('r', 0),
    (h) => {
      const op = h.askTail('r');
      return h.acked('w', ['a'], 0).end(op, { kind: 'tailIs', tail: 0, earliest: 0 });
    },
  ),
  pair(
    'stale-read',
    (h) => h.acked('w', ['a'], 0).read('r', 0, [], { level: 'linearizable' }),
    (h) => h.acked('w', ['a'], 0).read('r', 0, [], { level: 'any' }),
  ),
  pair(
    'broken-token',
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).read('r', 0, ['a'], { level: 'atLeast', atLeast: 2 }),
    (h) => h.acked('w', ['a'], 0).acked('w', ['b'], 1).read('r', 0, ['a'], { level: 'atLeast', atLeast: 2, tail: 2 }),
  ),
  pair(
    'earliest-back',
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(1).tail('r', 2, 1).tail('r', 2, 0),
    (h) => h.failed('w', ['a', 'b'], 'unknown').trim(1).tail('r', 2, 1).tail('r', 2, 1),
  ),
  pair(
    'ghost-topic',
    (h) => h.manage('create').manage('delete').healed().acked('w', ['a'], 0),
    (h) => h.manage('create').acked('w', ['a'], 0).manage('delete').healed(),
  ),
  pair(
    'vanished-topic',
    (h) =>
      h
        .manage('create')
        .healed()
        .end(h.begin('w', ['a']), { kind: 'failed', outcome: 'none', code: 'TOPIC_NOT_FOUND' }),
    (h) =>
      h
        .manage('create')
        .manage('delete')
        .healed()
        .end(h.begin('w', ['a']), { kind: 'failed', outcome: 'none', code: 'TOPIC_NOT_FOUND' }),
  ),
];
