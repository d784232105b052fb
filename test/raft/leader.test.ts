import { describe, expect, test } from 'vitest';
import { Cluster } from './support/cluster.ts';
import { at, Solo } from './support/solo.ts';

const accepted = { kind: 'append-reply', term: 1, accepted: true, hint: at(0, 0) } as const;

describe('a leader', () => {
  test('refuses proposals over its cap of uncommitted bytes, and takes them again after a commit (R23)', () => {
    const solo = new Solo({ raft: { uncommittedBytesMax: 1000 } }).lead();
    solo.step({ ...accepted, index: 1, lastIndex: 1 });
    expect(solo.do((raft) => raft.propose([400, 400])).kind).toBe('accepted');
    expect(solo.do((raft) => raft.propose([201]))).toEqual({ kind: 'refused', reason: 'uncommitted-full' });
    expect(solo.do((raft) => raft.propose([200])).kind).toBe('accepted');
    solo.flush().step({ ...accepted, index: 3, lastIndex: 4 });
    expect(solo.do((raft) => raft.propose([800])).kind).toBe('accepted');
  });

  test('takes one proposal over the cap when nothing else waits: it could never go in otherwise', () => {
    const solo = new Solo({ raft: { uncommittedBytesMax: 1000 } }).lead();
    solo.step({ ...accepted, index: 1, lastIndex: 1 });
    expect(solo.do((raft) => raft.propose([5000])).kind).toBe('accepted');
    expect(solo.do((raft) => raft.propose([1])).kind).toBe('refused');
  });

  test('asks for no more than fits one append and the window', () => {
    const solo = new Solo({ raft: { appendBytesMax: 700, inflightBytesMax: 1000 } }).lead();
    solo.serve('n2');
    solo.step({ ...accepted, index: 1, lastIndex: 1 });
    solo.take();
    solo.do((raft) => raft.propose([100, 100, 100, 100]));
    solo.serve('n2');
    solo.do((raft) => raft.propose([100]));
    const asked = solo.take().flatMap(({ sends }) => sends);
    expect(asked.filter(({ peer }) => peer === 'n2')).toEqual([
      { peer: 'n2', from: 2, bytesMax: 700 },
      { peer: 'n2', from: 6, bytesMax: 600 },
    ]);
  });

  test('has its no-op and a proposal of the same turn handed over as one range, the no-op first', () => {
    const solo = new Solo().tick(30).step({ kind: 'pre-vote-reply', term: 1, granted: true }).saved();
    solo.take();
    const { raft } = solo;
    raft.step({ kind: 'vote-reply', from: 'n2', to: 'n1', term: 1, granted: true });
    expect(raft.propose([100, 100])).toEqual({ kind: 'accepted', term: 1, first: 2, last: 3 });
    expect(raft.ready()).toMatchObject({ append: { first: at(1, 1), last: at(3, 1) }, status: { role: 'leader' } });
    expect(raft.firstIndexOfTerm).toBe(1);
  });

  test('that is deposed before it handed proposals over asks for no cut of what no disk has', () => {
    const solo = new Solo({ terms: [1] }).lead();
    solo.take();
    const { raft } = solo;
    raft.propose([100, 100]);
    const entries = [{ term: 3, index: 3, bytes: 100 }];
    raft.step({ kind: 'append', from: 'n3', to: 'n1', term: 3, previous: at(2, 2), commit: 0, entries });
    expect(raft.ready()).toMatchObject({ truncateFrom: undefined, append: { first: at(3, 3), last: at(3, 3) } });
  });

  test('tells an idle follower of a commit at once, and a busy one with its next append', () => {
    const solo = new Solo().lead();
    for (const from of ['n2', 'n3']) {
      solo.serve(from);
      solo.step({ ...accepted, from, index: 1, lastIndex: 1 });
    }
    solo.do((raft) => raft.propose([100]));
    for (const peer of ['n2', 'n3']) solo.serve(peer);
    solo.flush();
    solo.take();
    solo.step({ ...accepted, from: 'n2', index: 2, lastIndex: 2 });
    expect(solo.sent('heartbeat')).toMatchObject([{ to: 'n2', commit: 2, isNotice: true }]);
    solo.do((raft) => raft.propose([100]));
    expect(solo.serve('n3')).toMatchObject({ commit: 2 });
  });

  test('costs each follower three messages for an append with nothing around it: entry, ack, commit', () => {
    const counts = new Map<string, number>();
    const trace = (_node: string, text: string): void => {
      const sent = /^send (?:after save )?n\d>n\d ([a-z-]+) /.exec(text)?.[1];
      if (sent !== undefined) counts.set(sent, (counts.get(sent) ?? 0) + 1);
    };
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], trace }).start();
    const leader = cluster.elect('n1');
    cluster.settle();
    counts.clear();
    leader.propose(['alone']);
    cluster.settle();
    expect(cluster.up.map(({ raft }) => raft.commit)).toEqual([2, 2, 2]);
    expect(Object.fromEntries(counts)).toEqual({ append: 2, 'append-reply': 2, heartbeat: 2 });
  });

  test('gives no append for a request that was overtaken, nor for one of an earlier leadership', () => {
    const solo = new Solo().lead();
    expect(solo.raft.appendFor('n2', 9, 9)).toBeUndefined();
    solo.step({ kind: 'heartbeat', from: 'n3', term: 2, commit: 0, round: 1 });
    expect(solo.raft.appendFor('n2', 1, 1)).toBeUndefined();
    solo.do((raft) => {
      raft.sent('n2', 1, 100);
      raft.sendFailed('n2');
      raft.snapshotSent('n2');
    });
    expect(solo.raft.progressOf('n2')).toBeUndefined();
  });

  test('stops when a follower acks what it never wrote', () => {
    const solo = new Solo().lead();
    expect(() => solo.step({ ...accepted, index: 2, lastIndex: 2 })).toThrow('past this leader');
  });

  test('steps down when its right to vote is withdrawn, for it could not count itself', () => {
    const solo = new Solo().lead();
    solo.do((raft) => raft.setMayCampaign(false));
    expect(solo.raft.role).toBe('leader');
    solo.do((raft) => raft.setMayVote(false));
    expect(solo.raft.role).toBe('follower');
  });

  test('goes on leading while its log takes no entries; a candidate gives up, for its first one would find no room', () => {
    const leading = new Solo().lead();
    leading.do((raft) => raft.setMayAppend(false));
    expect(leading.raft.role).toBe('leader');
    const candidate = new Solo();
    candidate.do((raft) => raft.campaign());
    candidate.step({ kind: 'pre-vote-reply', term: 1, granted: true }).saved();
    expect(candidate.raft.role).toBe('candidate');
    candidate.do((raft) => raft.setMayAppend(false));
    candidate.step({ kind: 'vote-reply', term: 1, granted: true });
    candidate.step({ kind: 'timeout-now', term: 1 }).tick(100);
    expect(candidate.raft).toMatchObject({ role: 'follower', lastIndex: 0 });
    candidate.do((raft) => raft.setMayAppend(true));
    candidate.tick(40);
    expect(candidate.raft.role).toBe('pre-candidate');
  });

  test('does not hand over to itself, a learner, a stranger or a silent node', () => {
    const membership = { voters: ['n1', 'n2', 'n3'], votersOutgoing: [], learners: ['n4'] };
    const solo = new Solo({ raft: { membership } }).lead();
    for (let i = 0; i < 2; i += 1) solo.tick(20).step({ kind: 'heartbeat-reply', from: 'n3', term: 1, round: 1 });
    expect(['n1', 'n4', 'n9', 'n2', 'n3'].map((peer) => solo.do((raft) => raft.transferTo(peer)))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
  });

  test('sends learners everything and counts them for nothing', () => {
    const membership = { voters: ['n1', 'n2'], votersOutgoing: [], learners: ['n3'] };
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], raft: { membership } }).start();
    const leader = cluster.elect('n1');
    cluster.cut(['n1'], ['n2']);
    leader.propose(['a']);
    cluster.settle();
    expect(cluster.node('n3').log).toHaveLength(2);
    expect(leader.raft.commit).toBe(1);
  });
});

