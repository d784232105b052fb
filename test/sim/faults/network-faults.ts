/** Faults of the wires (reliability F15-F25). */
import type { Prng } from '../../raft/support/prng.ts';
import { awhile, type Fault, type FaultWorld } from './fault.ts';

/** Cuts directions for a while. */
function cut({ cluster, later }: FaultWorld, wires: readonly (readonly [string, string])[], forMs: number): boolean {
  for (const [from, to] of wires) cluster.wires.cut(from, to);
  later(forMs, () => {
    for (const [from, to] of wires) cluster.wires.mend(from, to);
  });
  return wires.length > 0;
}

function both(a: string, b: string): readonly (readonly [string, string])[] {
  return [
    [a, b],
    [b, a],
  ];
}

function pair(nodeIds: readonly string[], random: Prng): [string, string] {
  const one = random.pick(nodeIds);
  return [one, random.pick(nodeIds.filter((id) => id !== one))];
}

export const NETWORK_FAULTS: readonly Fault[] = [
  {
    name: 'cut',
    everyMs: 900,
    strike: (world, random) => cut(world, both(...pair(world.nodeIds, random)), awhile(random)),
  },
  {
    name: 'one-way',
    everyMs: 900,
    strike: (world, random) => cut(world, [pair(world.nodeIds, random)], awhile(random)),
  },
  {
    name: 'isolate',
    everyMs: 1_200,
    strike(world, random) {
      const id = random.pick(world.nodeIds);
      const others = world.nodeIds.filter((other) => other !== id);
      const wires = others.flatMap((other) => both(id, other));
      const half = random.pick([wires, wires.filter(([from]) => from === id), wires.filter(([, to]) => to === id)]);
      return cut(world, half, awhile(random));
    },
  },
  {
    // Of n nodes, only links with one in the middle are left: majorities overlap in it alone.
    name: 'bridge',
    everyMs: 1_800,
    strike(world, random) {
      const bridge = random.pick(world.nodeIds);
      const others = world.nodeIds.filter((id) => id !== bridge);
      const wires = others.flatMap((a) => others.filter((b) => a < b).flatMap((b) => both(a, b)));
      return cut(world, wires, 300 + random.below(2_500));
    },
  },
  {
    name: 'partial-mesh',
    everyMs: 1_500,
    strike(world, random) {
      const { nodeIds } = world;
      const pairs = nodeIds.flatMap((a) => nodeIds.filter((b) => a < b).map((b) => both(a, b)));
      return cut(world, pairs.filter(() => random.chance(0.4)).flat(), 300 + random.below(2_500));
    },
  },
  {
    name: 'flap',
    everyMs: 2_000,
    strike(world, random) {
      const wires = both(...pair(world.nodeIds, random));
      const periodMs = 40 + random.below(150);
      for (let round = 0; round < 12; round += 1) {
        world.later(round * periodMs, () => void cut(world, wires, periodMs / 2));
      }
      return true;
    },
  },
  {
    name: 'reset',
    everyMs: 600,
    strike({ cluster, nodeIds, clientNames }, random) {
      const [a, b] = pair(nodeIds, random);
      if (random.chance(0.5)) {
        const wasUp = cluster.peers.node(a)?.isUp(b) === true;
        cluster.peers.disconnect(a, b);
        return wasUp;
      }
      return clientNames.map((client) => cluster.clients.reset(client, a)).some((count) => count > 0);
    },
  },
  {
    name: 'delay',
    everyMs: 1_500,
    strike({ cluster, later }, random) {
      cluster.wires.jitterMs = random.pick([5, 20, 80, 200]);
      later(awhile(random), () => {
        cluster.wires.jitterMs = 0;
      });
      return true;
    },
  },
  {
    name: 'loss',
    everyMs: 1_500,
    strike({ cluster, later }, random) {
      cluster.wires.loss = random.pick([0.01, 0.05, 0.3]);
      later(awhile(random), () => {
        cluster.wires.loss = 0;
      });
      return true;
    },
  },
  {
    name: 'hold-up',
    everyMs: 700,
    strike({ cluster, nodeIds }, random) {
      const [from, to] = pair(nodeIds, random);
      cluster.wires.stall(from, to, awhile(random));
      return true;
    },
  },
  {
    name: 'client-cut',
    everyMs: 800,
    strike({ cluster, nodeIds, clientNames }, random) {
      const [client, node] = [random.pick(clientNames), random.pick(nodeIds)];
      const forMs = awhile(random);
      if (random.chance(0.7)) cluster.wires.stall(client, node, forMs);
      if (random.chance(0.7)) cluster.wires.stall(node, client, forMs);
      return true;
    },
  },
];
