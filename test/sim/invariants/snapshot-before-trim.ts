/**
 * Entries go only when a snapshot that stands for them is on disk: from then on nothing else says what they made.
 * Source: W19.
 */
import { type Invariant, Violation } from './view.ts';

export function snapshotBeforeTrim(): Invariant {
  return {
    name: 'a snapshot stands for what is trimmed',
    source: 'W19',
    trimming({ id }, { node, observed: { log } }, firstIndexToKeep) {
      const newest = log.latestSnapshot?.index ?? 0;
      if (newest >= firstIndexToKeep - 1) return;
      throw new Violation(
        `group ${id} on ${node}: entries below ${firstIndexToKeep} go, the newest snapshot is that of ${newest}`,
      );
    },
  };
}
