/**
 * One test per sentence of the paper the core relies on (of the thesis: thesis.test.ts). Each names the change to one
 * place of the source that makes it fail; mutants.test.ts keeps those lines from going stale and, on request, tries
 * them all.
 */
import { describe, expect, test } from 'vitest';
import { Cluster } from './support/cluster.ts';
import { at, entries, Solo } from './support/solo.ts';

describe('terms (5.1)', () => {
  test('a smaller current term is updated to the larger value, and a leader of the old one steps down', () => {
    // Mutant, raft.ts: `if (message.term > state.term) election.becomeFollower(state, message.term, undefined);` -> ``
    const solo = new Solo().lead();
    solo.step({ kind: 'heartbeat-reply', term: 7, round: 0 });
    expect(solo.raft).toMatchObject({ role: 'follower', term: 7 });
  });

  test('a request with a stale term is refused', () => {
    // Mutant, raft.ts: `if (message.term < state.term) return this.#onOldTerm(message);` -> ``
    const solo = new Solo({ terms: [1, 2], hardState: { term: 3, votedFor: undefined } });
    solo.step({ kind: 'append', term: 2, previous: at(2, 2), commit: 2, entries: entries(3, [2]) });
    expect(solo.sent('append-reply')).toMatchObject([{ accepted: false, term: 3 }]);
    expect(solo.log).toEqual([1, 2]);
    expect(solo.raft.commit).toBe(0);
  });
});

describe('messages (R22)', () => {
  test('for another node, or from this node itself, are not acted on', () => {
    // Mutant, raft.ts: `if (message.to !== state.options.id || message.from === state.options.id) return;` -> ``
    const solo = new Solo();
    solo.step({ kind: 'heartbeat', to: 'n3', term: 5, commit: 0, round: 1 });
    solo.step({ kind: 'heartbeat', from: 'n1', term: 6, commit: 0, round: 1 });
    expect(solo.raft).toMatchObject({ term: 0, leader: undefined });
  });
});

