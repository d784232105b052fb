import { describe, expect, test } from 'vitest';
import { at, entries, Solo } from './support/solo.ts';

/** The follower's log, an append of the leader of term 4, and what becomes of it. */
const CASES = [
  { name: 'an empty log, the first entries', log: [], previous: at(0, 0), terms: [1, 1], after: [1, 1], cut: [] },
  { name: 'entries at the end', log: [1, 2], previous: at(2, 2), terms: [2, 3], after: [1, 2, 2, 3], cut: [] },
  { name: 'a gap', log: [1, 2], previous: at(4, 2), terms: [2], refused: at(2, 2) },
  { name: 'another term before', log: [1, 3], previous: at(2, 2), terms: [2], refused: at(1, 1) },
  { name: 'no entries, a match', log: [1, 2], previous: at(2, 2), terms: [], after: [1, 2], cut: [] },
  { name: 'no entries, no match', log: [1, 2], previous: at(3, 2), terms: [], refused: at(2, 2) },
  { name: 'all known', log: [1, 1, 2], previous: at(1, 1), terms: [1], after: [1, 1, 2], cut: [] },
  { name: 'known, then new', log: [1, 1], previous: at(0, 0), terms: [1, 1, 4], after: [1, 1, 4], cut: [] },
  { name: 'a conflict at once', log: [1, 2, 2], previous: at(1, 1), terms: [3], after: [1, 3], cut: [2] },
  { name: 'a conflict later', log: [1, 2, 2], previous: at(0, 0), terms: [1, 2, 3], after: [1, 2, 3], cut: [3] },
  { name: 'a conflict at the first entry', log: [1, 1], previous: at(0, 0), terms: [4], after: [4], cut: [1] },
  { name: 'terms in plenty', log: [], previous: at(0, 0), terms: [1, 1, 2, 4, 4], after: [1, 1, 2, 4, 4], cut: [] },
  { name: 'a whole term of difference', log: [1, 2, 2, 2, 3, 3], previous: at(6, 1), terms: [4], refused: at(1, 1) },
];

describe('an append that brings', () => {
  test.each(CASES)('$name', ({ log, previous, terms, after, cut, refused }) => {
    const solo = new Solo({ terms: log });
    const lastNew = previous.index + terms.length;
    solo.step({ kind: 'append', term: 4, previous, commit: 0, entries: entries(previous.index + 1, terms) });
    solo.flush();
    const replies = [...solo.waiting('append-reply'), ...solo.sent('append-reply')];
    expect(solo.log).toEqual(after ?? log);
    expect(solo.truncations).toEqual(cut ?? []);
    if (refused === undefined) {
      expect(replies.at(-1)).toMatchObject({ accepted: true, index: lastNew, lastIndex: solo.log.length });
    } else {
      expect(replies).toMatchObject([{ accepted: false, index: previous.index, hint: refused, lastIndex: log.length }]);
    }
  });
});

