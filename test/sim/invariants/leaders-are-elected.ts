/**
 * Whoever is followed in a term leads it, and whoever leads it was given durable votes by a majority of its voters, of
 * both sets of them in the middle of a change. Source: Raft paper 5.2 and section 6; R1, R13, R22.
 */
import { type Invariant, Violation } from './view.ts';

export function leadersAreElected(): Invariant {
  /** By group and term. */
  const leaders = new Map<string, string>();
  /** By group, term and candidate: whose vote for it was ever durable. */
  const votes = new Map<string, Set<string>>();
  const note = (group: number, node: string, term: number, votedFor: string | undefined): void => {
    if (votedFor === undefined) return;
    const key = `${group}/${term}/${votedFor}`;
    const voters = votes.get(key) ?? new Set();
    votes.set(key, voters.add(node));
  };
  return {
    name: 'who is followed leads the term, and who leads it was elected',
    source: 'Raft paper 5.2 and 6; R1, R13, R22',
    opened({ id }, { node, hardState: { term, votedFor } }) {
      note(id, node, term, votedFor);
    },
    hardStateSaved({ id }, { node, hardState: { term, votedFor } }) {
      note(id, node, term, votedFor);
    },
    stepped({ id }, { node }, { role, term, leader, membership }) {
      const key = `${id}/${term}`;
      const known = leaders.get(key);
      if (role !== 'leader') {
        if (leader === undefined || leader === known) return;
        throw new Violation(`group ${id}: ${node} follows ${leader} in term ${term}, which ${known ?? 'nobody'} leads`);
      }
      if (known !== undefined) return;
      leaders.set(key, node);
      const given = votes.get(`${key}/${node}`) ?? new Set();
      for (const voters of [membership.voters, membership.votersOutgoing]) {
        if (voters.length === 0 || voters.filter((voter) => given.has(voter)).length * 2 > voters.length) continue;
        throw new Violation(
          `group ${id}: ${node} leads term ${term} with the votes of [${[...given]}] among [${voters}]`,
        );
      }
    },
  };
}