describe('leader election (5.2)', () => {
  test('a follower that hears nothing over an election timeout begins an election', () => {
    // Mutant, election.ts: `if (state.electionElapsed < state.electionTimeout || isBound(state)) return false;` -> `return false;`
    const solo = new Solo().tick(29);
    expect(solo.raft.role).toBe('follower');
    expect(solo.tick().raft.role).toBe('pre-candidate');
  });

  test('a server remains follower as long as it hears a leader', () => {
    // Mutant, election.ts: `state.electionElapsed = 0;` -> ``
    const solo = new Solo();
    for (let i = 0; i < 10; i += 1) solo.tick(19).step({ kind: 'heartbeat', term: 1, commit: 0, round: i });
    expect(solo.raft).toMatchObject({ role: 'follower', leader: 'n2' });
    expect(solo.sent('pre-vote')).toEqual([]);
  });

  test('to begin an election a server increments its term and votes for itself', () => {
    // Mutant, election.ts: `state.term += 1;` -> ``
    const solo = new Solo({ terms: [4] }).tick(30);
    solo.take();
    solo.step({ kind: 'pre-vote-reply', term: 5, granted: true });
    expect(solo.raft).toMatchObject({ role: 'candidate', term: 5 });
    expect(solo.take()[0]!.hardState).toEqual({ term: 5, votedFor: 'n1' });
  });

  test('a candidate asks every other server for its vote', () => {
    // Mutant, election.ts: `return peersOf(state.membership, state.options.id).filter(` -> `return peersOf(state.membership, state.options.id).slice(1).filter(`
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] }).tick(30);
    expect(solo.sent('pre-vote').map(({ to }) => to)).toEqual(['n2', 'n3', 'n4', 'n5']);
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote-reply', from, term: 1, granted: true });
    expect(solo.waiting('vote').map(({ to }) => to)).toEqual(['n2', 'n3', 'n4', 'n5']);
  });

  test('it takes a majority to win', () => {
    // Mutant, quorum.ts: `return Math.floor(voterCount / 2) + 1;` -> `return Math.floor(voterCount / 2);`
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] }).tick(30);
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote-reply', from, term: 1, granted: true });
    solo.saved().step({ kind: 'vote-reply', from: 'n2', term: 1, granted: true });
    expect(solo.raft.role).toBe('candidate');
    solo.step({ kind: 'vote-reply', from: 'n3', term: 1, granted: true });
    expect(solo.raft.role).toBe('leader');
  });

  test('one voter answers once, however often its answer arrives', () => {
    // Mutant, election.ts: `campaign.votes.set(from, granted)` -> `campaign.votes.set(from + campaign.votes.size, granted).set('n3', granted)`
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] }).tick(30);
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote-reply', from, term: 1, granted: true });
    solo.saved();
    for (let i = 0; i < 3; i += 1) solo.step({ kind: 'vote-reply', from: 'n2', term: 1, granted: true });
    expect(solo.raft.role).toBe('candidate');
  });

  test('each server votes for at most one candidate in a term, first come first served', () => {
    // Mutant, election.ts: `(state.votedFor === undefined && state.leader === undefined)` -> `true`
    const solo = new Solo();
    solo.step({ kind: 'vote', from: 'n2', term: 1, last: at(0, 0), isTransfer: false }).saved();
    solo.step({ kind: 'vote', from: 'n3', term: 1, last: at(0, 0), isTransfer: false });
    expect(solo.waiting('vote-reply')).toMatchObject([{ to: 'n2', granted: true }]);
    expect(solo.sent('vote-reply')).toMatchObject([{ to: 'n3', granted: false }]);
  });

  test('a vote asked for again by the same candidate is granted again (5.5: requests are idempotent)', () => {
    // Mutant, election.ts: `(state.votedFor === request.from ||` -> `(`
    const solo = new Solo();
    for (let i = 0; i < 2; i += 1) {
      solo.step({ kind: 'vote', term: 1, last: at(0, 0), isTransfer: false }).saved();
    }
    expect(solo.sent('vote-reply')).toMatchObject([{ to: 'n2', granted: true }]);
  });

  test('granting a vote restarts the election timeout', () => {
    // Mutant, election.ts: `state.votedFor = request.from;\n    // Paper 5.2: granting a vote restarts the wait, or the voter would soon compete with its candidate.\n    drawElectionTimeout(state);` -> `state.votedFor = request.from;`
    const solo = new Solo().tick(25);
    solo.step({ kind: 'vote', term: 1, last: at(0, 0), isTransfer: false }).tick(25);
    expect(solo.raft.role).toBe('follower');
  });

  test('a new leader sends heartbeats at once to establish its authority', () => {
    // Mutant, replication.ts: `membership: undefined });\n  broadcastHeartbeat(state);` -> `membership: undefined });`
    const solo = new Solo().tick(30).step({ kind: 'pre-vote-reply', term: 1, granted: true }).saved();
    solo.step({ kind: 'vote-reply', term: 1, granted: true });
    expect(solo.sent('heartbeat').map(({ to }) => to)).toEqual(['n2', 'n3']);
  });

  test('a leader sends heartbeats periodically', () => {
    // Mutant, replication.ts: `leading.heartbeatElapsed += ticks;` -> ``
    const solo = new Solo().lead().tick(8);
    expect(solo.sent('heartbeat').map(({ to, round }) => `${to} ${round}`)).toEqual(['n2 2', 'n3 2', 'n2 3', 'n3 3']);
  });

  test('a candidate that hears a leader of its term returns to follower', () => {
    // Mutant, election.ts: `if (state.role !== 'follower') becomeFollower(state, state.term, leader);` -> ``
    const solo = new Solo().tick(30).step({ kind: 'pre-vote-reply', term: 1, granted: true }).saved();
    solo.step({ kind: 'heartbeat', from: 'n3', term: 1, commit: 0, round: 1 });
    expect(solo.raft).toMatchObject({ role: 'follower', leader: 'n3', term: 1 });
  });

  test('a candidate that hears a leader of an older term stays candidate', () => {
    // Mutant, raft.ts: `case 'heartbeat':\n      case 'snapshot':` -> `case 'heartbeat':\n        return true;\n      case 'snapshot':`
    const solo = new Solo({ terms: [3] }).tick(30).step({ kind: 'pre-vote-reply', term: 4, granted: true }).saved();
    solo.step({ kind: 'heartbeat', from: 'n3', term: 3, commit: 0, round: 1 });
    expect(solo.raft).toMatchObject({ role: 'candidate', term: 4 });
  });

  test('a candidate that neither wins nor loses starts over when it times out', () => {
    // Mutant, election.ts: `{ kind: 'pre-vote', from: options.id, to, term: term + 1, last: state.log.last }` -> `{ kind: 'pre-vote', from: options.id, to, term: 1, last: state.log.last }`
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] }).tick(30);
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote-reply', from, term: 1, granted: true });
    solo.saved().step({ kind: 'vote-reply', from: 'n2', term: 1, granted: false });
    solo.take();
    solo.tick(30);
    expect(solo.sent('pre-vote')).toMatchObject([{ term: 2 }, { term: 2 }, { term: 2 }, { term: 2 }]);
  });

  test('a candidate that nobody refused asks the silent ones again: their votes may be on their way to slow disks', () => {
    // Mutant, election.ts: `![...campaign.votes.values()].includes(false)` -> `false`
    const solo = new Solo({ ids: ['n1', 'n2', 'n3', 'n4', 'n5'] }).tick(30);
    for (const from of ['n2', 'n3']) solo.step({ kind: 'pre-vote-reply', from, term: 1, granted: true });
    solo.saved().step({ kind: 'vote-reply', from: 'n2', term: 1, granted: true });
    solo.take();
    solo.tick(30);
    expect(solo.sent('vote').map(({ to, term }) => [to, term])).toEqual([3, 4, 5].map((n) => [`n${n}`, 1]));
    solo.step({ kind: 'vote-reply', from: 'n5', term: 1, granted: true });
    expect(solo.raft).toMatchObject({ role: 'leader', term: 1 });
  });

  test('it does not ask for ever', () => {
    // Mutant, election.ts: `campaign.timeouts < VOTE_TIMEOUTS && ` -> ``
    const solo = new Solo().tick(30).step({ kind: 'pre-vote-reply', term: 1, granted: true }).saved();
    solo.take();
    for (let timeouts = 1; timeouts < 16; timeouts += 1) solo.tick(30);
    expect(solo.sent('pre-vote')).toEqual([]);
    solo.tick(30);
    expect(solo.sent('pre-vote')).toMatchObject([{ term: 2 }, { term: 2 }]);
  });

  test('election timeouts are drawn at random from [min, max), anew for every wait', () => {
    // Mutant, election.ts: `electionTicksMin + Math.floor(state.options.random() * (electionTicksMax - electionTicksMin))` -> `electionTicksMin`
    let drawn = 0;
    const draws = [0, 0.25, 0.999];
    const solo = new Solo({ raft: { random: () => draws[drawn++ % 3]! } });
    const waits: number[] = [];
    for (let ticks = 1; waits.length < 3; ticks += 1) {
      solo.take();
      solo.tick();
      if (solo.sent('pre-vote').length === 0) continue;
      waits.push(ticks);
      ticks = 0;
    }
    expect(waits).toEqual([20, 25, 39]);
  });
});

