/** Election safety: at most one leader is elected in a term. Source: Raft paper 5.2; R28. */
import { type Invariant, Violation } from './view.ts';

export function oneLeaderPerTerm(): Invariant {
  /** By group, then by term. */
  const leaders = new Map<number, Map<number, string>>();
  return {
    name: 'one leader per term',
    source: 'Raft paper 5.2, R28',
    stepped(group, { node }, { role, term }) {
      if (role !== 'leader') return;
      let terms = leaders.get(group.id);
      if (terms === undefined) {
        terms = new Map();
        leaders.set(group.id, terms);
      }
      const known = terms.get(term);
      if (known === undefined) terms.set(term, node);
      else if (known !== node) throw new Violation(`group ${group.id}: ${known} and ${node} both lead term ${term}`);
    },
  };
}
