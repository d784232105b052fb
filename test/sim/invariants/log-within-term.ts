/**
 * No entry is on a disk that does not hold the entry's term yet: a term is durable before any of its entries is
 * written, or a crash between the two leaves a node that took entries of a leader and may still vote for another one of
 * that term. Looked at after each flush, and in what recovery finds. Source: W14.
 */
import { type Invariant, Violation } from './view.ts';

export function logWithinTerm(): Invariant {
  return {
    name: 'no entry is of a term above the one on disk',
    source: 'W14',
    flushed({ id }, { node, hardState }, { term, index }) {
      if (term > hardState.term)
        throw new Violation(
          `group ${id} on ${node}: entry ${index} of term ${term} is on disk, and the term there is ${hardState.term}`,
        );
    },
    opened({ id }, { node, hardState, observed: { log } }) {
      const last = log.termAt(log.lastIndex) ?? 0;
      if (last > hardState.term)
        throw new Violation(
          `group ${id} on ${node}: the log ends in term ${last}, the term on disk is ${hardState.term}`,
        );
    },
  };
}