describe('log replication (5.3)', () => {
  test('a leader sends new entries to its followers while its own disk is still writing (thesis 10.2.1)', () => {
    // Mutant, replication.ts: `if (!progress.canRequest(log.lastIndex)) continue;` -> `if (!progress.canRequest(state.flushed)) continue;`
    const solo = new Solo().lead();
    solo.serve('n2');
    solo.step({ kind: 'append-reply', term: 1, accepted: true, index: 1, hint: at(0, 0), lastIndex: 1 });
    solo.take();
    solo.do((raft) => raft.propose([100]));
    const [ready] = solo.take();
    expect(ready).toMatchObject({ append: { first: at(2, 1) }, sends: [{ peer: 'n2', from: 2 }] });
    expect(solo.raft.flushed.index).toBe(1);
  });

  test('an entry is committed once a majority stored it, and the leader counts its own disk like any other (W1)', () => {
    // Mutant, replication.ts: `if (voter === options.id) return state.flushed;` -> `if (voter === options.id) return log.lastIndex;`
    const solo = new Solo().lead();
    solo.do((raft) => raft.propose([100]));
    solo.step({ kind: 'append-reply', term: 1, accepted: true, index: 2, hint: at(0, 0), lastIndex: 2 });
    expect(solo.raft.commit).toBe(1);
    expect(solo.flush().raft.commit).toBe(2);
  });

  test('the disks of two followers are a majority without the leader', () => {
    // Mutant, quorum.ts: `for (const other of voters) if (matchOf(other) >= candidate) reached += 1;` -> `for (const other of voters) if (matchOf(other) > candidate) reached += 1;`
    const solo = new Solo().lead();
    solo.do((raft) => raft.propose([100]));
    for (const from of ['n2', 'n3']) {
      solo.step({ kind: 'append-reply', from, term: 1, accepted: true, index: 2, hint: at(0, 0), lastIndex: 2 });
    }
    expect(solo.raft).toMatchObject({ commit: 2, flushed: { index: 1 } });
  });

  test('committing an entry commits all entries before it, those of earlier leaders included', () => {
    // Mutant, replication.ts: `commitTo(state, index);` -> `commitTo(state, leading.firstIndex - 1);`
    const solo = new Solo({ terms: [1, 1, 2] }).lead();
    solo.step({ kind: 'append-reply', term: 3, accepted: true, index: 4, hint: at(0, 0), lastIndex: 4 });
    expect(solo.raft.commit).toBe(4);
  });

  test('appends carry the commit index', () => {
    // Mutant, replication.ts: `commit: state.commit,\n    entries,` -> `commit: 0,\n    entries,`
    const solo = new Solo().lead();
    solo.step({ kind: 'append-reply', term: 1, accepted: true, index: 1, hint: at(0, 0), lastIndex: 1 });
    solo.do((raft) => raft.propose([100]));
    expect(solo.serve('n2')).toMatchObject({ previous: at(1, 1), commit: 1 });
  });

  test('heartbeats carry the commit index, up to what the follower is known to hold', () => {
    // Mutant, replication.ts: `const commit = Math.min(state.commit, progress.heldMatch);` -> `const { commit } = state;`
    const solo = new Solo().lead();
    solo.do((raft) => raft.propose([100]));
    solo.flush().step({ kind: 'append-reply', term: 1, accepted: true, index: 2, hint: at(0, 0), lastIndex: 2 });
    solo.take();
    solo.tick(4);
    expect(solo.sent('heartbeat').map(({ to, commit }) => `${to} ${commit}`)).toEqual(['n2 2', 'n3 0']);
  });

  test('a follower refuses entries when it lacks the entry before them, by index and by term', () => {
    // Mutant, follower.ts: `if (previous.index > state.commit && !log.has(previous)) {` -> `if (previous.index > log.lastIndex) {`
    const solo = new Solo({ terms: [1, 1] });
    solo.step({ kind: 'append', term: 2, previous: at(3, 1), commit: 0, entries: entries(4, [2]) }).saved();
    solo.step({ kind: 'append', term: 2, previous: at(2, 2), commit: 0, entries: entries(3, [2]) });
    expect(solo.waiting('append-reply')).toMatchObject([{ accepted: false, index: 3, hint: at(2, 1) }]);
    expect(solo.sent('append-reply')).toMatchObject([{ accepted: false, index: 2, hint: at(2, 1) }]);
    expect(solo.log).toEqual([1, 1]);
  });

  test('conflicting entries of a follower are overwritten with those of the leader', () => {
    // Mutant, follower.ts: `if (first <= log.lastIndex) truncateFrom(state, first);` -> ``
    const solo = new Solo({ terms: [1, 2, 2, 2] });
    solo.step({ kind: 'append', term: 3, previous: at(1, 1), commit: 0, entries: entries(2, [2, 3]) });
    expect(solo.log).toEqual([1, 2, 3]);
    expect(solo.truncations).toEqual([3]);
  });

  test('a message that is short or old cuts nothing off (R5)', () => {
    // Mutant, follower.ts: `if (entry.index > state.commit && !log.has(entry)) break;` -> `if (entry.index > state.commit) break;`
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 0, entries: entries(2, [1]) });
    expect(solo.log).toEqual([1, 1, 1, 1]);
    expect(solo.truncations).toEqual([]);
  });

  test('nextIndex begins just after the last entry of the leader', () => {
    // Mutant, reconfiguration.ts: `new Progress(peer, log.lastIndex + 1, options)` -> `new Progress(peer, 1, options)`
    const solo = new Solo({ terms: [1, 1, 2] }).tick(30).step({ kind: 'pre-vote-reply', term: 3, granted: true });
    solo.saved().step({ kind: 'vote-reply', term: 3, granted: true });
    expect(solo.serve('n2')).toMatchObject({ previous: at(3, 2), entries: [at(4, 3)] });
  });

  test('a refusal skips a whole conflicting term, by the terms of both logs', () => {
    // Mutant, replication.ts: `const agreeAt = log.lastAtOrBelow(reply.hint.index, reply.hint.term)?.index;` -> `const agreeAt = reply.index - 1;`
    const solo = new Solo({ terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6] }).tick(30);
    solo.step({ kind: 'pre-vote-reply', term: 7, granted: true }).saved();
    solo.step({ kind: 'vote-reply', term: 7, granted: true });
    solo.serve('n2');
    // Follower f of Figure 7: 1 1 1 2 2 2 3 3 3 3 3. Nothing of its terms 2 and 3 can match.
    solo.step({ kind: 'append-reply', term: 7, accepted: false, index: 10, hint: at(10, 3), lastIndex: 11 });
    expect(solo.serve('n2')).toMatchObject({ previous: at(3, 1) });
  });

  test('a refusing follower names its last entry whose term is not above the one refused', () => {
    // Mutant, follower.ts: `const hint = log.lastAtOrBelow(previous.index, previous.term);` -> `const hint = log.lastAtOrBelow(previous.index, log.lastTerm);`
    const solo = new Solo({ terms: [1, 1, 4, 4, 5, 5] });
    solo.step({ kind: 'append', term: 6, previous: at(5, 2), commit: 0, entries: [] });
    expect(solo.waiting('append-reply')).toMatchObject([{ index: 5, hint: at(2, 1), lastIndex: 6 }]);
  });

  test('a new leader keeps its own uncommitted entries and appends after them (Leader Append-Only)', () => {
    // Mutant, replication.ts: `const firstIndex = log.lastIndex + 1;` -> `const firstIndex = state.commit + 1;`
    const solo = new Solo({ terms: [1, 2, 2] }).lead();
    expect(solo.log).toEqual([1, 2, 2, 3]);
    expect(solo.truncations).toEqual([]);
  });

  test('a leader retries until every follower stored every entry: a lost append is found and sent again', () => {
    // Mutant, replication.ts: `if (progress.needsCheck(reply.round, leading.round)) sendCheck(state, progress);` -> ``
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'] }).start();
    const leader = cluster.elect('n1');
    leader.propose(['a']);
    leader.serveRead();
    leader.serveRead();
    cluster.wire.length = 0;
    cluster.tick(8);
    for (const node of cluster.nodes.values()) expect(node.log.at(-1)!.payload).toBe('a');
  });
});

