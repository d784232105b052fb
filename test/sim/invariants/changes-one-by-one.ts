/**
 * A leader begins to change the membership when the change before it is committed, and an entry of its own term: before
 * that it cannot know what its predecessors began, and two changes that do not know of each other may share no
 * majority. Source: R4, R11; Ongaro's correction of 2015.
 */
import { type Invariant, type ReplicaView, Violation } from './view.ts';

export function changesOneByOne(): Invariant {
  /** By replica, the entry of the membership in force. */
  const inForce = new WeakMap<ReplicaView, number>();
  return {
    name: 'one change of the membership at a time',
    source: 'R4, R11',
    stepped({ id }, replica, { memberships: { effectiveIndex }, leading, commit }) {
      const before = inForce.get(replica) ?? 0;
      inForce.set(replica, effectiveIndex);
      // What lies below its no-op is not this leader's.
      if (leading === undefined || effectiveIndex === before || effectiveIndex < leading.firstIndex) return;
      const where = `group ${id}: ${replica.node} changes the membership at ${effectiveIndex}`;
      if (before > commit) throw new Violation(`${where}, and the change at ${before} is not committed`);
      if (commit < leading.firstIndex)
        throw new Violation(`${where}, and no entry of its term, from ${leading.firstIndex}, is committed`);
    },
  };
}
