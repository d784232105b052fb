/**
 * Who grants a vote waits a whole election timeout for its candidate before it campaigns itself; otherwise the voters
 * of a candidate compete with it, and elections take ever longer. Source: Raft paper 5.2.
 */
import { type Invariant, type ReplicaView, Violation } from './view.ts';

/** Ticks that may pass between the grant and the look at it. */
const TICKS_MAX = 4;

export function votersWaitAnew(): Invariant {
  const votes = new WeakMap<ReplicaView, { readonly term: number; readonly votedFor: string | undefined }>();
  return {
    name: 'who votes waits anew',
    source: 'Raft paper 5.2',
    stepped({ id }, replica, { term, votedFor, role, electionElapsed, isRejoining }) {
      const before = votes.get(replica);
      if (before?.term === term && before.votedFor === votedFor) return;
      votes.set(replica, { term, votedFor });
      // The first look at a process sees what an earlier one voted for.
      if (before === undefined || role !== 'follower' || isRejoining) return;
      if (votedFor === undefined || votedFor === replica.node || electionElapsed <= TICKS_MAX) return;
      throw new Violation(
        `group ${id}: ${replica.node} votes for ${votedFor} in ${term}, ` +
          `and has ${electionElapsed} ticks of its wait behind it`,
      );
    },
  };
}