describe('safety (5.4)', () => {
  test('5.4.1: a voter denies its vote when its own log ends in a later term, however short it is', () => {
    // Mutant, election.ts: `return last.term > own.term || (last.term === own.term && last.index >= own.index);` -> `return last.index >= own.index;`
    const solo = new Solo({ terms: [1, 3] });
    solo.step({ kind: 'vote', term: 4, last: at(9, 2), isTransfer: false });
    expect(solo.waiting('vote-reply')).toMatchObject([{ granted: false }]);
  });

  test('5.4.1: of two logs that end in the same term the longer one is more up-to-date', () => {
    // Mutant, election.ts: `return last.term > own.term || (last.term === own.term && last.index >= own.index);` -> `return last.term >= own.term;`
    const solo = new Solo({ terms: [1, 3, 3] });
    solo.step({ kind: 'vote', from: 'n2', term: 4, last: at(2, 3), isTransfer: false }).saved();
    solo.step({ kind: 'vote', from: 'n3', term: 4, last: at(3, 3), isTransfer: false });
    expect(solo.waiting('vote-reply').map(({ to, granted }) => `${to} ${granted}`)).toEqual(['n2 false', 'n3 true']);
  });

  test('5.4.1: entries that are not on disk yet count as well when votes are judged', () => {
    // Mutant, election.ts: `const own = state.log.last;` -> `const own = state.log.entryAt(state.flushed);`
    const solo = new Solo({ terms: [1] });
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 0, entries: entries(2, [1]) }).tick(20);
    solo.step({ kind: 'vote', from: 'n3', term: 2, last: at(1, 1), isTransfer: false });
    expect(solo.waiting('vote-reply')).toMatchObject([{ granted: false }]);
  });

  test('5.4.2: entries of earlier terms are never committed by counting replicas (Figure 8)', () => {
    // Mutant, replication.ts: `if (index > state.commit && log.termAt(index) === state.term) {` -> `if (index > state.commit) {`
    const solo = new Solo({ terms: [1, 2], ids: ['n1', 'n2', 'n3'] }).lead();
    solo.step({ kind: 'append-reply', term: 3, accepted: true, index: 2, hint: at(0, 0), lastIndex: 2 });
    expect(solo.raft.commit).toBe(0);
    solo.step({ kind: 'append-reply', term: 3, accepted: true, index: 3, hint: at(0, 0), lastIndex: 3 });
    expect(solo.raft.commit).toBe(3);
  });
});

