/**
 * A snapshot as of an index holds what the entries up to that index make, and nothing of later ones: replayed over it,
 * those would be applied twice. Source: R14, W19.
 */
import { type Invariant, Violation } from './view.ts';

export function snapshotsHoldTheirIndex(): Invariant {
  return {
    name: 'a snapshot holds the state as of its index',
    source: 'R14',
    savingSnapshot({ id }, { node }, { index }, encodedAt) {
      if (encodedAt === undefined || encodedAt === index) return;
      throw new Violation(`group ${id} on ${node}: the snapshot as of ${index} holds the state as of ${encodedAt}`);
    },
  };
}
