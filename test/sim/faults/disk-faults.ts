/** Faults of disks (reliability F30-F41, F43-F48, F55-F57). Which machine may be hurt how far: harm.ts. */
import { FRAME_MAGIC } from '../../../storage/frame.ts';
import { SEGMENT_HEADER_BYTES } from '../../../storage/segment-header.ts';
import type { Prng } from '../../raft/support/prng.ts';
import { awhile, type Fault, type FaultWorld } from './fault.ts';

const PAGE = 4096;

/** Where the frames of a segment begin. */
export function framesOf(bytes: Uint8Array): number[] {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(FRAME_MAGIC);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const frames: number[] = [];
  for (let at = buffer.indexOf(magic); at >= 0; at = buffer.indexOf(magic, at + 1)) {
    // The checksum stands in front of the magic (storage/frame.ts).
    if (at >= 4) frames.push(at - 4);
  }
  return frames;
}

/** Files of the unlucky machine, of groups that can spare its copy. */
function spareFiles({ cluster, harm }: FaultWorld, suffix: string): string[] {
  const { disk } = cluster.node(harm.unlucky);
  const spare = new Set(harm.spareGroups().map((group) => String(group).padStart(10, '0')));
  return disk
    .files()
    .filter((path) => path.endsWith(suffix) && spare.has(path.split('/').at(-2)!))
    .sort();
}

/** The last segment of each log: the one that is written, or about to be. */
function activeSegments(segments: readonly string[]): string[] {
  return [...new Map(segments.map((path) => [path.slice(0, path.lastIndexOf('/')), path])).values()];
}

/** Those being written, of groups that can spare the unlucky machine's copy. */
export function spareSegments(world: FaultWorld): string[] {
  return activeSegments(spareFiles(world, '.segment'));
}

/** Neither the last one nor the one before it: that one is active as long as the last one is not listed. */
function sealedSegments(world: FaultWorld): string[] {
  const segments = spareFiles(world, '.segment');
  const last = new Set(activeSegments(segments));
  const others = segments.filter((path) => !last.has(path));
  const beforeLast = new Set(activeSegments(others));
  return others.filter((path) => !beforeLast.has(path));
}

function damage(
  world: FaultWorld,
  random: Prng,
  change: (bytes: Uint8Array) => void,
  files: readonly string[] = sealedSegments(world),
): boolean {
  if (files.length === 0) return false;
  const node = world.cluster.node(world.harm.unlucky);
  node.weather.isDamaged = true;
  node.disk.damage(random.pick(files), (bytes) => {
    change(bytes);
    return bytes;
  });
  return true;
}

/** Whether the two pages of a file hold the same. */
function isTwin(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, PAGE), bytes.subarray(PAGE)) === 0;
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
    // Between two frames of the segment being written: what follows proves that this is no torn end (W9). Damage to the
    // last frame may be one, and then takes back what was acknowledged.
    name: 'active-rot',
    everyMs: 900,
    strike(world, random) {
      const { disk } = world.cluster.node(world.harm.unlucky);
      const ends = new Map(spareSegments(world).map((path) => [path, framesOf(disk.peek(path)).at(-1) ?? 0]));
      const files = [...ends.keys()].filter((path) => ends.get(path)! > SEGMENT_HEADER_BYTES);
      if (files.length === 0) return false;
      const path = random.pick(files);
      const flip = (bytes: Uint8Array): void => {
        const at = SEGMENT_HEADER_BYTES + random.below(ends.get(path)! - SEGMENT_HEADER_BYTES);
        bytes[at]! ^= 1 << random.below(8);
      };
      return damage(world, random, flip, [path]);
    },
  },
  {
    // One of the two copies of term and vote, while the other one answers for it (F44): rot in both takes the log.
    name: 'vote-rot',
    everyMs: 500,
    strike(world, random) {
      const { disk } = world.cluster.node(world.harm.unlucky);
      const flip = (bytes: Uint8Array): void => {
        bytes[random.below(2) * PAGE + random.below(64)]! ^= 1 << random.below(8);
      };
      const files = spareFiles(world, '/hard-state').filter((path) => isTwin(disk.peek(path)));
      return damage(world, random, flip, files);
    },
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
    // A page, or a whole frame: one that lies where another belongs, in every byte as it was written.
    name: 'misdirected-write',
    everyMs: 900,
    strike: (world, random) =>
      damage(world, random, (bytes) => {
        const frames = framesOf(bytes);
        const isFrame = frames.length > 1 && random.chance(0.5);
        const at = isFrame ? random.below(frames.length - 1) : random.below(Math.ceil(bytes.length / PAGE));
        const [from, to] = isFrame ? [frames[at]!, frames[at + 1]!] : [at * PAGE, (at + 1) * PAGE];
        const place = isFrame ? random.pick(frames) : random.below(Math.ceil(bytes.length / PAGE)) * PAGE;
        bytes.copyWithin(place, from, to);
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
      weather.nextFailure = random.pick(['EIO', 'dropped', 'short']);
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
