/**
 * What the core relies on from the thesis: a test each, and the change that makes it fail, as in paper.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { at, Solo } from './support/solo.ts';

describe('disruptive servers (section 6, thesis 4.2.3 and 9.6)', () => {
  test('a pre-vote round changes neither term nor disk', () => {
    // Mutant, election.ts: `else becomePreCandidate(state);` -> `else becomeCandidate(state, false);`
    const solo = new Solo({ terms: [2] }).tick(30).tick(30);
    expect(solo.raft.term).toBe(2);
    expect(solo.take().every((ready) => ready.hardState === undefined)).toBe(true);
  });

  test('granting a pre-vote changes nothing, and is no promise', () => {
    // Mutant, raft.ts: `if (message.kind === 'pre-vote') return true;` -> ``
    const solo = new Solo();
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote', from, term: 1, last: at(0, 0) });
    expect(solo.sent('pre-vote-reply')).toMatchObject([{ granted: true }, { granted: true }]);
    expect(solo.raft).toMatchObject({ term: 0, role: 'follower' });
    expect(solo.take().every((ready) => ready.hardState === undefined)).toBe(true);
  });

  test('a pre-vote is denied to a log that is behind, and to a term that is not ahead', () => {
    // Mutant, election.ts: `request.term > state.term &&` -> ``
    const solo = new Solo({ terms: [1, 3] });
    solo.step({ kind: 'pre-vote', term: 4, last: at(5, 2) });
    solo.step({ kind: 'pre-vote', term: 3, last: at(5, 3) });
    expect(solo.sent('pre-vote-reply').map(({ granted, term }) => ({ granted, term }))).toEqual([
      { granted: false, term: 3 },
      { granted: false, term: 3 },
    ]);
  });

  test('a vote is not even looked at while a leader is heard', () => {
    // Mutant, raft.ts: `if (message.term > state.term && !message.isTransfer && election.isHeld(state)) return false;` -> ``
    const solo = new Solo().step({ kind: 'heartbeat', from: 'n3', term: 1, commit: 0, round: 1 }).tick(19);
    solo.step({ kind: 'vote', term: 9, last: at(9, 9), isTransfer: false });
    expect(solo.raft).toMatchObject({ term: 1, leader: 'n3' });
    solo.tick(1).step({ kind: 'vote', term: 9, last: at(9, 9), isTransfer: false });
    expect(solo.raft.term).toBe(9);
  });

  test('a pre-vote is not answered while a leader is heard', () => {
    // Mutant, election.ts: `if (isHeld(state)) return;` -> ``
    const solo = new Solo().step({ kind: 'heartbeat', from: 'n3', term: 1, commit: 0, round: 1 }).tick(19);
    solo.step({ kind: 'pre-vote', term: 2, last: at(9, 9) });
    expect(solo.sent('pre-vote-reply')).toEqual([]);
  });

  test('a leader hears itself, however long its own election took', () => {
    // Mutant, election.ts: `if (state.role === 'leader') return true;` -> ``
    const solo = new Solo().tick(30).step({ kind: 'pre-vote-reply', term: 1, granted: true }).saved().tick(25);
    solo.step({ kind: 'vote-reply', term: 1, granted: true });
    solo.step({ kind: 'vote', from: 'n3', term: 2, last: at(9, 9), isTransfer: false });
    expect(solo.raft).toMatchObject({ role: 'leader', term: 1 });
  });

  test('a leader that hears no majority for an election timeout steps down (thesis 6.2, R10)', () => {
    // Mutant, replication.ts: `if (!hasQuorum(state.membership, (voter) => isActive(state, voter))) return 'unheard';` -> ``
    const solo = new Solo().lead().tick(39);
    expect(solo.raft.role).toBe('leader');
    expect(solo.tick().raft).toMatchObject({ role: 'follower', leader: undefined, term: 1 });
  });

  test('a leader that hears a majority stays', () => {
    // Mutant, progress.ts: `this.#ticksSilent = 0;` -> ``
    const solo = new Solo().lead();
    for (let i = 0; i < 4; i += 1) solo.tick(20).step({ kind: 'heartbeat-reply', term: 1, round: 1 });
    expect(solo.raft.role).toBe('leader');
  });

  test('a leader of an old term is told so by whoever hears it', () => {
    // Mutant, raft.ts: `sendDurably(this.#state, { ...envelope, kind: 'heartbeat-reply', round: 0, ...answerMark(this.#state) });` -> ``
    const solo = new Solo({ hardState: { term: 4, votedFor: undefined } });
    solo.step({ kind: 'heartbeat', term: 3, commit: 0, round: 6 });
    expect(solo.sent('heartbeat-reply')).toMatchObject([{ term: 4 }]);
  });

  test('a stranger with nothing new to tell cannot raise terms (R17)', () => {
    // Mutant, raft.ts: `return isVoter(membership, message.from) || election.isAhead(this.#state, message.last);` -> `return true;`
    const solo = new Solo({ terms: [1, 1] });
    solo.step({ kind: 'vote', from: 'n9', term: 6, last: at(2, 1), isTransfer: true });
    solo.step({ kind: 'vote', from: 'n9', term: 6, last: at(1, 1), isTransfer: false });
    expect(solo.raft).toMatchObject({ term: 1, leader: undefined });
  });

  test('the answers of a stranger are not heard, whatever their term (R17)', () => {
    // Mutant, raft.ts: `return isMember(membership, message.from);` -> `return true;`
    const solo = new Solo().lead();
    solo.step({ kind: 'heartbeat-reply', from: 'n9', term: 7, round: 1 });
    expect(solo.raft).toMatchObject({ role: 'leader', term: 1 });
  });

  test('a learner neither campaigns nor is counted, and its vote requests are not heard (R17)', () => {
    // Mutant, membership.ts: `return membership.voters.includes(node) || membership.votersOutgoing.includes(node);` -> `return membership.voters.includes(node) || membership.learners.includes(node);`
    const membership = { voters: ['n2', 'n3'], votersOutgoing: [], learners: ['n1', 'n4'] };
    const solo = new Solo({ raft: { membership } }).tick(80);
    expect(solo.raft.role).toBe('follower');
    solo.step({ kind: 'vote', from: 'n4', term: 3, last: at(0, 0), isTransfer: true });
    expect(solo.raft.term).toBe(0);
  });
});

describe('leadership transfer (thesis 3.10)', () => {
  test('the leader stops taking proposals', () => {
    // Mutant, replication.ts: `if (leading.transfer !== undefined) return { kind: 'refused', reason: 'transferring' };` -> ``
    const solo = new Solo().lead();
    expect(solo.do((raft) => raft.transferTo('n2'))).toBe(true);
    expect(solo.do((raft) => raft.propose([100]))).toEqual({ kind: 'refused', reason: 'transferring' });
  });

  test('the target is told to campaign once its log matches, not before', () => {
    // Mutant, transfer.ts: `if (leading?.transfer?.to !== peer || leading.progress.get(peer)?.countedMatch !== log.lastIndex) return;` -> `if (leading?.transfer?.to !== peer) return;`
    const solo = new Solo().lead();
    solo.do((raft) => raft.transferTo('n2'));
    solo.step({ kind: 'heartbeat-reply', term: 1, round: 1 });
    expect(solo.sent('timeout-now')).toEqual([]);
    solo.step({ kind: 'append-reply', term: 1, accepted: true, index: 1, hint: at(0, 0), lastIndex: 1 });
    expect(solo.sent('timeout-now')).toMatchObject([{ to: 'n2', term: 1 }]);
  });

  test('the target campaigns at once, without a pre-vote', () => {
    // Mutant, election.ts: `if (mayLead(state)) becomeCandidate(state, true);` -> `if (mayLead(state)) becomePreCandidate(state);`
    const solo = new Solo({ terms: [1] }).step({ kind: 'timeout-now', term: 1 });
    expect(solo.raft).toMatchObject({ role: 'candidate', term: 2 });
    expect(solo.waiting('vote')).toMatchObject([{ isTransfer: true }, { isTransfer: true }]);
  });

  test('voters that hear the leader may vote for the target all the same', () => {
    // Mutant, raft.ts: `message.term > state.term && !message.isTransfer && election` -> `message.term > state.term && election`
    const solo = new Solo().step({ kind: 'heartbeat', from: 'n3', term: 1, commit: 0, round: 1 }).saved();
    solo.step({ kind: 'vote', term: 2, last: at(0, 0), isTransfer: true });
    expect(solo.waiting('vote-reply')).toContainEqual(expect.objectContaining({ to: 'n2', granted: true }));
  });

  test('a transfer that does not succeed within an election timeout is given up', () => {
    // Mutant, transfer.ts: `if (leading.transfer.ticks >= options.electionTicksMax) leading.transfer = undefined;` -> ``
    const solo = new Solo().lead();
    solo.do((raft) => raft.transferTo('n2'));
    for (let i = 0; i < 2; i += 1) solo.tick(20).step({ kind: 'heartbeat-reply', term: 1, round: 1 });
    expect(solo.do((raft) => raft.propose([100])).kind).toBe('accepted');
  });
});
