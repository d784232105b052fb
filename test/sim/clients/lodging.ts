/** Which clients live inside of nodes in a run, by the seed; each kind is switched on by itself. */
import { Prng } from '../../raft/support/prng.ts';
import type { ClientWorld } from './client-world.ts';
import type { Inside, InsideTopic } from './inside.ts';
import { live } from './insiders.ts';
import { RawChanges } from './raw-changes.ts';
import { trimRawly } from './raw-trims.ts';
import { twin } from './twins.ts';

export const LODGERS = ['insiders', 'twins', 'raw-trims', 'raw-changes'] as const;
export type Lodger = (typeof LODGERS)[number];

export interface Lodging {
  readonly lodgers: readonly Lodger[];
  readonly world: ClientWorld;
  readonly topics: readonly InsideTopic[];
  readonly seed: number;
  readonly paceMs: number;
  readonly hasLeases: boolean;
  /** See RawChanges. */
  mayVoteOut(): boolean;
}

export function moveIn({ lodgers, world, topics, seed, paceMs, ...rest }: Lodging): RawChanges | undefined {
  // A stream of chance for each, so that leaving one out leaves the others as they were.
  const insideOf = (lodger: Lodger): Inside => ({
    world,
    topics,
    random: new Prng(seed * 8 + LODGERS.indexOf(lodger)),
  });
  if (lodgers.includes('insiders')) live(insideOf('insiders'), paceMs, rest.hasLeases);
  if (lodgers.includes('raw-trims')) trimRawly(insideOf('raw-trims'), 4 * paceMs);
  if (lodgers.includes('twins')) {
    const inside = insideOf('twins');
    for (const topic of topics) twin(inside, topic, 2 * paceMs);
  }
  if (!lodgers.includes('raw-changes')) return undefined;
  const changes = new RawChanges(insideOf('raw-changes'), rest.mayVoteOut);
  changes.start(8 * paceMs);
  return changes;
}
