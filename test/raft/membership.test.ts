/**
 * Changing who votes (paper section 6, thesis 4, rules R4, R11-R14, R16, R17): a test for each thing relied on, and the
 * change that makes it fail, as in paper.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { isJoint, type Membership, type MembershipTarget } from '../../src/raft/index.ts';
import { Cluster } from './support/cluster.ts';
import type { SimNode } from './support/sim-node.ts';
import { at, Solo } from './support/solo.ts';

/** Three voters that have elected n1, and two nodes that nobody knows yet. */
function three(): { cluster: Cluster; leader: SimNode } {
  const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], spares: ['n4', 'n5'] }).start();
  const leader = cluster.elect('n1');
  cluster.settle();
  return { cluster, leader };
}

const voters = (...ids: string[]): MembershipTarget => ({ voters: ids, learners: [] });
const members = (incoming: string[], outgoing: string[] = [], learners: string[] = []): Membership => ({
  voters: incoming,
  votersOutgoing: outgoing,
  learners,
});

/** Makes n4 and n5 learners that are in step. */
function withLearners(): { cluster: Cluster; leader: SimNode } {
  const { cluster, leader } = three();
  leader.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4', 'n5'] });
  cluster.tick(8);
  return { cluster, leader };
}

/** Whether n4, a learner whose acks come so many ticks late, is made a voter while 50 entries a tick are committed. */
function promotedUnderLoad(ticksLate: number): boolean {
  const solo = new Solo({
    raft: { learnerLagMax: 128, uncommittedBytesMax: 1_000_000, inflightMessagesMax: 1_000 },
  }).lead();
  const ack = (from: string, index: number): void => {
    solo.serve(from);
    solo.step({ kind: 'append-reply', from, term: 1, accepted: true, index, hint: at(0, 0), lastIndex: index });
  };
  ack('n2', 1);
  solo.do((raft) => raft.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] }, 100));
  solo.flush();
  ack('n2', 2);
  for (let tick = 0; tick < 100; tick += 1) {
    solo.do((raft) => raft.propose(Array.from({ length: 50 }, () => 100)));
    solo.flush();
    ack('n2', solo.raft.lastIndex);
    ack('n4', Math.max(1, solo.raft.lastIndex - 50 * ticksLate));
    solo.tick();
    // Not before it lags as far as it ever will.
    if (tick < 40) continue;
    if (solo.do((raft) => raft.proposeMembership(voters('n1', 'n2', 'n4'), 100)).kind === 'accepted') return true;
  }
  return false;
}

