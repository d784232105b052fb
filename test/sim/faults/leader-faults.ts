/**
 * Faults aimed at whoever leads: it is cut off from the other nodes, and from none of its clients, in the ways that
 * make it believe longest that it still leads; and a replica finds its log damaged while it can ask nobody for a good
 * copy.
 */
import type { Partition } from '../../../src/partition/index.ts';
import type { Prng } from '../../raft/support/prng.ts';
import type { SimNode } from '../world/cluster.ts';
import { framesOf, spareSegments } from './disk-faults.ts';
import { awhile, type Fault, type FaultWorld } from './fault.ts';

/** So late are answers to heartbeats, after the first of which the voters hear nothing more of the leader: it still
 *  leads when they come, and the voters have not elected yet. */
const LATE_MS = 190;
const HEARD_MS = 50;
const HOUR_MS = 3_600_000;
const LOOK_MS = 1;
/** Between a candidate's new term and the word of it. */
const SOON_MS = 0.2;
/** What has not happened by then is not waited for. */
const LOOKS_MAX = 200;

interface Leader {
  readonly node: SimNode;
  readonly partition: Partition;
  readonly others: readonly string[];
}

/** Of groups that can elect another. */
function leaders({ cluster, nodeIds }: FaultWorld): Leader[] {
  return [...cluster.running()].flatMap((node) =>
    [...node.partitions.values()]
      .filter(
        ({ groupId, role, voters, isClosed }) => groupId > 0 && role === 'leader' && voters.length > 2 && !isClosed,
      )
      .map((partition) => ({ node, partition, others: nodeIds.filter((id) => id !== node.id) })),
  );
}

/** In both directions, or in one. */
function cutOff(
  { cluster, later }: FaultWorld,
  { node, others }: Leader,
  ways: 'both' | 'in' | 'out',
  forMs: number,
): void {
  const wires = others.flatMap((other): [string, string][] => [
    ...(ways === 'out' ? [] : [[other, node.id] as [string, string]]),
    ...(ways === 'in' ? [] : [[node.id, other] as [string, string]]),
  ]);
  for (const [from, to] of wires) cluster.wires.cut(from, to);
  later(forMs, () => {
    for (const [from, to] of wires) cluster.wires.mend(from, to);
  });
}

/** Runs `act` as soon as it is so, if it comes to be so within LOOKS_MAX looks. */
function once(world: FaultWorld, everyMs: number, isSo: () => boolean, act: () => void, looks = LOOKS_MAX): void {
  if (isSo()) act();
  else if (looks > 0) world.later(everyMs, () => once(world, everyMs, isSo, act, looks - 1));
}

function isLinked({ cluster, nodeIds }: FaultWorld, id: string): boolean {
  return cluster.isUp(id) && nodeIds.every((other) => other === id || cluster.peers.node(id)?.isUp(other) === true);
}

type Way = (world: FaultWorld, leader: Leader, random: Prng) => void;

const WAYS: Readonly<Record<'silent' | 'noticed' | 'late-answers' | 'transfer' | 'clock', Way>> = {
  silent: (world, leader, random) => cutOff(world, leader, 'both', 500 + random.below(1_000)),
  // The others see their links to it close, and elect at once.
  noticed(world, leader, random) {
    cutOff(world, leader, 'both', 500 + random.below(1_000));
    for (const other of leader.others) world.cluster.peers.disconnect(leader.node.id, other);
  },
  // It hears what it was answered long ago, and then nothing: a lease counted from the answer is too long.
  'late-answers'(world, leader, random) {
    for (const other of leader.others) world.cluster.wires.stall(other, leader.node.id, LATE_MS);
    world.later(HEARD_MS, () => cutOff(world, leader, 'out', 700 + random.below(500)));
    world.later(LATE_MS + 10, () => cutOff(world, leader, 'in', 600));
  },
  // It has named its successor, and does not hear that it came to be.
  transfer(world, leader, random) {
    const { node, partition } = leader;
    const voters = partition.voters.filter((id) => id !== node.id && world.nodeIds.includes(id));
    if (voters.length === 0) return;
    const to = random.pick(voters);
    const forMs = 300 + random.below(500);
    const { term, groupId } = partition;
    node.process?.in(0, 'world', () => void partition.transferTo(to));
    once(
      world,
      SOON_MS,
      () => (world.cluster.node(to).partitions.get(groupId)?.term ?? 0) > term,
      () => {
        cutOff(world, leader, 'in', forMs);
      },
    );
  },
  // Its wall clock goes back first.
  clock(world, leader, random) {
    const { weather, process } = leader.node;
    weather.wallSkewMs -= random.below(HOUR_MS);
    if (process !== undefined) process.wallSkewMs = weather.wallSkewMs;
    world.later(100, () => cutOff(world, leader, 'both', 500 + random.below(500)));
  },
};

export const LEADER_FAULTS: readonly Fault[] = [
  {
    name: 'leader-cut-off',
    everyMs: 900,
    strike(world, random) {
      const known = leaders(world);
      if (known.length === 0) return false;
      const way = random.pick(Object.values(WAYS));
      way(world, random.pick(known), random);
      return true;
    },
  },
  {
    // It hears its peers and is not heard: nobody can mend it, and it must neither vote nor ack meanwhile (R19).
    name: 'damaged-and-mute',
    everyMs: 1_200,
    strike(world, random) {
      const { cluster, harm, nodeIds, later } = world;
      const node = cluster.node(harm.unlucky);
      const files = spareSegments(world).filter((path) => framesOf(node.disk.peek(path)).length > 1);
      if (node.process === undefined || files.length === 0) return false;
      cluster.bounce(node.id, 'kill', 5);
      const path = random.pick(files);
      const frames = framesOf(node.disk.peek(path));
      if (frames.length < 2) return false;
      node.weather.isDamaged = true;
      node.disk.damage(path, (bytes) => {
        const from = frames[0]!;
        bytes[from + random.below(frames.at(-1)! - from)]! ^= 1 << random.below(8);
        return bytes;
      });
      once(
        world,
        LOOK_MS,
        () => isLinked(world, node.id),
        () => {
          const others = nodeIds.filter((id) => id !== node.id);
          for (const other of others) cluster.wires.cut(node.id, other);
          later(awhile(random) + 400, () => {
            for (const other of others) cluster.wires.mend(node.id, other);
          });
        },
      );
      return true;
    },
  },
];
