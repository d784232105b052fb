/** Faults of disks (reliability F30-F41, F43-F48, F55-F57). Which machine may be hurt how far: harm.ts. */
import type { Prng } from '../../raft/support/prng.ts';
import { awhile, type Fault, type FaultWorld } from './fault.ts';

const PAGE = 4096;

/** Segments of the unlucky machine that are sealed, of groups that can spare its copy. */
function sealedSegments({ cluster, harm }: FaultWorld): string[] {
  const { disk } = cluster.node(harm.unlucky);
  const spare = new Set(harm.spareGroups().map((group) => String(group).padStart(10, '0')));
  const segments = disk
    .files()
    .filter((path) => path.endsWith('.segment') && spare.has(path.split('/').at(-2)!))
    .sort();
  const active = new Map(segments.map((path) => [path.slice(0, path.lastIndexOf('/')), path]));
  return segments.filter((path) => active.get(path.slice(0, path.lastIndexOf('/'))) !== path);
}

function damage(world: FaultWorld, random: Prng, change: (bytes: Uint8Array) => void): boolean {
  const files = sealedSegments(world);
  if (files.length === 0) return false;
  const node = world.cluster.node(world.harm.unlucky);
  node.weather.isDamaged = true;
  node.disk.damage(random.pick(files), (bytes) => {
    change(bytes);
    return bytes;
  });
  return true;
}

export const DISK_FAULTS: readonly Fault[] = [
  {
    name: 'bit-flip',
    everyMs: 500,
    strike: (world, random) =>
      damage(world, random, (bytes) => {
        bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
      }),
  },
  {
    name: 'lost-write',
    everyMs: 900,
    strike: (world, random) =>
      damage(world, random, (bytes) => {
        const page = random.below(Math.ceil(bytes.length / PAGE));
        bytes.fill(0, page * PAGE, (page + 1) * PAGE);
      }),
  },
  {
    name: 'misdirected-write',
    everyMs: 900,
    strike: (world, random) =>
      damage(world, random, (bytes) => {
        const pages = Math.ceil(bytes.length / PAGE);
        bytes.copyWithin(random.below(pages) * PAGE, random.below(pages) * PAGE, random.below(pages) * PAGE + PAGE);
      }),
  },
  {
    name: 'slow-disk',
    everyMs: 900,
    strike({ cluster, nodeIds, later }, random) {
      const { weather } = cluster.node(random.pick(nodeIds));
      weather.slowMs = random.pick([20, 100, 400]);
      weather.slowReadMs = random.pick([0, 0, 5, 40]);
      later(awhile(random), () => {
        weather.slowMs = 0;
        weather.slowReadMs = 0;
      });
      return true;
    },
  },
  {
    name: 'stuck-disk',
    everyMs: 2_500,
    strike({ cluster, nodeIds, later }, random) {
      const id = random.pick(nodeIds);
      const node = cluster.node(id);
      if (node.process === undefined) return false;
      node.weather.isStuck = true;
      // Nothing ends a call that never returns but the end of its process.
      later(200 + random.below(1_500), () => {
        if (node.weather.isStuck) cluster.bounce(id, random.chance(0.5) ? 'power' : 'kill', awhile(random));
        node.weather.isStuck = false;
      });
      return true;
    },
  },
  {
    name: 'write-EIO',
    everyMs: 900,
    strike({ cluster, nodeIds }, random) {
      const { weather, process } = cluster.node(random.pick(nodeIds));
      weather.nextFailure = random.chance(0.5) ? 'EIO' : 'short';
      return process !== undefined;
    },
  },
  {
    name: 'full-disk',
    everyMs: 1_500,
    strike({ cluster, nodeIds, later }, random) {
      const node = cluster.node(random.pick(nodeIds));
      if (node.process === undefined) return false;
      node.disk.capacityBytes = node.disk.usedBytes() + random.below(40_000);
      later(awhile(random), () => {
        node.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
      });
      return true;
    },
  },
  {
    // A disk that says it flushed and did not, then a power cut: what it lost is on both others.
    name: 'lying-flush',
    everyMs: 1_200,
    strike({ cluster, harm, later }, random) {
      const node = cluster.node(harm.unlucky);
      if (node.process === undefined || node.weather.isLying) return false;
      node.weather.isLying = true;
      const look = (): void => {
        if (!node.weather.isLying) return;
        if (!harm.isRedundant(node.id)) later(20, look);
        else {
          node.weather.isLying = false;
          cluster.bounce(node.id, 'power', awhile(random));
        }
      };
      later(50 + random.below(400), look);
      return true;
    },
  },
];