describe('a change of membership', () => {
  test('goes through both majorities and ends by itself', () => {
    // Mutant, membership.ts: `isSameSet(from.voters, voters) ? [] : from.voters` -> `[]`
    const { cluster, leader } = withLearners();
    const proposed = leader.proposeMembership(voters('n1', 'n4', 'n5'));
    expect(proposed).toMatchObject({ membership: members(['n1', 'n4', 'n5'], ['n1', 'n2', 'n3']) });
    cluster.tick(8);
    for (const id of ['n1', 'n4', 'n5']) expect(cluster.node(id).raft.membership).toEqual(members(['n1', 'n4', 'n5']));
  });

  test('is not committed by the new majority alone', () => {
    // Mutant, quorum.ts: `Math.min(majorityIndex(membership.voters, matchOf), majorityIndex(membership.votersOutgoing, matchOf))` -> `majorityIndex(membership.voters, matchOf)`
    const { cluster, leader } = withLearners();
    const { commit } = leader.raft;
    cluster.cut(['n1'], ['n2', 'n3']);
    leader.proposeMembership(voters('n1', 'n4', 'n5'));
    cluster.settle();
    expect(leader.raft.commit).toBe(commit);
    cluster.heal();
    cluster.tick(8);
    expect(leader.raft.membership).toEqual(members(['n1', 'n4', 'n5']));
  });

  test('is not committed by the old majority alone', () => {
    // Mutant, quorum.ts: `Math.min(majorityIndex(membership.voters, matchOf), majorityIndex(membership.votersOutgoing, matchOf))` -> `majorityIndex(membership.votersOutgoing.length > 0 ? membership.votersOutgoing : membership.voters, matchOf)`
    const { cluster, leader } = withLearners();
    const { commit } = leader.raft;
    cluster.cut(['n1'], ['n4', 'n5']);
    leader.proposeMembership(voters('n1', 'n4', 'n5'));
    cluster.settle();
    expect(leader.raft.commit).toBe(commit);
  });

  test('a vote in a joint membership needs both majorities', () => {
    // Mutant, quorum.ts: `return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';` -> `return incoming;`
    const { cluster, leader } = withLearners();
    for (const id of ['n2', 'n3']) cluster.node(id).crash();
    leader.proposeMembership(voters('n1', 'n4', 'n5'));
    cluster.settle();
    leader.crash();
    cluster.tick(200);
    expect(['n4', 'n5'].map((id) => cluster.node(id).raft.term)).toEqual([1, 1]);
  });

  test('one that takes learners in or lets them go needs one entry', () => {
    // Mutant, membership.ts: `isSameSet(from.voters, voters) ? [] : from.voters` -> `from.voters`
    const { cluster, leader } = three();
    expect(leader.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] })).toMatchObject({
      membership: members(['n1', 'n2', 'n3'], [], ['n4']),
    });
    cluster.tick(8);
    expect(leader.raft.lastIndex).toBe(2);
    expect(cluster.node('n4').log).toHaveLength(2);
  });

  test('a second one is refused until the first is committed (R11)', () => {
    // Mutant, reconfiguration.ts: `if (isJoint(effective) || effectiveIndex > commit) return` -> `if (isJoint(effective)) return`
    const { cluster, leader } = three();
    leader.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] });
    expect(leader.proposeMembership(voters('n1', 'n2'))).toEqual({ kind: 'refused', reason: 'change-in-flight' });
    cluster.settle();
    expect(leader.proposeMembership(voters('n1', 'n2')).kind).toBe('accepted');
  });

  test('a second one is refused while the first is joint', () => {
    // Mutant, reconfiguration.ts: `if (isJoint(effective) || effectiveIndex > commit) return` -> `if (false) return`
    const { leader } = three();
    expect(leader.proposeMembership(voters('n1', 'n2')).kind).toBe('accepted');
    expect(leader.proposeMembership(voters('n1'))).toEqual({ kind: 'refused', reason: 'change-in-flight' });
  });

  test('none is begun before an entry of the term is committed (R4, R11)', () => {
    // Mutant, reconfiguration.ts: `if (commit < leading.firstIndex) return refused('not-ready');` -> ``
    const solo = new Solo().lead();
    expect(solo.do((raft) => raft.proposeMembership(voters('n1', 'n2'), 100))).toEqual({
      kind: 'refused',
      reason: 'not-ready',
    });
    solo.step({ kind: 'append-reply', term: 1, accepted: true, index: 1, hint: at(0, 0), lastIndex: 1 });
    expect(solo.do((raft) => raft.proposeMembership(voters('n1', 'n2'), 100)).kind).toBe('accepted');
  });

  test('none leaves the group without a voter, or names a node twice', () => {
    // Mutant, reconfiguration.ts: `target.voters.length === 0 || ` -> ``
    const { leader } = three();
    const invalid = { kind: 'refused', reason: 'invalid' };
    expect(leader.proposeMembership({ voters: [], learners: ['n1', 'n2', 'n3'] })).toEqual(invalid);
    expect(leader.proposeMembership({ voters: ['n1', 'n2'], learners: ['n2'] })).toEqual(invalid);
  });

  test('one that changes nothing is refused as such, whatever the order of the nodes', () => {
    // Mutant, reconfiguration.ts: `if (isSameMembership(stepTowards(effective, target), effective)) return refused('unchanged');` -> ``
    const { leader } = three();
    expect(leader.proposeMembership(voters('n3', 'n1', 'n2'))).toEqual({ kind: 'refused', reason: 'unchanged' });
  });

  test('one proposed by a follower, or during a transfer, is refused', () => {
    // Mutant, reconfiguration.ts: `if (leading.transfer !== undefined) return refused('transferring');` -> ``
    const { cluster, leader } = three();
    expect(cluster.node('n2').proposeMembership(voters('n1'))).toEqual({ kind: 'refused', reason: 'not-leader' });
    cluster.cut(['n1'], ['n2']);
    leader.turn((raft) => raft.transferTo('n2'));
    expect(leader.proposeMembership(voters('n1'))).toEqual({ kind: 'refused', reason: 'transferring' });
  });
});

