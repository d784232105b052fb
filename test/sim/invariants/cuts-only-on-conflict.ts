/**
 * A follower cuts its log only where an entry of the leader's has another term: never because a message is short, old
 * or comes twice. So what comes in place of a cut entry is of another term. Source: Raft paper 5.3; R5.
 */
import { type Invariant, Violation } from './view.ts';

interface Cut {
  readonly from: number;
  readonly term: number | undefined;
}

export function cutsOnlyOnConflict(): Invariant {
  /** Cuts whose replacement has not come yet, by group and node. */
  const cuts = new Map<string, Cut>();
  return {
    name: 'a log is cut only on a conflict',
    source: 'Raft paper 5.3, R5',
    opened({ id }, { node }) {
      cuts.delete(`${id}/${node}`);
    },
    truncating({ id }, { node, observed: { log } }, from) {
      cuts.set(`${id}/${node}`, { from, term: log.termAt(from) });
    },
    appended({ id }, { node }, entries) {
      const cut = cuts.get(`${id}/${node}`);
      const first = entries[0]?.header;
      cuts.delete(`${id}/${node}`);
      if (cut === undefined || first?.index !== cut.from || first.term !== cut.term) return;
      throw new Violation(`group ${id} on ${node}: entry ${cut.from} of term ${cut.term} was cut and came again`);
    },
  };
}