describe('a leader that steps down by itself', () => {
  test('leads no more in its term, which nobody else leads either, and waits as everybody does', () => {
    const solo = new Solo().lead();
    const { term } = solo.raft;
    solo.do((raft) => raft.stepDown());
    expect(solo.raft).toMatchObject({ role: 'follower', term, leader: undefined });
    solo.step({ kind: 'pre-vote', from: 'n3', term: term + 1, last: solo.raft.flushed });
    expect(solo.sent('pre-vote-reply')).toMatchObject([{ to: 'n3', granted: true }]);
  });

  test('is nothing to a follower', () => {
    const solo = new Solo().step({ kind: 'heartbeat', term: 1, commit: 0, round: 1 });
    solo.do((raft) => raft.stepDown());
    expect(solo.raft).toMatchObject({ role: 'follower', leader: 'n2' });
  });
});

describe('a node that may not campaign', () => {
  test('grants votes and follows, but never stands, not even when handed leadership', () => {
    const solo = new Solo({ terms: [1] });
    solo.do((raft) => raft.setMayCampaign(false));
    solo.tick(100);
    solo.do((raft) => raft.campaign());
    solo.step({ kind: 'timeout-now', term: 1 });
    expect(solo.raft).toMatchObject({ role: 'follower', term: 1 });
    solo.step({ kind: 'vote', term: 2, last: at(1, 1), isTransfer: true });
    expect(solo.waiting('vote-reply')).toMatchObject([{ granted: true }]);
  });
});

