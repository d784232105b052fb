/** Mistakes in what becomes of a replica that holds another entry than its leader at one index and term. */
import type { Mutant } from '../mutant.ts';

export const DIVERGENCE_MUTANTS: readonly Mutant[] = [
  {
    id: 'chain-mismatch-ignored',
    sentence: "A follower whose chain differs from the leader's takes entries all the same.",
    rule: 'R27',
    edits: [
      {
        file: 'src/partition/inbox.ts',
        from: 'return this.#differs(message, entries, previousChain);',
        to: 'return false;',
      },
    ],
  },
  {
    id: 'divergent-log-kept',
    sentence: "A replica whose chain differs from its leader's rejoins with the log it has.",
    rule: 'R27',
    edits: [
      {
        file: 'src/partition/partition.ts',
        from: 'onDivergence: (what) => this.rejoining.giveUp(what),',
        to: 'onDivergence: (what) => this.rejoining.lose(what),',
      },
    ],
  },
];
