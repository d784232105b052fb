/** Election safety: at most one leader is elected in a term. Source: Raft paper 5.2; R28. */
import { type Invariant, Violation } from './view.ts';

export function oneLeaderPerTerm(): Invariant {
  /** By group and term. */
  const leaders = new Map<string, string>();
  return {
    name: 'one leader per term',
    source: 'Raft paper 5.2, R28',
    stepped(group, { node }, { role, term }) {
      if (role !== 'leader') return;
      const key = `${group.id}/${term}`;
      const known = leaders.get(key);
      if (known === undefined) leaders.set(key, node);
      else if (known !== node) throw new Violation(`group ${group.id}: ${known} and ${node} both lead term ${term}`);
    },
  };
}
