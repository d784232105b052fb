/**
 * No replica ever cuts off an entry that is committed, whether it knows that it is or not: a leader that told it to
 * would lack the entry itself. Source: R5, W18; Raft paper 5.4.
 */
import { type Invariant, Violation } from './view.ts';

export function committedIsKept(): Invariant {
  return {
    name: 'a committed entry is never cut off',
    source: 'R5, W18',
    truncating(group, { node, observed: { log } }, from) {
      const last = Math.min(log.lastIndex, group.commit);
      for (let index = from; index <= last; index += 1) {
        if (log.termAt(index) !== group.committedTerms.get(index)) continue;
        throw new Violation(`group ${group.id} on ${node}: cut from ${from}, and entry ${index} is committed`);
      }
    },
  };
}
