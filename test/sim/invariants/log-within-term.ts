/**
 * What recovery finds holds no entry of a term above the one on disk: a term is durable before any of its entries is
 * written. Source: W14.
 */
import { type Invariant, Violation } from './view.ts';

export function logWithinTerm(): Invariant {
  return {
    name: 'no entry is of a term above the one on disk',
    source: 'W14',
    opened({ id }, { node, hardState, observed: { log } }) {
      const last = log.termAt(log.lastIndex) ?? 0;
      if (last > hardState.term)
        throw new Violation(
          `group ${id} on ${node}: the log ends in term ${last}, the term on disk is ${hardState.term}`,
        );
    },
  };
}
