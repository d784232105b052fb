/**
 * A leader holds everything that was committed before its term, so nothing that was acknowledged can be absent from any
 * later leader. By log matching it is enough to look at the last committed entry. Source: Raft paper 5.4, R2, R28.
 */
import { type Invariant, Violation } from './view.ts';

export function leaderCompleteness(): Invariant {
  /** Terms whose leader was looked at, by group. */
  const seen = new Map<number, Set<number>>();
  return {
    name: 'a leader holds everything committed before its term',
    source: 'Raft paper 5.4, R28',
    stepped(group, { node }, { role, term, log }) {
      if (role !== 'leader') return;
      let terms = seen.get(group.id);
      if (terms === undefined) {
        terms = new Set();
        seen.set(group.id, terms);
      }
      if (terms.has(term)) return;
      terms.add(term);
      // Committed in a later term by somebody else: this leader is a stale one that does not know yet.
      if (group.commitTerm >= term || group.commit <= log.base.index) return;
      if (log.termAt(group.commit) === group.commitTerm) return;
      throw new Violation(
        `group ${group.id}: ${node} leads term ${term} without entry ${group.commit} of term ${group.commitTerm}`,
      );
    },
  };
}
