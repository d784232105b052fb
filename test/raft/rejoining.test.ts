/** A node that lost what it may have promised: what it may not do, and what its answers are worth (R19, R21). */
import { describe, expect, test } from 'vitest';
import { Raft } from '../../src/raft/index.ts';
import { at, entries, Solo } from './support/solo.ts';

function rejoining(terms: readonly number[] = [1]): Solo {
  const solo = new Solo({ terms });
  solo.do((raft) => raft.beginRejoining());
  return solo;
}

describe('a node that rejoins', () => {
  test('grants no vote and no pre-vote, also to a candidate that is ahead, also in a transfer', () => {
    const solo = rejoining();
    solo.step({ kind: 'pre-vote', term: 5, last: at(9, 4) });
    solo.step({ kind: 'vote', term: 5, last: at(9, 4), isTransfer: true }).saved();
    expect(solo.sent('pre-vote-reply')).toMatchObject([{ granted: false }]);
    expect(solo.waiting('vote-reply').concat(solo.sent('vote-reply'))).toMatchObject([{ granted: false }]);
  });

  test('does not campaign: not after a timeout, not when told to, not as the preferred leader', () => {
    const solo = rejoining().tick(100);
    solo.do((raft) => raft.campaign());
    solo.step({ kind: 'timeout-now', term: 1 });
    expect(solo.raft.role).toBe('follower');
    expect(solo.raft.term).toBe(1);
  });

  test('leads no longer', () => {
    const solo = new Solo().lead();
    solo.do((raft) => raft.beginRejoining());
    expect(solo.raft.role).toBe('follower');
  });

  test('marks each answer, until that is over', () => {
    const solo = rejoining();
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 1, entries: entries(2, [1]) }).flush();
    solo.step({ kind: 'append', term: 1, previous: at(9, 1), commit: 1, entries: [] });
    solo.step({ kind: 'heartbeat', term: 1, commit: 1, round: 3 });
    const marked = [...solo.sent('append-reply'), ...solo.sent('heartbeat-reply')];
    expect(marked.length).toBeGreaterThan(2);
    expect(marked.every((reply) => reply.isRejoining)).toBe(true);
    solo.take();
    solo.do((raft) => raft.endRejoining());
    solo.step({ kind: 'append', term: 1, previous: at(2, 1), commit: 1, entries: [] });
    expect(solo.sent('append-reply')).toMatchObject([{ accepted: true, index: 2 }]);
    expect(solo.sent('append-reply')[0]).not.toHaveProperty('isRejoining');
  });

  test('pledges itself to the leader it follows, and never against a vote it gave', () => {
    const solo = rejoining();
    solo.step({ kind: 'heartbeat', from: 'n2', term: 4, commit: 0, round: 1 });
    solo.do((raft) => raft.pledgeToLeader());
    expect(solo.raft.inspect().votedFor).toBe('n2');
    const voted = new Solo({ terms: [1], hardState: { term: 4, votedFor: 'n3' } });
    voted.do((raft) => raft.beginRejoining());
    voted.step({ kind: 'heartbeat', from: 'n2', term: 4, commit: 0, round: 1 });
    voted.do((raft) => raft.pledgeToLeader());
    expect(voted.raft.inspect().votedFor).toBe('n3');
  });

  test('is one from the start when it was found to be one', () => {
    const membership = { voters: ['n1', 'n2', 'n3'], votersOutgoing: [], learners: [] };
    const { options } = new Solo().raft.inspect();
    const start = {
      hardState: { term: 0, votedFor: undefined },
      base: at(0, 0),
      termRuns: [],
      commit: 0,
      memberships: [],
    };
    const raft = new Raft({ ...options, membership }, { ...start, isRejoining: true });
    raft.campaign();
    expect([raft.role, raft.isRejoining]).toEqual(['follower', true]);
  });
});

describe('a leader', () => {
  const ack = (index: number, more: object = {}) =>
    ({
      kind: 'append-reply',
      from: 'n2',
      term: 1,
      accepted: true,
      index,
      hint: at(0, 0),
      lastIndex: index,
      ...more,
    }) as const;

  test('commits nothing on the ack of one that rejoins, and all of it once that is over and acked anew', () => {
    const solo = new Solo().lead();
    solo.do((raft) => raft.propose([100]));
    solo.flush();
    solo.step(ack(2, { isRejoining: true }));
    expect(solo.raft.commit).toBe(0);
    expect(solo.raft.progressOf('n2')).toMatchObject({ match: 2, standing: 'rejoining', isActive: false });
    solo.step(ack(2));
    expect(solo.raft.commit).toBe(2);
    expect(solo.raft.progressOf('n2')).toMatchObject({ standing: 'sound', isActive: true });
  });

  test('takes an old ack that comes late for no more than it says', () => {
    const solo = new Solo().lead();
    solo.do((raft) => raft.propose([100]));
    solo.flush();
    solo.step(ack(2, { isRejoining: true })).step(ack(1));
    expect(solo.raft.commit).toBe(1);
  });

  test('steps down when only such a node answers', () => {
    const solo = new Solo().lead();
    for (let i = 0; i < 3; i += 1) {
      solo.tick(20).step({ kind: 'heartbeat-reply', from: 'n2', term: 1, round: 1, isRejoining: true });
    }
    expect(solo.raft.role).toBe('follower');
  });

  test('does not hand over to such a node', () => {
    const solo = new Solo().lead();
    solo.step(ack(1, { isRejoining: true }));
    expect(solo.raft.transferTo('n2')).toBe(false);
  });
});

describe('a change of membership with a node that rejoins', () => {
  test('counts it in neither majority, and goes on once it is back', () => {
    const solo = new Solo({ terms: [1] }).lead();
    const reply = { kind: 'append-reply', term: solo.raft.term, accepted: true, hint: at(0, 0) } as const;
    solo
      .flush()
      .step({ ...reply, index: 2, lastIndex: 2 })
      .step({ ...reply, from: 'n3', index: 2, lastIndex: 2 });
    expect(solo.raft.commit).toBe(2);
    solo.do((raft) => raft.proposeMembership({ voters: ['n1', 'n2'], learners: [] }, 9));
    solo.flush();
    // Of the old three a majority has it; of the new two n2 is needed.
    solo.step({ ...reply, index: 3, lastIndex: 3, isRejoining: true });
    solo.step({ ...reply, from: 'n3', index: 3, lastIndex: 3 });
    expect(solo.raft.commit).toBe(2);
    solo.step({ ...reply, index: 3, lastIndex: 3 });
    expect(solo.raft.commit).toBe(3);
    expect(solo.raft.membership).toEqual({ voters: ['n1', 'n2'], votersOutgoing: [], learners: [] });
  });
});