describe('crashes and repeated messages (5.5, Figure 2)', () => {
  test('entries that are in the log already are ignored', () => {
    // Mutant, follower.ts: `if (position === entries.length) return;` -> `position = 0;`
    const solo = new Solo();
    for (let i = 0; i < 2; i += 1) {
      solo.step({ kind: 'append', term: 1, previous: at(0, 0), commit: 0, entries: entries(1, [1, 1]) }).flush();
    }
    expect(solo.take().flatMap((ready) => ready.append ?? [])).toEqual([{ first: at(1, 1), last: at(2, 1) }]);
  });

  test('term and vote are on disk before an answer leaves (R1)', () => {
    // Mutant, state.ts: `else state.outbox.messagesAfterHardState.push(message);` -> `else state.outbox.messages.push(message);`
    const solo = new Solo().step({ kind: 'vote', term: 1, last: at(0, 0), isTransfer: false });
    expect(solo.sent('vote-reply')).toEqual([]);
    expect(solo.waiting('vote-reply')).toMatchObject([{ granted: true, term: 1 }]);
    expect(solo.take().map((ready) => ready.hardState)).toEqual([{ term: 1, votedFor: 'n2' }]);
  });

  test("a candidate's own vote counts when it is on disk, like any other (R1)", () => {
    // Mutant, election.ts: `state.campaign = { votes: new Map(), isTransfer, timeouts: 0 };` -> `state.campaign = { votes: new Map([[options.id, true]]), isTransfer, timeouts: 0 };`
    const solo = new Solo().tick(30).step({ kind: 'pre-vote-reply', term: 1, granted: true });
    solo.step({ kind: 'vote-reply', term: 1, granted: true });
    expect(solo.raft.role).toBe('candidate');
    expect(solo.saved().raft.role).toBe('leader');
  });

  test("an older hard state's flush does not count as a vote in the present term", () => {
    // Mutant, election.ts: `if (state.role !== 'candidate' || !isHardStateDurable(state)) return;` -> `if (state.role !== 'candidate') return;`
    const solo = new Solo({ ids: ['n1'] }).tick(1);
    solo.do((raft) => raft.hardStatePersisted({ term: 0, votedFor: undefined }));
    expect(solo.raft.role).toBe('candidate');
  });

  test('a vote survives a restart', () => {
    // Mutant, state.ts: `votedFor: start.hardState.votedFor,` -> `votedFor: undefined,`
    const solo = new Solo({ hardState: { term: 5, votedFor: 'n3' } });
    solo.step({ kind: 'vote', from: 'n2', term: 5, last: at(9, 5), isTransfer: false });
    expect(solo.sent('vote-reply')).toMatchObject([{ granted: false }]);
  });

  test('a vote is not taken back within its term, not even by stepping down (R1)', () => {
    // Mutant, election.ts: `if (term > state.term) {\n    state.term = term;` -> `if (term >= state.term) {\n    state.term = term;`
    const solo = new Solo().lead().tick(40);
    expect(solo.raft).toMatchObject({ role: 'follower', term: 1 });
    solo.step({ kind: 'vote', from: 'n3', term: 1, last: at(9, 1), isTransfer: false });
    expect(solo.sent('vote-reply')).toMatchObject([{ granted: false }]);
  });

  test('a follower acks what is on its disk, when it is (R6, W14)', () => {
    // Mutant, follower.ts: `const index = Math.min(state.flushed, following.matched);` -> `const index = following.matched;`
    const solo = new Solo({ terms: [1] });
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 0, entries: entries(2, [1, 1]) });
    expect(solo.sent('append-reply').map(({ index }) => index)).toEqual([1]);
    solo.do((raft) => raft.persisted(at(2, 1)));
    solo.do((raft) => raft.persisted(at(3, 1)));
    expect(solo.sent('append-reply').map(({ index }) => index)).toEqual([1, 2, 3]);
  });

  test('a follower acks nothing beyond what was matched (R6)', () => {
    // Mutant, follower.ts: `const index = Math.min(state.flushed, following.matched);` -> `const index = state.flushed;`
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    solo.step({ kind: 'append', term: 2, previous: at(1, 1), commit: 0, entries: entries(2, [1]) });
    expect(solo.waiting('append-reply')).toMatchObject([{ accepted: true, index: 2, lastIndex: 4 }]);
  });

  test('a follower commits nothing beyond the last entry of the message (R6)', () => {
    // Mutant, follower.ts: `commitTo(state, Math.min(message.commit, lastNew));` -> `commitTo(state, Math.min(message.commit, log.lastIndex));`
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    solo.step({ kind: 'append', term: 2, previous: at(1, 1), commit: 4, entries: entries(2, [1]) });
    expect(solo.raft.commit).toBe(2);
  });

  test('a flush of an entry that was cut since acks nothing', () => {
    // Mutant, raft.ts: `if (at.index <= state.flushed || !state.log.has(at)) return;` -> `if (at.index <= state.flushed) return;`
    const solo = new Solo({ terms: [1] });
    solo.step({ kind: 'append', term: 1, previous: at(1, 1), commit: 0, entries: entries(2, [1]) });
    solo.step({ kind: 'append', from: 'n3', term: 2, previous: at(1, 1), commit: 0, entries: entries(2, [2]) }).saved();
    solo.take();
    solo.do((raft) => raft.persisted(at(2, 1)));
    expect(solo.sent('append-reply')).toEqual([]);
    expect(solo.raft.flushed).toEqual(at(1, 1));
  });
});