describe('learners', () => {
  test('are made voters only when they hold what is committed, but for a few entries', () => {
    // Mutant, reconfiguration.ts: `commit - progress.countedMatch <= options.learnerLagMax` -> `true`
    const { cluster, leader } = withLearners();
    cluster.cut(['n1'], ['n4']);
    for (let i = 0; i < 6; i += 1) leader.propose([`${i}`]);
    cluster.settle();
    const refusal = { kind: 'refused', reason: 'learner-behind', node: 'n4' };
    expect(leader.proposeMembership(voters('n1', 'n2', 'n4'))).toEqual(refusal);
    cluster.heal();
    cluster.tick(8);
    expect(leader.proposeMembership(voters('n1', 'n2', 'n4')).kind).toBe('accepted');
  });

  test('are made voters under a steady load that keeps more entries on their way to them than that', () => {
    // Mutant, reconfiguration.ts: ` || progress.countedMatch >= older` -> ``
    // 5,000 entries a second in ticks of 10 ms, and acks of the learner that come 60 ms later than those of a voter.
    expect(promotedUnderLoad(6)).toBe(true);
  });

  test('are not made voters while they are later than an election timeout, however steady the load is', () => {
    // Mutant, replication.ts: `marks.older = marks.newer;` -> ``
    expect(promotedUnderLoad(25)).toBe(false);
  });

  test('a node nobody sends entries to is not made a voter', () => {
    // Mutant, reconfiguration.ts: `if (progress?.state !== 'replicate') return false;` -> `if (progress === undefined) return true;`
    const { leader } = three();
    const refusal = { kind: 'refused', reason: 'learner-behind', node: 'n4' };
    expect(leader.proposeMembership(voters('n1', 'n2', 'n3', 'n4'))).toEqual(refusal);
  });

  test('are counted for nothing (R17)', () => {
    // Mutant, replication.ts: `const index = quorumIndex(state.membership, (voter) => {` -> `const index = quorumIndex({ ...state.membership, voters: [...state.membership.voters, ...state.membership.learners] }, (voter) => {`
    const { cluster, leader } = withLearners();
    cluster.cut(['n1', 'n4', 'n5'], ['n2', 'n3']);
    const { commit } = leader.raft;
    leader.propose(['a']);
    cluster.settle();
    expect(leader.raft.commit).toBe(commit);
    expect(cluster.node('n4').raft.flushed.index).toBe(commit + 1);
  });
});

