/**
 * The fewest machines that a change of the voters needs in its middle: majorities of the old and of the new ones. The
 * rest is taken away there, and these have to finish the change and go on alone (R13).
 */
import type { Prng } from '../../raft/support/prng.ts';
import type { GroupView } from '../invariants/view.ts';
import type { SimCluster } from '../world/cluster.ts';

/** Events between the first sight of a change and the end of the others. */
const EVENTS_MAX = 60;
/** Steps in which a change has to come about. */
const TRIES_MAX = 40;

export interface CutParts {
  readonly cluster: SimCluster;
  readonly unlucky: string;
  readonly random: Prng;
  readonly catalog: GroupView;
  /** Those whose changes may be cut. */
  readonly groups: readonly GroupView[];
  /** Begins a change, if need be; it may be refused. False: none is to be waited for. */
  begin(): boolean;
  /** Runs a step, or to the very event that makes it so. */
  runUntil(isSo: () => boolean): boolean;
}

/** Takes all but the fewest away in the middle of a change. Undefined when none comes about. */
export function cutInTwo(parts: CutParts): { readonly group: GroupView; readonly left: readonly string[] } | undefined {
  const { cluster, unlucky, random, catalog, groups, begin, runUntil } = parts;
  let hasBegun = false;
  for (let tries = 0; tries < TRIES_MAX && !hasBegun; tries += 1) {
    if (!begin()) return undefined;
    hasBegun = runUntil(() => groups.some(isInTheMiddle));
  }
  const group = groups.find(isInTheMiddle);
  if (group === undefined) return undefined;
  runUntil(someEventsLater(random));
  if (!isInTheMiddle(group)) return undefined;
  const ids = [...cluster.nodes.keys()];
  // Good copies of what is bad there may lie on any other.
  const isSpared = cluster.node(unlucky).weather.isUnreliable;
  const sound = ids.filter((id) => !isSpared || id !== unlucky);
  const left = fewestFor(group === catalog ? [catalog] : [catalog, group], sound, random);
  if (left === undefined) return undefined;
  for (const id of ids) if (!left.includes(id)) cluster.retire(id);
  return { group, left };
}

/** One of these leads, and no change is under way as far as it knows. */
export function isFinished({ replicas }: GroupView, ids: readonly string[]): boolean {
  return [...replicas.values()].some(
    ({ node, core, membership }) =>
      ids.includes(node) && core?.role === 'leader' && membership?.votersOutgoing.length === 0,
  );
}

/** Both majorities of a change are in force somewhere. */
function isInTheMiddle({ replicas }: GroupView): boolean {
  return [...replicas.values()].some(({ membership }) => (membership?.votersOutgoing.length ?? 0) > 0);
}

/** Of any membership that is in force somewhere: it may be that of the log which wins. */
function majoritiesOf({ replicas }: GroupView): readonly (readonly string[])[] {
  return [...replicas.values()].flatMap(({ membership }) => [
    membership?.voters ?? [],
    membership?.votersOutgoing ?? [],
  ]);
}

export function hasMajorities(groups: readonly GroupView[], ids: readonly string[]): boolean {
  return groups
    .flatMap(majoritiesOf)
    .every((list) => list.length === 0 || list.filter((id) => ids.includes(id)).length * 2 > list.length);
}

/** Undefined: not even all of them are enough. */
function fewestFor(groups: readonly GroupView[], ids: readonly string[], random: Prng): readonly string[] | undefined {
  if (!hasMajorities(groups, ids)) return undefined;
  const order = ids.map((id) => ({ id, draw: random.next() })).sort((a, b) => a.draw - b.draw);
  let left = ids;
  for (const { id } of order) {
    const without = left.filter((other) => other !== id);
    if (hasMajorities(groups, without)) left = without;
  }
  return left;
}

/** A condition for a scheduler: so many events later. */
function someEventsLater(random: Prng): () => boolean {
  let left = random.below(EVENTS_MAX);
  return () => {
    left -= 1;
    return left < 0;
  };
}
