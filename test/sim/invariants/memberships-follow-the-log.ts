/**
 * The membership in force is that of an entry which is in the log: once that entry is cut, so is its membership. One
 * that goes with a state is the one that was committed as of it, and none later. And a voter that is added holds what is
 * committed, but for what is on its way. Source: R11, R12, R14; thesis 4.2.1.
 */
import type { Membership } from '../../../src/raft/index.ts';
import { type GroupView, type Invariant, type ReplicaView, Violation } from './view.ts';

export function membershipsFollowTheLog(): Invariant {
  /** By replica: the entry in force when it was last looked at. */
  const inForce = new WeakMap<ReplicaView, { readonly index: number; readonly term: number | undefined }>();
  return {
    name: 'the membership in force is in the log',
    source: 'R12',
    stepped({ id }, replica, { memberships: { effectiveIndex: index }, log }) {
      if (index > log.lastIndex)
        throw new Violation(
          `group ${id}: the membership of ${index} is in force on ${replica.node}, which has no such entry`,
        );
      const term = index > log.base.index ? log.termAt(index) : undefined;
      const before = inForce.get(replica);
      if (before?.index !== index) inForce.set(replica, { index, term });
      else if (term !== undefined && before.term !== undefined && before.term !== term)
        throw new Violation(
          `group ${id}: the membership of ${index} of term ${before.term} is in force on ${replica.node}, where ${index} is of term ${term}`,
        );
    },
  };
}

export function statesCarryTheirMembership(): Invariant {
  /** By group: the memberships that are entries of its log, and committed. */
  const committed = new Map<number, { readonly index: number; readonly membership: Membership }[]>();
  /** By group: the one it was made with. */
  const first = new Map<number, Membership>();
  return {
    name: 'a state travels with the membership committed as of it',
    source: 'R14',
    applied({ id }, { kind, index }, { membership }) {
      if (kind !== 'membership' || membership === undefined) return;
      const known = committed.get(id) ?? [];
      committed.set(id, known);
      if (index > (known.at(-1)?.index ?? 0)) known.push({ index, membership });
    },
    stepped({ id }, _replica, { options }) {
      if (!first.has(id)) first.set(id, options.membership);
    },
    offering({ id }, { node }, { snapshot, membership }) {
      const entry = committed.get(id)?.findLast(({ index }) => index <= snapshot.index);
      const due = entry?.membership ?? first.get(id);
      if (due === undefined || textOf(due) === textOf(membership)) return;
      throw new Violation(
        `group ${id}: ${node} offers the state as of ${snapshot.index} with ${textOf(membership)}, and ${textOf(due)} was committed then`,
      );
    },
  };
}

export function newVotersAreInStep(): Invariant {
  /** By group and node: the last entry that was ever durable there. */
  const durable = new Map<string, number>();
  const reached = ({ id, replicas }: GroupView, node: string): number =>
    Math.max(durable.get(`${id}/${node}`) ?? 0, replicas.get(node)?.durableIndex ?? 0);
  return {
    name: 'a new voter is in step',
    source: 'R11, thesis 4.2.1',
    flushed({ id }, { node }, { index }) {
      const key = `${id}/${node}`;
      durable.set(key, Math.max(durable.get(key) ?? 0, index));
    },
    stepped(group, replica, { membership, role, commit, options }) {
      const before = replica.membership;
      if (role !== 'leader' || before === undefined || before === membership) return;
      for (const node of membership.voters) {
        if (before.voters.includes(node) || before.votersOutgoing.includes(node)) continue;
        if (reached(group, node) >= commit - options.learnerLagMax) continue;
        throw new Violation(
          `group ${group.id}: ${node} becomes a voter at commit ${commit}, and holds no more than ${reached(group, node)}`,
        );
      }
    },
  };
}

function textOf({ voters, votersOutgoing, learners }: Membership): string {
  return JSON.stringify([voters, votersOutgoing, learners].map((nodes) => [...nodes].sort()));
}