describe('a membership is in force', () => {
  test('from the moment its entry is appended, on the leader', () => {
    // Mutant, reconfiguration.ts: `memberships.append(index, membership);\n  followMembers(state);` -> ``
    const { leader } = three();
    leader.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] });
    expect(leader.raft.membership.learners).toEqual(['n4']);
  });

  test('from the moment its entry is appended, on a follower (R12)', () => {
    // Mutant, follower.ts: `if (index >= first && membership !== undefined) state` -> `if (index >= first && index <= state.commit && membership !== undefined) state`
    const solo = new Solo();
    const joint = members(['n1', 'n4'], ['n1', 'n2', 'n3']);
    const entries = [{ term: 1, index: 1, bytes: 9, membership: joint }];
    solo.step({ kind: 'append', term: 1, previous: at(0, 0), commit: 0, entries });
    expect(solo.raft.membership).toEqual(joint);
  });

  test('no longer once its entry is cut, and the one before it is again (R12)', () => {
    // Mutant, follower.ts: `state.memberships.truncateFrom(from);` -> ``
    const solo = new Solo();
    const before = solo.raft.membership;
    const entries = [{ term: 1, index: 1, bytes: 9, membership: members(['n1', 'n4'], ['n1', 'n2', 'n3']) }];
    solo.step({ kind: 'append', term: 1, previous: at(0, 0), commit: 0, entries });
    const other = [{ term: 2, index: 1, bytes: 9 }];
    solo.step({ kind: 'append', from: 'n3', term: 2, previous: at(0, 0), commit: 0, entries: other });
    expect(solo.raft.membership).toEqual(before);
  });

  test('a snapshot puts its own in force, though a later one is in the log it replaces (R14)', () => {
    // Mutant, follower.ts: `state.memberships.reset(snapshot.index, installing.membership);` -> ``
    const solo = new Solo();
    const entries = [{ term: 1, index: 1, bytes: 9, membership: members(['n1', 'n4'], ['n1', 'n2', 'n3']) }];
    solo.step({ kind: 'append', term: 1, previous: at(0, 0), commit: 0, entries });
    const membership = members(['n2', 'n3'], [], ['n1']);
    solo.step({ kind: 'snapshot', term: 2, snapshot: at(4, 2), membership, commit: 4 });
    solo.do((raft) => raft.installed(at(4, 2)));
    expect(solo.raft.membership).toEqual(membership);
  });

  test('a learner that installs a snapshot stays one (R16)', () => {
    // Mutant, follower.ts: `state.memberships.reset(snapshot.index, installing.membership);` -> `state.memberships.reset(snapshot.index, { ...installing.membership, voters: [...installing.membership.voters, ...installing.membership.learners] });`
    const { cluster, leader } = three();
    leader.propose(['a', 'b', 'c']);
    leader.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] });
    leader.propose(['d']);
    cluster.node('n4').crash();
    cluster.settle();
    leader.trim(leader.raft.commit);
    cluster.node('n4').start();
    cluster.tick(60);
    expect(cluster.node('n4').base.index).toBe(leader.base.index);
    expect(cluster.node('n4').raft.membership).toEqual(members(['n1', 'n2', 'n3'], [], ['n4']));
    expect(cluster.node('n4').raft.role).toBe('follower');
  });

  test('a snapshot carries what was committed at its index, not what is in force at the leader (R14)', () => {
    // Mutant, replication.ts: `membership,\n    commit: state.commit,` -> `membership: state.membership,\n    commit: state.commit,`
    const { cluster, leader } = three();
    cluster.node('n3').crash();
    leader.propose(['a', 'b']);
    cluster.settle();
    leader.trim(2);
    leader.proposeMembership({ voters: ['n1', 'n2', 'n3'], learners: ['n4'] });
    const message = leader.raft.snapshotFor('n3', leader.base, members(['n1', 'n2', 'n3']));
    expect(message).toBeUndefined();
    cluster.node('n3').start();
    for (let i = 0; i < 20 && leader.raft.progressOf('n3')?.state !== 'snapshot'; i += 1) {
      leader.tick();
      while (cluster.wire.length > 0 && leader.raft.progressOf('n3')?.state !== 'snapshot') cluster.deliverAt(0);
    }
    expect(leader.raft.snapshotFor('n3', leader.base, members(['n1', 'n2', 'n3']))).toMatchObject({
      membership: members(['n1', 'n2', 'n3']),
    });
  });
});

