/** Mistakes in reads that promise to be current (R7, R8), and in states that travel. */
import type { Mutant } from '../mutant.ts';

const LEASE = 'src/partition/lease.ts';
const READ_INDEX = 'src/partition/read-index.ts';

export const READ_MUTANTS: readonly Mutant[] = [
  {
    id: 'read-index-before-noop',
    sentence: 'A new leader answers linearizable reads before an entry of its term is committed.',
    rule: 'R4',
    edits: [
      {
        file: READ_INDEX,
        from: 'return raft.firstIndexOfTerm !== undefined && raft.commit >= raft.firstIndexOfTerm;',
        to: 'return raft.firstIndexOfTerm !== undefined;',
      },
    ],
  },
  {
    id: 'read-index-of-earlier-round',
    sentence: 'A linearizable read is answered by a round that was begun before it.',
    rule: 'R7',
    edits: [
      { file: READ_INDEX, from: 'raft.confirmedRound < round.number', to: 'raft.confirmedRound < round.number - 1' },
    ],
  },
  {
    id: 'read-index-without-round',
    sentence: 'A leader answers linearizable reads without asking whether it still leads.',
    rule: 'R7',
    edits: [{ file: READ_INDEX, from: ' || raft.confirmedRound < round.number) return;', to: ') return;' }],
  },
  {
    id: 'reads-kept-across-terms',
    sentence: 'Linearizable reads of an earlier term are answered by rounds of a later one.',
    rule: 'R7',
    edits: [
      { file: READ_INDEX, from: 'round.term !== raft.term || ', to: '' },
      {
        file: READ_INDEX,
        from: '    this.#round = undefined;\n    this.#lease.drop();\n    for (const settle of dropped) settle(NOT_LEADER);',
        to: '    this.#lease.drop();\n    void dropped;',
      },
    ],
  },
  {
    id: 'lease-from-wall-clock',
    sentence: 'The lease is measured by the wall clock.',
    rule: 'R8',
    edits: [
      {
        file: LEASE,
        from: 'this.#sentMs.set(message.round, this.#clock.monotonicMs());',
        to: 'this.#sentMs.set(message.round, this.#clock.nowMs());',
      },
      { file: LEASE, from: 'return this.#clock.monotonicMs() < untilMs;', to: 'return this.#clock.nowMs() < untilMs;' },
    ],
  },
  {
    id: 'lease-from-answer',
    sentence: 'The lease runs from the answer of a voter instead of from the question.',
    rule: 'R8',
    edits: [
      {
        file: LEASE,
        from: 'const untilMs = sentMs + message.promiseMs',
        to: 'const untilMs = this.#clock.monotonicMs() + message.promiseMs',
      },
    ],
  },
  {
    id: 'lease-kept-in-transfer',
    sentence: 'The lease outlives the order to hand leadership over.',
    rule: 'R8',
    edits: [{ file: LEASE, from: '    this.#forbiddenTerm = this.#raft.term;\n    this.drop();\n', to: '' }],
  },
];
