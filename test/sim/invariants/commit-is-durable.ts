/**
 * What is committed is on the disks of a majority of the voters (of both majorities while two configurations overlap),
 * and what a replica takes for committed is what all others do; it never goes down in the life of a process.
 * Source: R3, R6, R28; design decision 4.
 */
import type { Membership } from '../../../src/raft/index.ts';
import { type GroupView, type Invariant, Violation } from './view.ts';

export function commitIsDurable(): Invariant {
  return {
    name: 'what is committed is durable on a majority, and stays',
    source: 'R3, R6, R28',
    stepped(group, { node }, { commit, log }, commitBefore) {
      if (commit < commitBefore) {
        throw new Violation(`group ${group.id} on ${node}: commit ${commitBefore} became ${commit}`);
      }
      const last = Math.min(commit, group.commit);
      for (let index = Math.max(commitBefore, log.base.index) + 1; index <= last; index += 1) {
        const [mine, known] = [log.termAt(index), group.committedTerms.get(index)];
        if (mine === known || known === undefined) continue;
        throw new Violation(`group ${group.id} on ${node}: committed ${index} of term ${mine}, others of ${known}`);
      }
    },
    committed(group, { node }, { commit, log, membership }) {
      const term = log.termAt(commit);
      for (const voters of [membership.voters, membership.votersOutgoing]) {
        const holders = voters.filter((voter) => isDurableOn(group, voter, commit, term));
        if (voters.length === 0 || holders.length * 2 > voters.length) continue;
        throw new Violation(
          `group ${group.id}: ${node} commits ${commit} of term ${term}, ` +
            `durable on [${holders}] of ${describe(membership)}`,
        );
      }
    },
  };
}

function isDurableOn(group: GroupView, voter: string, index: number, term: number | undefined): boolean {
  const replica = group.replicas.get(voter);
  if (replica === undefined || replica.durableIndex < index) return false;
  const { log } = replica.observed;
  return log.base.index > index || log.termAt(index) === term;
}

function describe({ voters, votersOutgoing }: Membership): string {
  return votersOutgoing.length === 0 ? `[${voters}]` : `[${voters}] and [${votersOutgoing}]`;
}
