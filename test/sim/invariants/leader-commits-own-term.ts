/**
 * A leader moves its commit index only to an entry of its own term: one of an earlier term may sit on a majority and
 * still be overwritten. Source: Raft paper 5.4.2 and Figure 8; R3.
 */
import { type Invariant, type ReplicaView, Violation } from './view.ts';

export function leaderCommitsOwnTerm(): Invariant {
  /** Commit index of each leader when it was first seen to lead its term. */
  const began = new WeakMap<ReplicaView, { readonly term: number; readonly commit: number }>();
  return {
    name: 'a leader counts entries of its own term only',
    source: 'Raft paper 5.4.2, R3',
    stepped({ id }, replica, { role, term, commit, log }, commitBefore) {
      if (role !== 'leader') return;
      let known = began.get(replica);
      // What it learned as a follower, in the turn in which it was elected, is no counting of its own.
      if (known?.term !== term) {
        known = { term, commit };
        began.set(replica, known);
      }
      if (commit === commitBefore || commit === known.commit) return;
      const of = log.termAt(commit);
      if (of !== term)
        throw new Violation(`group ${id}: ${replica.node}, leader of term ${term}, commits ${commit} of term ${of}`);
    },
  };
}
