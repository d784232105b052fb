/**
 * Questions about a Membership. Changing one (joint consensus) is not here: a membership is given at start and with a
 * snapshot.
 */
import type { Membership, NodeId } from './types.ts';

/** Votes and is counted, in either half of a joint membership. */
export function isVoter(membership: Membership, node: NodeId): boolean {
  return membership.voters.includes(node) || membership.votersOutgoing.includes(node);
}

/** Voter or learner. Messages of others are not heard: a removed or foreign node cannot raise terms (R17). */
export function isMember(membership: Membership, node: NodeId): boolean {
  return isVoter(membership, node) || membership.learners.includes(node);
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