describe('a new leader', () => {
  test('finishes a joint change it finds in its log, once it is committed (R13)', () => {
    // Mutant, replication.ts: `leading.uncommitted.releaseTo(index);\n    continueChange(state);` -> `leading.uncommitted.releaseTo(index);`
    const { cluster, leader } = withLearners();
    leader.proposeMembership(voters('n1', 'n4', 'n5'));
    // The joint entry reaches everybody, and its proposer goes before it can go on.
    while (leader.pendingReads > 0) leader.serveRead();
    while (cluster.wire.some(({ message }) => message.from === 'n1')) {
      cluster.deliverAt(cluster.wire.findIndex(({ message }) => message.from === 'n1'));
    }
    cluster.wire.length = 0;
    leader.crash();
    for (const node of cluster.up) node.flush();
    cluster.wire.length = 0;
    cluster.tick(200);
    const next = cluster.leader();
    expect(next?.id).not.toBe('n1');
    expect(next?.raft.membership).toEqual(members(['n1', 'n4', 'n5']));
  });

  test('does not append the second entry before the first is committed', () => {
    // Mutant, reconfiguration.ts: `leading === undefined || effectiveIndex > commit || !isJoint` -> `leading === undefined || !isJoint`
    const solo = new Solo().lead();
    const reply = { kind: 'append-reply', term: 1, accepted: true, hint: at(0, 0) } as const;
    solo.step({ ...reply, index: 1, lastIndex: 1 });
    solo.do((raft) => raft.propose([100]));
    solo.do((raft) => raft.proposeMembership(voters('n1', 'n2'), 100));
    solo.flush().step({ ...reply, index: 2, lastIndex: 3 });
    expect(solo.raft).toMatchObject({ commit: 2, lastIndex: 3 });
    solo.step({ ...reply, index: 3, lastIndex: 3 });
    expect(solo.raft).toMatchObject({ commit: 3, lastIndex: 4, membership: members(['n1', 'n2']) });
  });

  test('does not append the second entry while the log takes none, and does as soon as it takes some', () => {
    // Mutant, reconfiguration.ts: `if (!mayAppend) return;` -> ``
    // Mutant, raft.ts: `reconfiguration.continueChange(this.#state);` -> ``
    const solo = new Solo().lead();
    const reply = { kind: 'append-reply', term: 1, accepted: true, hint: at(0, 0) } as const;
    solo.step({ ...reply, index: 1, lastIndex: 1 });
    solo.do((raft) => raft.proposeMembership(voters('n2', 'n3'), 100));
    solo.do((raft) => raft.setMayAppend(false));
    // The disk of n1 holds nothing of it; the two others do.
    solo.step({ ...reply, index: 2, lastIndex: 2 }).step({ ...reply, from: 'n3', index: 2, lastIndex: 2 });
    expect(solo.raft).toMatchObject({ role: 'leader', commit: 2, lastIndex: 2 });
    solo.do((raft) => raft.setMayAppend(true));
    expect(solo.raft).toMatchObject({ commit: 2, lastIndex: 3, membership: members(['n2', 'n3']) });
  });

  test('is refused while the log takes no entries', () => {
    // Mutant, reconfiguration.ts: `if (!mayAppend) return refused('full');` -> ``
    const solo = new Solo().lead();
    solo.step({ kind: 'append-reply', term: 1, accepted: true, hint: at(0, 0), index: 1, lastIndex: 1 });
    solo.do((raft) => raft.setMayAppend(false));
    const propose = (): unknown => solo.do((raft) => raft.proposeMembership(voters('n1', 'n2'), 100));
    expect(propose()).toEqual({ kind: 'refused', reason: 'full' });
    expect(solo.raft.lastIndex).toBe(1);
    solo.do((raft) => raft.setMayAppend(true));
    expect(propose()).toMatchObject({ kind: 'accepted', index: 2 });
  });
});

