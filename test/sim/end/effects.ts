/** What took effect in a run, by name and how often: a kind of fault that never does anything finds nothing. */
import type { View } from '../invariants/view.ts';
import type { SimCluster } from '../world/cluster.ts';

/** As replicas showed it. */
export function effectsOf({ installs, rests, compaction, deceits }: View): Record<string, number> {
  const { begun, ended, rewritten, givenUp, mendedAnew } = compaction;
  return {
    'snapshot installed': installs,
    'group at rest': rests,
    'compaction pass': rewritten,
    'compaction given up': givenUp,
    'compaction cut short': begun - ended,
    'entry mended anew': mendedAnew,
    'entry forged': deceits.taken,
    'forged log begun anew': deceits.begunAnew,
  };
}

/** On wires and machines. */
export function effectsOn({ peers, nodes, endings }: SimCluster): Record<string, number> {
  const effects: Record<string, number> = { 'messages lost': peers.lost, ...endings };
  for (const { weather } of nodes.values()) {
    for (const [name, count] of Object.entries(weather.effects)) {
      effects[`disk ${name}`] = (effects[`disk ${name}`] ?? 0) + count;
    }
  }
  return effects;
}