describe('a broken link to the leader', () => {
  test('makes a follower campaign within two heartbeats, at random', () => {
    const solo = new Solo({ raft: { random: () => 0.99 } });
    solo.step({ kind: 'heartbeat', term: 1, commit: 0, round: 1 });
    solo.do((raft) => raft.peerDown('n3'));
    expect(solo.tick(8).raft.role).toBe('follower');
    solo.do((raft) => raft.peerDown('n2'));
    expect(solo.tick(7).raft.role).toBe('follower');
    expect(solo.tick(1).raft.role).toBe('pre-candidate');
  });

  test('is forgotten when the leader is heard again', () => {
    const solo = new Solo().step({ kind: 'heartbeat', term: 1, commit: 0, round: 1 });
    solo.do((raft) => raft.peerDown('n2'));
    solo.step({ kind: 'heartbeat', term: 1, commit: 0, round: 2 }).tick(19);
    expect(solo.raft.role).toBe('follower');
    solo.step({ kind: 'pre-vote', from: 'n3', term: 2, last: at(0, 0) });
    expect(solo.sent('pre-vote-reply')).toEqual([]);
  });

  test('ends stickiness, and the quicker of the survivors goes first', () => {
    const solo = new Solo().step({ kind: 'heartbeat', term: 1, commit: 0, round: 1 });
    solo.do((raft) => raft.peerDown('n2'));
    solo.step({ kind: 'pre-vote', from: 'n3', term: 2, last: at(0, 0) });
    expect(solo.sent('pre-vote-reply')).toMatchObject([{ granted: true }]);
    expect(solo.tick(8).raft.role).toBe('follower');
  });
});

describe('a vote on its way to a slow disk', () => {
  test('is waited for by its candidate, which would else campaign anew for ever', () => {
    const solo = new Solo({ terms: [1] });
    solo.do((raft) => raft.campaign());
    solo.step({ kind: 'pre-vote-reply', term: 2, granted: true });
    expect(solo.raft).toMatchObject({ role: 'candidate', term: 2 });
    expect(solo.tick(500).raft).toMatchObject({ role: 'candidate', term: 2 });
    expect(solo.waiting('vote')).toMatchObject([{ to: 'n2' }, { to: 'n3' }]);
    solo.saved();
    // The answers get their time from here on.
    solo.take();
    expect(solo.tick(19).sent('vote')).toEqual([]);
    expect(solo.tick(21).sent('vote')).toMatchObject([
      { to: 'n2', term: 2 },
      { to: 'n3', term: 2 },
    ]);
  });

  test('is waited for by its voter, which would else compete with its candidate', () => {
    const solo = new Solo({ terms: [1] }).step({ kind: 'vote', term: 2, last: at(1, 1), isTransfer: false });
    expect(solo.tick(500).raft).toMatchObject({ role: 'follower', term: 2 });
    solo.step({ kind: 'pre-vote', from: 'n3', term: 3, last: at(1, 1) });
    expect(solo.sent('pre-vote-reply')).toEqual([]);
    solo.saved();
    solo.step({ kind: 'pre-vote', from: 'n3', term: 3, last: at(1, 1) });
    expect(solo.sent('pre-vote-reply')).toMatchObject([{ granted: true }]);
    expect(solo.tick(40).raft.role).toBe('pre-candidate');
  });
});