describe('a leader that is removed', () => {
  test('leads until its removal is committed, and not a moment longer', () => {
    // Mutant, raft.ts: `if (state.role !== 'leader' || !reconfiguration.isDismissed(state)) return;` -> `if (state.role !== 'leader') return;`
    const { cluster, leader } = three();
    leader.proposeMembership(voters('n2', 'n3'));
    leader.propose(['a']);
    expect(leader.raft.role).toBe('leader');
    cluster.tick(8);
    expect(leader.raft.role).toBe('follower');
    expect(leader.log.find(({ payload }) => payload === 'a')).toBeDefined();
  });

  test('does not count itself for what comes after its removal', () => {
    // Mutant, replication.ts: `const index = quorumIndex(state.membership, (voter) => {` -> `const index = quorumIndex({ ...state.membership, voters: [...new Set([...state.membership.voters, options.id])] }, (voter) => {`
    // n2 alone is no majority of n2 and n3, with or without the leader that goes.
    const solo = new Solo({ terms: [1] }).lead();
    const { term } = solo.raft;
    const reply = { kind: 'append-reply', term, accepted: true, hint: at(0, 0) } as const;
    solo.step({ ...reply, index: 2, lastIndex: 2 });
    solo.do((raft) => raft.proposeMembership(voters('n2', 'n3'), 9));
    solo
      .flush()
      .step({ ...reply, index: 3, lastIndex: 3 })
      .step({ ...reply, from: 'n3', index: 3, lastIndex: 3 })
      .flush();
    expect(solo.raft).toMatchObject({ commit: 3, lastIndex: 4 });
    solo.step({ ...reply, index: 4, lastIndex: 4 });
    expect(solo.raft.commit).toBe(3);
  });

  test('is elected once more when it stopped with the only copy of its removal, and commits that (thesis 4.2.2)', () => {
    // Mutant, election.ts: `isVoter(state.membership, id) || state.memberships.isLeaving(id)` -> `isVoter(state.membership, id)`
    const cluster = new Cluster({ ids: ['n1', 'n2'] }).start();
    const leader = cluster.elect('n1');
    cluster.settle();
    leader.proposeMembership(voters('n2'));
    const isRemoved = (): boolean => leader.raft.membership.voters.length === 1 && !isJoint(leader.raft.membership);
    for (let step = 0; step < 1_000 && !isRemoved(); step += 1) {
      for (const node of cluster.up) {
        if (node.pendingReads > 0) node.serveRead();
        else if (node.disk.pendingHardStates + node.disk.pendingWrites > 0) node.flush();
      }
      if (!isRemoved()) cluster.deliverAt(0);
    }
    cluster.cut(['n1'], ['n2']);
    cluster.settle();
    leader.crash();
    leader.start();
    // n2 needs the vote of n1, whose log goes past its own.
    expect(cluster.node('n2').raft.membership).toEqual(members(['n2'], ['n1', 'n2']));
    cluster.heal();
    cluster.tick(200);
    expect(cluster.node('n2').raft).toMatchObject({ role: 'leader', membership: members(['n2']) });
    expect(leader.raft.role).toBe('follower');
  });

  test('names a successor, so that nobody waits for a timeout', () => {
    // Mutant, raft.ts: `reconfiguration.nameSuccessor(state);` -> ``
    const { cluster, leader } = three();
    leader.proposeMembership(voters('n2', 'n3'));
    cluster.settle();
    expect(leader.raft.role).toBe('follower');
    expect(['n2', 'n3'].map((id) => cluster.node(id).raft.role)).toContain('leader');
  });
});

