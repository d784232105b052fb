/**
 * Majority arithmetic, for one set of voters and for two at once (joint consensus: both majorities are needed,
 * thesis 4.3). Pure functions over a question asked per voter.
 */
import type { LogIndex, Membership, NodeId } from './types.ts';

export type Tally = 'won' | 'lost' | 'pending';

export function majorityOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** The highest index that a majority has reached. An empty set constrains nothing: Infinity. No allocation: runs at
 *  every ack, and voter sets are small. */
function majorityIndex(voters: readonly NodeId[], matchOf: (voter: NodeId) => LogIndex): LogIndex {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const needed = majorityOf(voters.length);
  let best = 0;
  for (const voter of voters) {
    const candidate = matchOf(voter);
    if (candidate <= best) continue;
    let reached = 0;
    for (const other of voters) if (matchOf(other) >= candidate) reached += 1;
    if (reached >= needed) best = candidate;
  }
  return best;
}

/** The highest index held by a quorum; 0 when there is none, and for a membership without voters. */
export function quorumIndex(membership: Membership, matchOf: (voter: NodeId) => LogIndex): LogIndex {
  const index = Math.min(majorityIndex(membership.voters, matchOf), majorityIndex(membership.votersOutgoing, matchOf));
  return Number.isFinite(index) ? index : 0;
}

function majorityTally(voters: readonly NodeId[], voteOf: (voter: NodeId) => boolean | undefined): Tally {
  if (voters.length === 0) return 'won';
  const needed = majorityOf(voters.length);
  let granted = 0;
  let open = 0;
  for (const voter of voters) {
    const vote = voteOf(voter);
    if (vote === true) granted += 1;
    else if (vote === undefined) open += 1;
  }
  if (granted >= needed) return 'won';
  return granted + open >= needed ? 'pending' : 'lost';
}

/** Whether the voters can do without one of them: the others have a majority, or both majorities, among themselves. */
export function canDoWithout(membership: Membership, node: NodeId): boolean {
  return tallyVotes(membership, (voter) => voter !== node) === 'won';
}

/** `voteOf` answers undefined for a voter not heard from yet. A membership without voters elects nobody. */
export function tallyVotes(membership: Membership, voteOf: (voter: NodeId) => boolean | undefined): Tally {
  if (membership.voters.length === 0) return 'lost';
  const incoming = majorityTally(membership.voters, voteOf);
  const outgoing = majorityTally(membership.votersOutgoing, voteOf);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

/** Do the voters for whom `holds` is true form a quorum? */
export function hasQuorum(membership: Membership, holds: (voter: NodeId) => boolean): boolean {
  return tallyVotes(membership, holds) === 'won';
}
