/**
 * On disk, the term never goes down, and within a term the vote is given once: not while a process runs and not across
 * its crashes. Source: R1, R28; paper figure 2.
 */
import type { HardState } from '../../../storage/index.ts';
import { type Invariant, Violation } from './view.ts';

export function hardStateNeverFalls(): Invariant {
  const check = (where: string, before: HardState, after: HardState): void => {
    if (after.term < before.term) throw new Violation(`${where}: term ${before.term} on disk became ${after.term}`);
    if (after.term > before.term || before.votedFor === undefined || before.votedFor === after.votedFor) return;
    throw new Violation(
      `${where}: voted for ${before.votedFor} in term ${before.term}, and for ${after.votedFor ?? 'nobody'} later`,
    );
  };
  return {
    name: 'term and vote on disk never fall',
    source: 'R1, R28',
    opened({ id }, { node, hardState }, before) {
      if (before !== undefined) check(`group ${id} on ${node}, after recovery`, before.hardState, hardState);
    },
    hardStateSaved({ id }, { node, hardState }, before) {
      check(`group ${id} on ${node}`, before, hardState);
    },
  };
}
