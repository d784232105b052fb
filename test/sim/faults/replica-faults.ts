/**
 * Faults that may take everything a replica promised: rot in the files that say what it promised, and a disk that is
 * wound back (reliability F43-F51). They strike at the unlucky machine, while it is down, and only while all that it
 * acknowledged is on the others too (harm.ts).
 */
import { spoil } from '../../support/spoil.ts';
import type { SimNode } from '../world/cluster.ts';
import { awhile, type Fault, type FaultWorld } from './fault.ts';

/** Longer, and votes and groups have nearly always changed meanwhile. */
const COPY_AGE_MS_MAX = 600;

const LOOK_AGAIN_MS = 10;

/** What of a machine must be the same for an old copy of its disk to have forgotten no vote. */
function promises({ harm }: FaultWorld, node: SimNode): string {
  return JSON.stringify([node.process?.number, ...harm.hardStates(node.id)]);
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
        node.disk.damage(random.pick(kept), (bytes) => spoil(bytes, random));
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
      // A copy in which it is a majority by itself would lead without asking anybody.
      if (node.process === undefined || !harm.isSpare(node.id)) return false;
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
