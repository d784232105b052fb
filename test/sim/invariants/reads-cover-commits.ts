/**
 * A leader that confirms a read index, by a round or by its lease, confirms one that covers all that was committed
 * anywhere when it was asked: nothing that was acknowledged before a linearizable read began may be missing from it.
 * This is what a deposed leader that does not know it yet gets wrong. Source: R4, R7, R8; Raft thesis 6.4.
 */
import { type Invariant, Violation } from './view.ts';

export function readsCoverCommits(): Invariant {
  return {
    name: 'a confirmed read index covers what was committed when it was asked for',
    source: 'R4, R7, R8, thesis 6.4',
    readAnswered({ id }, node, outcome, committed) {
      if (outcome.kind !== 'confirmed' || outcome.index >= committed) return;
      const { level, index, term } = outcome;
      throw new Violation(
        `group ${id}: ${node} confirms read index ${index} of term ${term} (${level}), ` +
          `and ${committed} was committed before it was asked`,
      );
    },
  };
}
