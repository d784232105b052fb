/** Mistakes in changing who votes. */
import type { Mutant } from '../mutant.ts';

const QUORUM = 'src/raft/quorum.ts';
const RECONFIGURATION = 'src/raft/reconfiguration.ts';
const MEMBERSHIPS = 'src/raft/membership-log.ts';

export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  {
    id: 'joint-old-majority-skipped',
    sentence: 'While a change is under way, commit asks for the new majority alone.',
    rule: 'R13',
    edits: [
      {
        file: QUORUM,
        from: 'const index = Math.min(majorityIndex(membership.voters, matchOf), majorityIndex(membership.votersOutgoing, matchOf));',
        to: 'const index = majorityIndex(membership.voters, matchOf);',
      },
    ],
  },
  {
    id: 'joint-old-votes-skipped',
    sentence: 'While a change is under way, an election asks for the new majority alone.',
    rule: 'R13',
    edits: [
      {
        file: QUORUM,
        from: 'const outgoing = majorityTally(membership.votersOutgoing, voteOf);',
        to: 'const outgoing = incoming;',
      },
    ],
  },
  {
    id: 'no-joint-membership',
    sentence: 'The voters are replaced in one step, however many they are.',
    rule: 'R11',
    edits: [
      {
        file: 'src/raft/membership.ts',
        from: 'votersOutgoing: isSameSet(from.voters, voters) ? [] : from.voters, learners };',
        to: 'votersOutgoing: [], learners };',
      },
    ],
  },
  {
    id: 'two-changes-in-flight',
    sentence: 'A change is begun while another one is not committed.',
    rule: 'R11',
    edits: [
      {
        file: RECONFIGURATION,
        from: "  if (isJoint(effective) || effectiveIndex > commit) return refused('change-in-flight');\n",
        to: '',
      },
    ],
  },
  {
    id: 'change-before-own-term',
    sentence: 'A new leader changes the membership before an entry of its term is committed.',
    rule: 'R11',
    edits: [
      { file: RECONFIGURATION, from: "  if (commit < leading.firstIndex) return refused('not-ready');\n", to: '' },
    ],
  },
  {
    id: 'joint-change-never-left',
    sentence: 'Nobody appends the second step of a change.',
    rule: 'R13',
    edits: [
      {
        file: RECONFIGURATION,
        from: 'if (leading === undefined || effectiveIndex > commit || !isJoint(effective)) return;',
        to: 'if (leading === undefined || effectiveIndex >= 0) return;',
      },
    ],
  },
  {
    id: 'joint-change-left-by-all',
    sentence: 'The second step of a change waits until all voters hold the first.',
    rule: 'R13',
    edits: [
      {
        file: RECONFIGURATION,
        from: '  if (!mayAppend) return;\n',
        to: `  if (!mayAppend) return;
  if ([...leading.progress.values()].some(({ countedMatch }) => countedMatch < effectiveIndex)) return;
`,
      },
    ],
  },
  {
    id: 'membership-kept-after-cut',
    sentence: 'A membership whose entry was cut stays in force.',
    rule: 'R12',
    edits: [
      {
        file: MEMBERSHIPS,
        from: 'while (this.#entries.length > 1 && this.#last.index >= from) this.#entries.pop();',
        to: 'if (from < 0) this.#entries.pop();',
      },
    ],
  },
  {
    id: 'learner-promoted-behind',
    sentence: 'A learner becomes a voter however far it is behind.',
    rule: 'R11',
    edits: [
      {
        file: RECONFIGURATION,
        from: "if (progress?.state !== 'replicate') return false;",
        to: 'return progress !== undefined;',
      },
    ],
  },
  {
    id: 'uncommitted-membership-in-snapshot',
    sentence: 'A snapshot goes out with the membership in force, committed or not.',
    rule: 'R14',
    edits: [
      {
        file: 'src/raft/replication.ts',
        from: '    snapshot,\n    membership,\n    commit: state.commit,',
        to: '    snapshot,\n    membership: state.membership ?? membership,\n    commit: state.commit,',
      },
    ],
  },
  {
    id: 'removed-log-made-again',
    sentence: 'A node that starts makes every log that its catalog names, however old that is.',
    rule: 'R18',
    edits: [
      {
        file: 'src/broker/log-making.ts',
        from: 'return this.#isCurrent || this.#found.has(groupId);',
        to: 'return this.#isCurrent || groupId >= 0;',
      },
    ],
  },
];
