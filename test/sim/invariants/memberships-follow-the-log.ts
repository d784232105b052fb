/**
 * The membership in force is that of an entry which is in the log: once that entry is cut, so is its membership, also
 * where another membership takes its place at once; and one entry puts one membership in force, whoever holds it. One
 * that goes with a state is the one that was committed as of it, and none later. And a voter that is added holds what
 * is committed, but for what is on its way. Source: R11, R12, R14; thesis 4.2.1.
 */
import type { Membership } from '../../../src/raft/index.ts';
import { type GroupView, type Invariant, type ReplicaView, Violation } from './view.ts';

interface MembershipOf {
  readonly index: number;
  /** Undefined at or below the base of the log: of no entry that is here. */
  readonly term: number | undefined;
  readonly membership: Membership;
}

export function membershipsFollowTheLog(): Invariant {
  /** By replica: what was in force when it was last looked at, and which entry had put it there. */
  const inForce = new WeakMap<ReplicaView, MembershipOf>();
  /** By group, then by index and term of the entry: what it puts in force, as first seen. */
  const known = new WeakMap<GroupView, Map<string, string>>();
  return {
    name: 'the membership in force is in the log',
    source: 'R12',
    stepped(group, replica, { membership, memberships: { effectiveIndex: index }, log }) {
      const where = (): string => `group ${group.id}: the membership of ${index} is in force on ${replica.node}`;
      if (index > log.lastIndex) throw new Violation(`${where()}, which has no such entry`);
      const term = index > log.base.index ? log.termAt(index) : undefined;
      const before = inForce.get(replica);
      if (before?.index === index && before.term === term && before.membership === membership) return;
      inForce.set(replica, { index, term, membership });
      if (term === undefined) return;
      // An entry that takes the place of a cut one in one step may be a membership itself, and is another one then.
      const isReplaced = before?.index === index && before.term !== undefined && before.term !== term;
      if (isReplaced && before.membership === membership)
        throw new Violation(`${where()} since its term was ${before.term}, and ${index} is of term ${term}`);
      const entries = known.get(group) ?? new Map<string, string>();
      known.set(group, entries);
      const entry = `${index} of term ${term}`;
      const first = entries.get(entry);
      if (first === undefined) entries.set(entry, textOf(membership));
      else if (first !== textOf(membership))
        throw new Violation(`${where()} as ${textOf(membership)}, and ${entry} has put ${first} in force elsewhere`);
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
        `group ${id}: ${node} offers the state as of ${snapshot.index} with ${textOf(membership)}, ` +
          `and ${textOf(due)} was committed then`,
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
          `group ${group.id}: ${node} becomes a voter at commit ${commit}, ` +
            `and holds no more than ${reached(group, node)}`,
        );
      }
    },
  };
}

function textOf({ voters, votersOutgoing, learners }: Membership): string {
  return JSON.stringify([voters, votersOutgoing, learners].map((nodes) => [...nodes].sort()));
}