describe('followers behind the log start (section 7, Figure 13)', () => {
  test('a follower whose next entry is no longer stored gets the state instead', () => {
    // Mutant, replication.ts: `if (progress.state !== 'snapshot' && progress.next <= log.base.index) progress.becomeSnapshot();` -> ``
    const solo = new Solo({ terms: [1, 1, 1] }).lead();
    solo.step({ kind: 'append-reply', term: 2, accepted: true, index: 4, hint: at(0, 0), lastIndex: 4 });
    solo.do((raft) => raft.logStartMoved(at(4, 2)));
    solo.take();
    // The entries asked for are gone, and n3 is alive.
    expect(solo.serve('n3')).toBeUndefined();
    solo.step({ kind: 'heartbeat-reply', from: 'n3', term: 2, round: 1 });
    expect(solo.raft.progressOf('n3')).toMatchObject({ state: 'snapshot' });
    expect(solo.take().flatMap((ready) => ready.snapshotsTo)).toEqual(['n3']);
    expect(solo.raft.snapshotFor('n3', at(4, 2), solo.raft.membership)).toMatchObject({
      snapshot: at(4, 2),
      commit: 4,
    });
  });

  test('a snapshot replaces a log that does not hold its last entry, whatever follows', () => {
    // Mutant, follower.ts: `log.reset(snapshot);` -> ``
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    const membership = solo.raft.membership;
    solo.step({ kind: 'snapshot', term: 3, snapshot: at(3, 2), membership, commit: 3 }).saved();
    expect(solo.take().find((ready) => ready.install !== undefined)?.install?.snapshot).toEqual(at(3, 2));
    solo.do((raft) => raft.installed(at(3, 2)));
    expect(solo.raft).toMatchObject({ commit: 3, lastIndex: 3, flushed: at(3, 2) });
    expect(solo.sent('snapshot-reply')).toMatchObject([{ index: 3 }]);
  });

  test('a log that holds the last entry of the snapshot is kept, with what follows it', () => {
    // Mutant, follower.ts: `return snapshot.index > commit && !log.has(snapshot);` -> `return snapshot.index > commit;`
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    solo.step({ kind: 'snapshot', term: 1, snapshot: at(2, 1), membership: solo.raft.membership, commit: 2 });
    expect(solo.log).toEqual([1, 1, 1, 1]);
    expect(solo.raft.commit).toBe(2);
    expect(solo.sent('append-reply')).toMatchObject([{ accepted: true, index: 2 }]);
  });

  test('a snapshot older than the commit index changes nothing (R15)', () => {
    // Mutant, follower.ts: `return snapshot.index > commit && !log.has(snapshot);` -> `return !log.has(snapshot);`
    const solo = new Solo({ terms: [1, 1, 1, 1], commit: 4 });
    solo.do((raft) => raft.logStartMoved(at(3, 1)));
    solo.step({ kind: 'snapshot', term: 1, snapshot: at(2, 1), membership: solo.raft.membership, commit: 2 });
    expect(solo.take().every((ready) => ready.install === undefined)).toBe(true);
    expect(solo.raft).toMatchObject({ commit: 4, lastIndex: 4 });
  });
});

describe('client interaction (section 8)', () => {
  test('a leader commits a blank entry at the start of its term (R4)', () => {
    // Mutant, replication.ts: `const firstIndex = log.lastIndex + 1;` -> `const firstIndex = log.lastIndex + 2;`
    const solo = new Solo({ terms: [1, 1] }).lead();
    expect(solo.raft).toMatchObject({ firstIndexOfTerm: 3, lastIndex: 3 });
    solo.step({ kind: 'append-reply', term: 2, accepted: true, index: 3, hint: at(0, 0), lastIndex: 3 });
    expect(solo.raft.commit).toBe(3);
  });
});
