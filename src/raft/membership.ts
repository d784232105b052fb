/**
 * Memberships: questions about one, and the step from one to the next (joint consensus, paper section 6, thesis 4.3).
 * Which of them are in force is in membership-log.ts; when a leader may change one is in reconfiguration.ts.
 */
import type { Membership, NodeId } from './types.ts';

/** What a change asks for: the membership to end with. */
export interface MembershipTarget {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

/** Votes and is counted, in either half of a joint membership. */
export function isVoter(membership: Membership, node: NodeId): boolean {
  return membership.voters.includes(node) || membership.votersOutgoing.includes(node);
}

/** Voter or learner. */
export function isMember(membership: Membership, node: NodeId): boolean {
  return isVoter(membership, node) || membership.learners.includes(node);
}

/** Two sets of voters at once: on the way from one to the other. */
export function isJoint(membership: Membership): boolean {
  return membership.votersOutgoing.length > 0;
}

/** Everybody but `self`, each once, in the order of the lists. */
export function peersOf(membership: Membership, self: NodeId): NodeId[] {
  const everybody = [...membership.voters, ...membership.votersOutgoing, ...membership.learners];
  return [...new Set(everybody)].filter((node) => node !== self);
}

/** A plain membership of voters. */
export function votersOnly(voters: readonly NodeId[]): Membership {
  return { voters, votersOutgoing: [], learners: [] };
}

/**
 * The first entry of a change. Learners come and go in one step, for nobody counts them; as soon as the set of voters
 * changes, by one node or by many, both sets decide until leaveJoint() is appended.
 */
export function stepTowards(from: Membership, { voters, learners }: MembershipTarget): Membership {
  return { voters, votersOutgoing: isSameSet(from.voters, voters) ? [] : from.voters, learners };
}

/** The second entry of a change: the outgoing voters are gone. */
export function leaveJoint({ voters, learners }: Membership): Membership {
  return { voters, votersOutgoing: [], learners };
}

export function isSameMembership(a: Membership, b: Membership): boolean {
  // The common case by far: asked before every Ready.
  if (a === b) return true;
  return (
    isSameSet(a.voters, b.voters) && isSameSet(a.votersOutgoing, b.votersOutgoing) && isSameSet(a.learners, b.learners)
  );
}

function isSameSet(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((node) => b.includes(node));
}
