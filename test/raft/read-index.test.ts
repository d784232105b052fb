/** Rounds on demand (R7), and what a promise to a leader keeps a voter from doing (R8). */
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/raft/index.ts';
import { at, Solo } from './support/solo.ts';

function sent(solo: Solo): readonly Message[] {
  return solo.take().flatMap(({ messages, messagesAfterHardState }) => [...messages, ...messagesAfterHardState]);
}

const answer = { kind: 'heartbeat-reply', term: 1 } as const;

describe('a round on demand', () => {
  test('is begun by a leader only, at once, and asks everybody', () => {
    const solo = new Solo();
    expect(solo.do((raft) => raft.startRound())).toBeUndefined();
    solo.lead();
    expect(solo.do((raft) => raft.startRound())).toBe(2);
    const asked = sent(solo).map(({ kind, to }) => `${kind} ${to}`);
    expect(asked).toEqual(['heartbeat n2', 'heartbeat n3']);
  });

  test('is confirmed when a majority answered it or a later one, and stays so', () => {
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] });
    solo.do((raft) => raft.campaign());
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote-reply', from, term: 1, granted: true });
    solo.saved();
    for (const from of ['n2', 'n3']) solo.step({ kind: 'vote-reply', from, term: 1, granted: true });
    const round = solo.do((raft) => raft.startRound())!;
    solo.step({ ...answer, from: 'n2', round }).step({ ...answer, from: 'n2', round });
    expect(solo.raft.confirmedRound).toBe(0);
    solo.step({ ...answer, from: 'n3', round: round - 1 });
    expect(solo.raft.confirmedRound).toBe(round - 1);
    solo.step({ ...answer, from: 'n4', round: round + 1 });
    expect(solo.raft.confirmedRound).toBe(round);
    solo.step({ ...answer, from: 'n4', round: 1 });
    expect(solo.raft.confirmedRound).toBe(round);
  });

  test('is not confirmed by a voter that lost what it acked, whose vote may have made another leader', () => {
    const solo = new Solo().lead();
    const reply = { kind: 'append-reply', term: 1, hint: at(0, 0) } as const;
    solo.serve('n2');
    solo.step({ ...reply, accepted: true, index: 1, lastIndex: 1 });
    expect(solo.raft.commit).toBe(1);
    const before = solo.do((raft) => raft.startRound())!;
    solo.step({ ...answer, round: before });
    expect(solo.raft.confirmedRound).toBe(before);
    // Refused where it had acked, and again when asked: its disk went back.
    for (let i = 0; i < 2; i += 1) solo.step({ ...reply, accepted: false, index: 1, lastIndex: 0 });
    expect(solo.raft.progressOf('n2')?.standing).toBe('lost');
    const round = solo.do((raft) => raft.startRound())!;
    solo.step({ ...answer, round });
    expect(solo.raft.confirmedRound).toBeLessThan(round);
    solo.step({ ...answer, from: 'n3', round });
    expect(solo.raft.confirmedRound).toBe(round);
  });

  test('of an earlier leadership confirms nothing in a later one', () => {
    const solo = new Solo().lead();
    solo.step({ ...answer, round: solo.do((raft) => raft.startRound())! });
    expect(solo.raft.confirmedRound).toBe(2);
    solo.step({ kind: 'heartbeat', term: 2, commit: 0, round: 1 }).saved();
    expect(solo.raft.confirmedRound).toBe(0);
    solo.tick(40).lead();
    solo.step({ ...answer, term: 1, round: 9 });
    expect(solo.raft.confirmedRound).toBe(0);
  });
});

describe('a voter that promised a leader its loyalty', () => {
  const promising = { promiseMs: 190, electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4, random: () => 0 };

  function promised(): Solo {
    const solo = new Solo({ terms: [1], raft: promising });
    solo.tick(20).saved().step({ kind: 'heartbeat', term: 2, commit: 1, round: 1 }).saved();
    const [reply] = sent(solo).filter(({ kind }) => kind === 'heartbeat-reply');
    expect(reply).toMatchObject({ round: 1, promiseMs: 190 });
    return solo;
  }

  const last = { term: 2, index: 9 };

  test('keeps it when the link to the leader breaks', () => {
    const solo = promised();
    solo.do((raft) => raft.peerDown('n2'));
    solo.tick(19).step({ kind: 'pre-vote', from: 'n3', term: 3, last });
    solo.step({ kind: 'vote', from: 'n3', term: 3, last, isTransfer: false });
    solo.do((raft) => raft.campaign());
    expect([sent(solo), solo.raft.role, solo.raft.term]).toEqual([[], 'follower', 2]);
    // Released, it makes up for the time it lost.
    solo.tick();
    expect(solo.raft.role).toBe('pre-candidate');
  });

  test('keeps it in a term that the leader may not have heard of', () => {
    const solo = promised();
    solo.step({ kind: 'pre-vote-reply', from: 'n3', term: 3, granted: false }).saved();
    expect(solo.raft.term).toBe(3);
    solo.step({ kind: 'vote', from: 'n3', term: 3, last, isTransfer: false }).saved();
    solo.step({ kind: 'pre-vote', from: 'n3', term: 4, last });
    expect(sent(solo)).toEqual([expect.objectContaining({ kind: 'vote-reply', granted: false })]);
    solo.tick(20).step({ kind: 'pre-vote', from: 'n3', term: 4, last });
    expect(sent(solo)).toContainEqual(expect.objectContaining({ kind: 'pre-vote-reply', granted: true }));
  });

  test('keeps it after a restart, since what it promised is not on disk', () => {
    const solo = new Solo({ terms: [1], raft: promising });
    solo.tick(19).step({ kind: 'pre-vote', from: 'n3', term: 2, last });
    expect(sent(solo)).toEqual([]);
    solo.tick(1);
    expect(solo.raft.role).toBe('pre-candidate');
  });

  test('is released by the leader itself, in a transfer', () => {
    const solo = promised();
    solo.step({ kind: 'vote', from: 'n3', term: 3, last, isTransfer: true }).saved();
    expect(sent(solo)).toContainEqual(expect.objectContaining({ kind: 'vote-reply', granted: true }));
    const target = promised().step({ kind: 'timeout-now', term: 2 });
    expect(target.raft.role).toBe('candidate');
  });

  test('promises nothing without being asked to', () => {
    const solo = new Solo().step({ kind: 'heartbeat', term: 1, commit: 0, round: 1 }).saved();
    expect(sent(solo).map((message) => 'promiseMs' in message)).toEqual([false]);
    solo.do((raft) => raft.peerDown('n2'));
    solo.step({ kind: 'pre-vote', from: 'n3', term: 2, last });
    expect(sent(solo)).toMatchObject([{ kind: 'pre-vote-reply', granted: true }]);
  });
});
