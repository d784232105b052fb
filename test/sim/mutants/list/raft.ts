/** Mistakes in the rules of Raft: votes, counting, truncation, acks. */
import type { Mutant } from '../mutant.ts';

const ELECTION = 'src/raft/election.ts';
const FOLLOWER = 'src/raft/follower.ts';
const REPLICATION = 'src/raft/replication.ts';
const RAFT = 'src/raft/raft.ts';

export const RAFT_MUTANTS: readonly Mutant[] = [
  {
    id: 'leader-counts-unflushed',
    sentence: 'The leader counts itself before its own flush.',
    rule: 'W1',
    edits: [
      {
        file: REPLICATION,
        from: 'if (voter === options.id) return state.flushed;',
        to: 'if (voter === options.id) return log.lastIndex;',
      },
    ],
  },
  {
    id: 'follower-acks-unflushed',
    sentence: 'A follower acks entries before they are flushed.',
    rule: 'W14',
    edits: [
      {
        file: FOLLOWER,
        from: 'const index = Math.min(state.flushed, following.matched);',
        to: 'const index = following.matched;',
      },
    ],
  },
  {
    id: 'ack-beyond-match',
    sentence: "A follower acks all it has flushed, beyond what the leader's message matched.",
    rule: 'R6',
    edits: [
      {
        file: FOLLOWER,
        from: 'const index = Math.min(state.flushed, following.matched);',
        to: 'const index = state.flushed;',
      },
    ],
  },
  {
    id: 'heartbeat-commit-beyond-match',
    sentence: 'A heartbeat carries a commit index beyond what the follower is known to hold.',
    rule: 'R6',
    edits: [
      {
        file: REPLICATION,
        from: 'const commit = Math.min(state.commit, progress.heldMatch);',
        to: 'const commit = state.commit;',
      },
    ],
  },
  {
    id: 'vote-before-saving',
    sentence: 'A vote is sent before it is on disk.',
    rule: 'R1',
    edits: [
      {
        file: ELECTION,
        from: "sendDurably(state, { kind: 'vote-reply',",
        to: "send(state, { kind: 'vote-reply',",
      },
    ],
  },
  {
    id: 'own-vote-before-saving',
    sentence: 'A candidate counts its own vote and asks for others before term and vote are on disk.',
    rule: 'R1',
    edits: [
      {
        file: ELECTION,
        from: 'state.campaign = { votes: new Map(), isTransfer, timeouts: 0 };',
        to: 'state.campaign = { votes: new Map([[options.id, true]]), isTransfer, timeouts: 0 };',
      },
      {
        file: ELECTION,
        from: "sendDurably(state, { kind: 'vote', from",
        to: "send(state, { kind: 'vote', from",
      },
    ],
  },
  {
    id: 'forget-own-vote',
    sentence: 'A candidate does not save that it voted for itself.',
    rule: 'R1',
    edits: [{ file: ELECTION, from: 'state.votedFor = options.id;', to: 'state.votedFor = undefined;' }],
  },
  {
    id: 'forget-vote-on-step-down',
    sentence: 'Stepping down within a term forgets the vote.',
    rule: 'R1',
    edits: [
      {
        file: ELECTION,
        from: "state.role = 'follower';\n  state.leader = leader;",
        to: "state.role = 'follower';\n  state.votedFor = undefined;\n  state.leader = leader;",
      },
    ],
  },
  {
    id: 'vote-twice',
    sentence: 'A second candidate of the same term gets the vote too.',
    rule: 'R1',
    edits: [
      {
        file: ELECTION,
        from: '(state.votedFor === request.from || (state.votedFor === undefined && state.leader === undefined)) &&',
        to: '',
      },
    ],
  },
  {
    id: 'vote-for-shorter-log',
    sentence: 'A vote is granted to a candidate whose log is shorter.',
    rule: 'R2',
    edits: [
      {
        file: ELECTION,
        from: '(last.term === own.term && last.index >= own.index)',
        to: 'last.term === own.term',
      },
    ],
  },
  {
    id: 'vote-by-length',
    sentence: 'Logs are compared by length alone, not by term.',
    rule: 'R2',
    edits: [
      {
        file: ELECTION,
        from: 'return last.term > own.term || (last.term === own.term && last.index >= own.index);',
        to: 'return last.index >= own.index;',
      },
    ],
  },
  {
    id: 'commit-old-term',
    sentence: 'An entry of an earlier term is committed by counting replicas (Figure 8).',
    rule: 'R3',
    edits: [
      {
        file: REPLICATION,
        from: 'if (index > state.commit && log.termAt(index) === state.term) {',
        to: 'if (index > state.commit) {',
      },
    ],
  },
  {
    id: 'half-is-majority',
    sentence: 'Half of the voters, rounded down, is taken for a majority.',
    rule: 'R28',
    edits: [
      {
        file: 'src/raft/quorum.ts',
        from: 'return Math.floor(voterCount / 2) + 1;',
        to: 'return Math.max(1, Math.floor(voterCount / 2));',
      },
    ],
  },
  {
    id: 'truncate-on-every-append',
    sentence: 'A follower cuts its log at every append, not only on a conflict.',
    rule: 'R5',
    edits: [
      {
        file: FOLLOWER,
        from: 'if (entry.index > state.commit && !log.has(entry)) break;',
        to: 'if (entry.index > state.commit) break;',
      },
    ],
  },
  {
    id: 'no-truncation-on-conflict',
    sentence: "Entries that conflict with the leader's are taken for equal when the index is there.",
    rule: 'R5',
    edits: [
      {
        file: FOLLOWER,
        from: 'if (entry.index > state.commit && !log.has(entry)) break;',
        to: 'if (entry.index > log.lastIndex) break;',
      },
      {
        file: FOLLOWER,
        from: 'if (previous.index > state.commit && !log.has(previous)) {',
        to: 'if (previous.index > log.lastIndex) {',
      },
      {
        file: FOLLOWER,
        from: '  assertCommittedAgrees(state, previous);\n',
        to: '',
      },
      {
        file: FOLLOWER,
        from: '    assertCommittedAgrees(state, entry);\n',
        to: '',
      },
    ],
  },
  {
    id: 'previous-unchecked',
    sentence: 'A follower takes an append without looking at the term of the entry before it.',
    rule: 'R5',
    edits: [
      {
        file: FOLLOWER,
        from: 'if (previous.index > state.commit && !log.has(previous)) {',
        to: 'if (previous.index > log.lastIndex) {',
      },
    ],
  },
  {
    id: 'flushed-kept-after-cut',
    sentence: 'After a cut, what was flushed before still counts as flushed.',
    rule: 'W17',
    edits: [{ file: FOLLOWER, from: '  state.flushed = Math.min(state.flushed, from - 1);\n', to: '' }],
  },
  {
    id: 'old-replies-count',
    sentence: 'Answers of an earlier term are acted on.',
    rule: 'R22',
    edits: [
      {
        file: RAFT,
        from: '      default:\n        return false;\n    }\n  }\n\n  #dispatch',
        to: '      default:\n        return true;\n    }\n  }\n\n  #dispatch',
      },
    ],
  },
  {
    id: 'old-leader-obeyed',
    sentence: 'Appends of a leader of an earlier term are taken.',
    rule: 'R22',
    edits: [
      {
        file: RAFT,
        from: 'if (message.term < state.term) return this.#onOldTerm(message);',
        to: "if (message.term < state.term && message.kind !== 'append') return this.#onOldTerm(message);",
      },
    ],
  },
  {
    id: 'pre-vote-changes-term',
    sentence: 'A pre-vote raises the term of whoever is asked.',
    rule: 'R9',
    edits: [
      {
        file: RAFT,
        from: "    if (message.kind === 'pre-vote') return true;\n",
        to: '',
      },
    ],
  },
  {
    id: 'no-quorum-check',
    sentence: 'A leader that hears nobody goes on leading.',
    rule: 'R10',
    edits: [
      {
        file: REPLICATION,
        from: "  if (!hasQuorum(state.membership, (voter) => isActive(state, voter))) return 'unheard';\n",
        to: '',
      },
    ],
  },
  {
    id: 'keep-suffix-after-install',
    sentence: 'A snapshot is not installed when the log is longer: the conflicting suffix stays.',
    rule: 'R15',
    edits: [
      {
        file: FOLLOWER,
        from: 'return snapshot.index > commit && !log.has(snapshot);',
        to: 'return snapshot.index > commit && snapshot.index > log.lastIndex;',
      },
    ],
  },
  {
    id: 'install-older-snapshot',
    sentence: 'An older snapshot is installed over newer state.',
    rule: 'R15',
    edits: [
      {
        file: FOLLOWER,
        from: 'return snapshot.index > commit && !log.has(snapshot);',
        to: 'return snapshot.index > 0 || log.has(snapshot) || commit > 0;',
      },
    ],
  },
  {
    id: 'quarantined-node-votes',
    sentence: 'A node whose log is damaged or divergent still votes and acks.',
    rule: 'R19',
    edits: [
      {
        file: 'src/partition/rights.ts',
        from: 'this.#raft.setMayVote(isTailSound);',
        to: 'this.#raft.setMayVote(true);',
      },
    ],
  },
  {
    id: 'wiped-node-votes',
    sentence: 'A node that has lost its log votes before it has rejoined.',
    rule: 'R19',
    edits: [{ file: ELECTION, from: 'return state.mayVote && !state.isRejoining;', to: 'return state.mayVote;' }],
  },
  {
    id: 'voter-does-not-wait',
    sentence: 'Who grants a vote goes on with the wait it had begun, and soon competes with its candidate.',
    rule: 'Raft paper 5.2',
    edits: [
      {
        file: ELECTION,
        from: '    // Paper 5.2: granting a vote restarts the wait, or the voter would soon compete with its candidate.\n    drawElectionTimeout(state);\n',
        to: '',
      },
    ],
  },
];
