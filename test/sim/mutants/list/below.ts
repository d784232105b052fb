/**
 * Mistakes that no seed can show: they lie below what is simulated (docs/simulation.md), or another rule keeps them from
 * doing harm, on every leader of ours. Each names the test that fails with it.
 */
import type { TestedMutant } from '../mutant.ts';

const FOLLOWER = 'src/raft/follower.ts';
const NODE_DISK = 'storage/node-disk.ts';

export const TESTED_MUTANTS: readonly TestedMutant[] = [
  {
    id: 'short-write-ignored',
    sentence: 'A write that the system cut short counts as whole.',
    rule: 'W5',
    test: 'test/storage/node-disk.test.ts',
    edits: [
      {
        file: NODE_DISK,
        from: 'left = written === wanted ? left.slice(part.length) : afterBytes(left, written);',
        to: 'left = afterBytes(left.slice(part.length), 0);',
      },
      {
        file: NODE_DISK,
        from: 'assert(at === position + totalBytes(chunks),',
        to: 'assert(at >= position,',
      },
    ],
  },
  {
    // The first append that a leader of ours gets accepted reaches past the place where the logs part: nothing is left
    // beyond it that could be committed by mistake. Other leaders may send less.
    id: 'commit-beyond-match',
    sentence: "A follower takes the leader's commit index for its whole log, beyond what the message matched.",
    rule: 'R6',
    test: 'test/raft/paper.test.ts',
    edits: [
      {
        file: FOLLOWER,
        from: 'commitTo(state, Math.min(message.commit, lastNew));',
        to: 'commitTo(state, Math.min(message.commit, log.lastIndex));',
      },
    ],
  },
];