describe('a node that was removed', () => {
  test('does not campaign, when it knows', () => {
    // Mutant, election.ts: `state.installing === undefined && isOfThem;` -> `state.installing === undefined;`
    const { cluster, leader } = three();
    leader.proposeMembership(voters('n2', 'n3'));
    cluster.settle();
    expect(leader.raft.membership).toEqual(members(['n2', 'n3']));
    for (let i = 0; i < 100; i += 1) leader.tick();
    expect(leader.raft.role).toBe('follower');
    expect(cluster.wire.filter(({ message }) => message.from === 'n1')).toEqual([]);
  });

  test('raises nobody’s term, when it does not know (R17)', () => {
    // Mutant, raft.ts: `return isVoter(membership, message.from) || election.isAhead(this.#state, message.last);` -> `return true;`
    const { cluster, leader } = three();
    cluster.cut(['n3'], ['n1', 'n2']);
    leader.proposeMembership(voters('n1', 'n2'));
    cluster.settle();
    cluster.heal();
    // Its leader is gone, so nobody sticks to one; and its term went far ahead of theirs.
    leader.crash();
    cluster.tick(45);
    const { term } = cluster.node('n2').raft;
    const { last } = cluster.node('n3').raft.inspect().log;
    cluster.node('n2').deliver({
      message: { kind: 'vote', from: 'n3', to: 'n2', term: term + 9, last, isTransfer: true },
      bodies: [],
    });
    expect(cluster.node('n2').raft.term).toBe(term);
  });
});

describe('a node that is behind', () => {
  test('hears a leader its membership does not know', () => {
    // Mutant, raft.ts: `case 'timeout-now':\n        return true;` -> `case 'timeout-now':\n        return isMember(membership, message.from);`
    const solo = new Solo();
    const membership = members(['n1', 'n8', 'n9']);
    const entries = [{ term: 5, index: 1, bytes: 9, membership }];
    solo.step({ kind: 'append', from: 'n9', term: 5, previous: at(0, 0), commit: 1, entries });
    expect(solo.raft).toMatchObject({ term: 5, leader: 'n9', membership });
  });

  test('votes for a candidate its membership does not know, when that one’s log goes past its own', () => {
    // Mutant, raft.ts: `return isVoter(membership, message.from) || election.isAhead(this.#state, message.last);` -> `return isVoter(membership, message.from);`
    const solo = new Solo({ terms: [1] });
    solo.step({ kind: 'vote', from: 'n9', term: 3, last: at(4, 2), isTransfer: false });
    expect(solo.waiting('vote-reply')).toMatchObject([{ to: 'n9', granted: true }]);
  });

  test('votes though it takes itself for a learner, when the candidate’s log goes past its own', () => {
    // Mutant, election.ts: `return isVoter(state.membership, state.options.id) || isAhead(state, last);` -> `return isVoter(state.membership, state.options.id);`
    const solo = new Solo({ terms: [1], raft: { membership: members(['n2', 'n3'], [], ['n1']) } });
    solo.step({ kind: 'vote', term: 3, last: at(1, 1), isTransfer: false }).saved();
    expect(solo.waiting('vote-reply')).toMatchObject([{ granted: false }]);
    solo.take();
    solo.step({ kind: 'vote', term: 4, last: at(2, 2), isTransfer: false });
    expect(solo.waiting('vote-reply')).toMatchObject([{ granted: true }]);
  });
});

describe('a leader of a changing group', () => {
  test('forgets who left, and hears them no more', () => {
    // Mutant, reconfiguration.ts: `if (!peers.includes(peer)) leading.progress.delete(peer);` -> `if (false) leading.progress.delete(peer);`
    const { cluster, leader } = three();
    leader.proposeMembership(voters('n1', 'n2'));
    cluster.settle();
    expect(leader.raft.progressOf('n3')).toBeUndefined();
    expect(leader.raft.progressOf('n2')).toBeDefined();
  });

  test('does not hand over to a voter that is going', () => {
    // Mutant, transfer.ts: `!state.membership.voters.includes(peer)` -> `progress.match < 0`
    const { leader } = three();
    leader.proposeMembership(voters('n1', 'n2'));
    expect(leader.turn((raft) => raft.transferTo('n3'))).toBe(false);
    expect(leader.turn((raft) => raft.transferTo('n2'))).toBe(true);
  });
});
