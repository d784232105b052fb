/**
 * What de-duplication takes for a duplicate is in the log: a batch that was cut is not remembered any more, or the next
 * attempt at it would be answered and never be appended. Looked at after each cut, for the batches that went.
 * Source: L6.
 */
import type { EntryHeader } from '../../../storage/index.ts';
import { type Invariant, type ReplicaView, Violation } from './view.ts';

/** Headers kept per replica before those that are committed are dropped. */
const KEPT_MAX = 256;

interface Batches {
  readonly uncommitted: Map<number, EntryHeader>;
  /** Cut since the last look. */
  cut: readonly EntryHeader[];
}

export function cutBatchesAreForgotten(): Invariant {
  const replicas = new WeakMap<ReplicaView, Batches>();
  return {
    name: 'what is taken for a duplicate is in the log',
    source: 'L6',
    appended(_group, replica, entries) {
      const known = replicas.get(replica) ?? { uncommitted: new Map<number, EntryHeader>(), cut: [] };
      replicas.set(replica, known);
      const { uncommitted } = known;
      for (const { header } of entries) if (header.producer !== undefined) uncommitted.set(header.index, header);
      if (uncommitted.size <= KEPT_MAX) return;
      for (const index of uncommitted.keys()) if (index <= replica.commit) uncommitted.delete(index);
    },
    truncating(_group, replica, from) {
      const known = replicas.get(replica);
      if (known === undefined) return;
      known.cut = [...known.uncommitted.values()].filter(({ index }) => index >= from);
      for (const { index } of known.cut) known.uncommitted.delete(index);
    },
    stepped({ id }, replica, { term }) {
      const known = replicas.get(replica);
      if (known === undefined || known.cut.length === 0) return;
      const { log } = replica.observed;
      const { cut } = known;
      known.cut = [];
      for (const { producer, recordCount } of cut) {
        const verdict = replica.producers?.check(producer!, recordCount);
        if (verdict?.kind !== 'duplicate') continue;
        const { batch } = verdict;
        // What a leader just proposed is on its way into its log.
        const isOnItsWay = batch.index > log.lastIndex && batch.term === term;
        if (isOnItsWay || batch.index <= log.base.index || log.termAt(batch.index) === batch.term) continue;
        throw new Violation(
          `group ${id}: ${replica.node} takes sequence ${producer!.sequence} ` +
            `for entry ${batch.index} of term ${batch.term}, which was cut`,
        );
      }
    },
  };
}
