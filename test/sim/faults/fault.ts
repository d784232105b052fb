/**
 * One kind of fault. Each kind that a seed has switched on lives by its own stream of chance, so that leaving one kind
 * out leaves the moments of all others as they were: that is what lets a failing seed be shrunk.
 */
import type { Prng } from '../../raft/support/prng.ts';
import type { SimCluster } from '../world/cluster.ts';
import type { Harm } from './harm.ts';

export interface FaultWorld {
  readonly cluster: SimCluster;
  readonly harm: Harm;
  readonly nodeIds: readonly string[];
  readonly clientNames: readonly string[];
  /** Runs later, unless the chaos is over by then: what is to be undone is undone by healing. */
  later(ms: number, act: () => void): void;
}

export interface Fault {
  readonly name: string;
  /** Does it once, now. False: there was nothing to do it to. */
  strike(world: FaultWorld, random: Prng): boolean;
  /** Between two strikes, on average, ms. */
  readonly everyMs: number;
}

/** A random time that is mostly short and sometimes long, ms. */
export function awhile(random: Prng): number {
  return random.chance(0.7) ? 20 + random.below(400) : 300 + random.below(2_000);
}
