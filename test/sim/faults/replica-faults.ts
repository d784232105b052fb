/**
 * Faults that may take everything a replica promised: rot in the files that say what it promised, and a disk that is
 * wound back (reliability F43-F51). They strike at the unlucky machine, while it is down, and only while all that it
 * acknowledged is on the others too (harm.ts).
 */
import type { Prng } from '../../raft/support/prng.ts';
import type { SimNode } from '../world/cluster.ts';
import { awhile, type Fault, type FaultWorld } from './fault.ts';

const PAGE = 4096;
/** Longer, and votes and groups have nearly always changed meanwhile. */
const COPY_AGE_MS_MAX = 600;

const LOOK_AGAIN_MS = 10;

/** What of a machine must be the same for an old copy of its disk to have forgotten no vote. */
function promises({ harm }: FaultWorld, node: SimNode): string {
  return JSON.stringify([node.process?.number, ...harm.hardStates(node.id)]);
}

/** A page of `bytes` with one bit changed, or gone, or as another one is. */
function spoil(bytes: Uint8Array, random: Prng): void {
  const pages = Math.ceil(bytes.length / PAGE);
  const from = random.below(pages) * PAGE;
  const how = random.below(3);
  if (how === 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  else if (how === 1) bytes.fill(0, from, from + PAGE);
  else bytes.copyWithin(from, random.below(pages) * PAGE, random.below(pages) * PAGE + PAGE);
}

export const REPLICA_FAULTS: readonly Fault[] = [
  {
    // Any file of a log, or what is known of it beside it: term and vote, manifest, the segment being written.
    name: 'rot-at-rest',
    everyMs: 1_500,
    strike({ cluster, harm }, random) {
      const node = cluster.node(harm.unlucky);
      if (node.process === undefined || !harm.isRedundant(node.id)) return false;
      const names = harm.spareGroups().map((group) => String(group).padStart(10, '0'));
      cluster.bounce(node.id, 'kill', awhile(random));
      const files = node.disk.files().filter((path) => names.some((name) => path.includes(name)));
      const kept = files.filter((path) => node.disk.peek(path).length > 0);
      if (kept.length === 0) return false;
      node.weather.isDamaged = true;
      // Its last flush may be unproven: what rots there passes for a torn end.
      node.weather.lostByLying = true;
      for (let count = 1 + random.below(2); count > 0; count -= 1) {
        node.disk.damage(random.pick(kept), (bytes) => {
          spoil(bytes, random);
          return bytes;
        });
      }
      return true;
    },
  },
  {
    name: 'rollback',
    everyMs: 800,
    strike(world, random) {
      const { cluster, harm, later } = world;
      const node = cluster.node(harm.unlucky);
      if (node.process === undefined) return false;
      const copy = node.disk.afterCrash(random.below(2 ** 31));
      const before = promises(world, node);
      const look = (): void => {
        if (promises(world, node) !== before) return;
        if (!harm.isRedundant(node.id)) {
          later(LOOK_AGAIN_MS, look);
          return;
        }
        cluster.bounce(node.id, 'kill', awhile(random));
        node.weather.lostByLying = true;
        cluster.windBack(node.id, copy);
      };
      later(50 + random.below(COPY_AGE_MS_MAX), look);
      return true;
    },
  },
];
