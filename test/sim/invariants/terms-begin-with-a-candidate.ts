/**
 * A term is begun by a candidate and by nobody else: whoever is seen in a new term first stands for election in it. A
 * pre-vote in particular raises no term, neither that of its sender nor of whoever is asked. Source: R9; thesis 9.6.
 */
import { CATALOG_GROUP } from '../../../src/broker/catalog.ts';
import { type Invariant, Violation } from './view.ts';

export function termsBeginWithACandidate(): Invariant {
  /** Highest term seen in each group. The catalog is born with an entry of term 1, without an election. */
  const terms = new Map<number, number>([[CATALOG_GROUP, 1]]);
  return {
    name: 'terms begin with a candidate',
    source: 'R9, thesis 9.6',
    stepped({ id }, { node }, { role, term }) {
      const known = terms.get(id) ?? 0;
      if (term <= known) return;
      terms.set(id, term);
      if (role !== 'candidate' && role !== 'leader')
        throw new Violation(`group ${id}: ${node} is a ${role} in term ${term}, for which nobody stood`);
    },
  };
}
