/**
 * Any majority of one configuration meets any majority of the next: a change goes through a joint configuration, or
 * moves one voter. Source: Raft thesis 4, R11, R28.
 */
import type { Membership } from '../../../src/raft/index.ts';
import { type Invariant, Violation } from './view.ts';

export function configurationsOverlap(): Invariant {
  return {
    name: 'majorities of successive configurations overlap',
    source: 'Raft thesis 4, R11, R28',
    stepped(group, replica, { membership, role }) {
      const before = replica.membership;
      // A follower may skip configurations with a snapshot or a cut; the leader that makes them goes one by one.
      if (role !== 'leader' || before === undefined || before === membership || doOverlap(before, membership)) return;
      throw new Violation(
        `group ${group.id}: ${replica.node} went from ${JSON.stringify(before)} to ${JSON.stringify(membership)}`,
      );
    },
  };
}

/** Whether they share a simple majority rule: one is among the halves of the other, or one voter moved. */
function doOverlap(one: Membership, other: Membership): boolean {
  return halves(one).some((a) => halves(other).some((b) => difference(a, b) <= 1));
}

function halves({ voters, votersOutgoing }: Membership): readonly (readonly string[])[] {
  return votersOutgoing.length === 0 ? [voters] : [voters, votersOutgoing];
}

function difference(one: readonly string[], other: readonly string[]): number {
  const gone = one.filter((voter) => !other.includes(voter)).length;
  const come = other.filter((voter) => !one.includes(voter)).length;
  return gone + come;
}
