/** One small history for each anomaly, and its good twin: the same but for what makes it bad. */
import type { Producer } from './index.ts';
import { at, type BadHistory, pair, type Tell } from './story.ts';

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
    // The latest of its key has to be there, and only in a compacted partition may it be the only one.
    'lost-write',
    (h) =>
      h
        .compacted()
        .ackedOfOneKey(['a', 'b'], 0)
        .acked('w', ['c'], 2)
        .replica('n1', ['a', at(2, 'c')], { tail: 3 }),
    (h) =>
      h
        .compacted()
        .ackedOfOneKey(['a', 'b'], 0)
        .acked('w', ['c'], 2)
        .replica('n1', [at(1, 'b'), at(2, 'c')], { tail: 3 }),
  ),
  pair(
    'lost-write',
    (h) => h.compacted(false).ackedOfOneKey(['a', 'b'], 0, ['b']).replica('n1', [], { tail: 2 }),
    (h) => h.compacted().ackedOfOneKey(['a', 'b'], 0, ['b']).replica('n1', [], { tail: 2 }),
  ),
  pair(
    'lost-on-node',
    (h) => h.compacted().ackedOfOneKey(['a', 'b'], 0).replica('n1', ['a', 'b']).replica('n2', ['a'], { tail: 2 }),
    (h) =>
      h
        .compacted()
        .ackedOfOneKey(['a', 'b'], 0)
        .replica('n1', ['a', 'b'])
        .replica('n2', [at(1, 'b')], { tail: 2 }),
  ),
  pair(
    'deletion-forgotten',
    (h) =>
      h.compacted().ackedOfOneKey(['a', 'b'], 0, ['b']).replica('n1', ['a', 'b']).replica('n2', ['a'], { tail: 2 }),
    (h) => h.compacted().ackedOfOneKey(['a', 'b'], 0, ['b']).replica('n1', ['a', 'b']).replica('n2', [], { tail: 2 }),
  ),
  pair(
    'deletion-forgotten',
    (h) => h.compacted().ackedOfOneKey(['a', 'b'], 0, ['b']).replica('n1', ['a'], { tail: 2 }),
    // What lies below the log start is nobody's to remember.
    (h) => h.compacted().ackedOfOneKey(['b'], 0, ['b']).trim(1).replica('n1', [], { earliest: 1, tail: 1 }),
  ),
  pair(
    'bare-hole',
    // What supersedes a record has to be in the log that lacks it.
    (h) =>
      h
        .compacted()
        .ackedOfOneKey(['a'], 0)
        .acked('w', ['c'], 1)
        .read('r', 0, [at(1, 'c')], { given: 1 })
        .ackedOfOneKey(['b'], 2),
    (h) =>
      h
        .compacted()
        .ackedOfOneKey(['a'], 0)
        .acked('w', ['c'], 1)
        .ackedOfOneKey(['b'], 2)
        .read('r', 0, [at(1, 'c')], { given: 1, tail: 3 }),
  ),
  pair(
    'bare-hole',
    (h) =>
      h
        .compacted(false)
        .ackedOfOneKey(['a', 'b'], 0, ['b'])
        .read('r', 'next', [], { next: 2 })
        .read('r', 0, ['a', 'b']),
    (h) =>
      h.compacted().ackedOfOneKey(['a', 'b'], 0, ['b']).read('r', 'next', [], { next: 2 }).read('r', 0, ['a', 'b']),
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