describe('a follower', () => {
  test('takes a commit from a notice and answers it with nothing; it answers the round', () => {
    const solo = new Solo({ terms: [1, 1] });
    solo.step({ kind: 'append', term: 1, previous: at(2, 1), commit: 0, entries: [] });
    const heartbeat = { kind: 'heartbeat', term: 1, commit: 1, round: 3 } as const;
    solo.step(heartbeat);
    expect(solo.sent('heartbeat-reply')).toMatchObject([{ round: 3 }]);
    solo.take();
    solo.step({ ...heartbeat, commit: 2, isNotice: true });
    expect(solo.raft.commit).toBe(2);
    expect(solo.sent('heartbeat-reply')).toEqual([]);
  });

  test('commits nothing on a heartbeat that this leader has not matched: its disk may have gone back to an older log', () => {
    // The leader was acked three entries of term 2 by this node, and heard nothing of what became of its disk since.
    const solo = new Solo({ terms: [1, 1, 1], hardState: { term: 2, votedFor: undefined } });
    solo.step({ kind: 'heartbeat', term: 2, commit: 3, round: 9 });
    expect(solo.raft.commit).toBe(0);
    solo.step({ kind: 'append', term: 2, previous: at(1, 1), commit: 3, entries: entries(2, [2, 2]) }).flush();
    expect([solo.log, solo.raft.commit]).toEqual([[1, 2, 2], 3]);
  });

  test('hears its leader in a notice: it does not campaign', () => {
    const solo = new Solo({ terms: [1, 1] });
    for (let round = 0; round < 10; round += 1) {
      solo.step({ kind: 'heartbeat', term: 1, commit: 1, round: 3, isNotice: true }).tick(15);
    }
    expect(solo.raft.role).toBe('follower');
  });

  test('promises nothing by a notice: nobody would know of it (R8)', () => {
    const solo = new Solo({ terms: [1, 1], raft: { promiseMs: 100 } });
    solo.step({ kind: 'heartbeat', term: 1, commit: 1, round: 3 }).tick(15);
    solo.step({ kind: 'heartbeat', term: 1, commit: 1, round: 3, isNotice: true });
    // The promise of round 3 ends 20 ticks after it was given; with the link gone, a campaign follows within 8.
    solo.do((raft) => raft.peerDown('n2'));
    solo.tick(13);
    expect(solo.raft.role).toBe('pre-candidate');
  });

  test('refuses nothing at or below its commit index, where there is nothing left to compare', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1], commit: 4 });
    solo.do((raft) => raft.logStartMoved(at(3, 1)));
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 4, entries: entries(2, [1, 1, 1, 1]) }).flush();
    expect(solo.log).toEqual([1, 1]);
    expect(solo.sent('append-reply').map(({ index }) => index)).toEqual([4, 5]);
  });

  test('stops rather than overwrite a committed entry (W18)', () => {
    const solo = new Solo({ terms: [1, 1], commit: 2 });
    const append = { kind: 'append', term: 3, previous: at(1, 1), commit: 0, entries: entries(2, [3]) } as const;
    expect(() => solo.step(append)).toThrow('committed entry 2 has term 1 here and term 3 at the leader');
  });

  test('stops rather than follow two leaders in one term', () => {
    const solo = new Solo().step({ kind: 'heartbeat', from: 'n2', term: 1, commit: 0, round: 1 });
    expect(() => solo.step({ kind: 'heartbeat', from: 'n3', term: 1, commit: 0, round: 1 })).toThrow('two leaders');
  });

  test('answers many appends with one ack when one flush covers them', () => {
    const solo = new Solo({ terms: [1] }).step({
      kind: 'append',
      term: 1,
      previous: at(1, 1),
      commit: 0,
      entries: entries(2, [1]),
    });
    solo.take();
    solo.step({ kind: 'append', term: 1, previous: at(2, 1), commit: 0, entries: entries(3, [1]) });
    solo.step({ kind: 'append', term: 1, previous: at(3, 1), commit: 0, entries: entries(4, [1]) });
    solo.do((raft) => raft.persisted(at(4, 1)));
    expect(solo.sent('append-reply').map(({ index }) => index)).toEqual([4]);
  });

  test('acks to the leader of its present term what an earlier leader sent it, once that leader says it matches', () => {
    const solo = new Solo({ terms: [1] });
    solo.step({ kind: 'append', from: 'n2', term: 1, previous: at(1, 1), commit: 0, entries: entries(2, [1]) });
    solo.step({ kind: 'heartbeat', from: 'n3', term: 2, commit: 0, round: 1 }).saved();
    solo.take();
    solo.do((raft) => raft.persisted(at(2, 1)));
    expect(solo.sent('append-reply')).toEqual([]);
    solo.step({ kind: 'append', from: 'n3', term: 2, previous: at(2, 1), commit: 0, entries: [] });
    expect(solo.sent('append-reply')).toMatchObject([{ to: 'n3', term: 2, accepted: true, index: 2 }]);
  });

  test('that has no right to vote takes entries and acks none until it has (R19)', () => {
    const solo = new Solo({ terms: [1] });
    solo.do((raft) => raft.setMayVote(false));
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 1, entries: entries(2, [1]) }).flush();
    expect(solo.sent('append-reply')).toEqual([]);
    expect(solo.log).toEqual([1, 1]);
    solo.do((raft) => raft.setMayVote(true));
    expect(solo.sent('append-reply')).toMatchObject([{ accepted: true, index: 2 }]);
  });

  test('hears no appends and does not campaign while a snapshot is being installed', () => {
    const solo = new Solo({ terms: [1] });
    const { membership } = solo.raft;
    solo.step({ kind: 'snapshot', term: 2, snapshot: at(9, 2), membership, commit: 9 }).saved();
    solo.take();
    solo.step({ kind: 'append', term: 2, previous: at(1, 1), commit: 9, entries: entries(2, [1]) }).tick(100);
    expect(solo.log).toEqual([1]);
    expect(solo.raft.role).toBe('follower');
    expect(solo.sent('append-reply')).toEqual([]);
  });

  test('installs a snapshot of a former leader, and tells the new one nothing of it unasked', () => {
    const solo = new Solo({ terms: [1] });
    const { membership } = solo.raft;
    solo.step({ kind: 'snapshot', term: 2, snapshot: at(9, 2), membership, commit: 9 }).saved();
    solo.step({ kind: 'heartbeat', from: 'n3', term: 3, commit: 0, round: 1 }).saved();
    solo.do((raft) => raft.installed(at(9, 2)));
    expect(solo.raft).toMatchObject({ lastIndex: 9, commit: 9, term: 3 });
    expect(solo.sent('snapshot-reply')).toEqual([]);
  });

  test('takes the membership of a snapshot it installs (R14)', () => {
    const solo = new Solo({ terms: [1] });
    const membership = { voters: ['n1', 'n2'], votersOutgoing: [], learners: ['n3'] };
    solo.step({ kind: 'snapshot', term: 2, snapshot: at(9, 2), membership, commit: 9 }).saved();
    solo.do((raft) => raft.installed(at(9, 2)));
    expect(solo.raft.membership).toEqual(membership);
  });
});
