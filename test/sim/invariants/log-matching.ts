/**
 * Log matching: if two logs hold an entry with the same index and term, they are equal up to it. Each entry carries a
 * chain checksum over everything before it, so comparing one number at each append compares the whole prefix.
 * Source: Raft paper 5.3, R28; design 4 (chain).
 */
import type { ChainSum } from '../../../storage/index.ts';
import { type Invariant, Violation } from './view.ts';

interface Known {
  readonly chain: ChainSum;
  /**
   * The one node that ever had it, while it is the only one: a lone voter may lose it with its term, unseen by anybody.
   */
  only: string | undefined;
}

/** Room for the term below the index in one number. */
const TERMS = 2 ** 20;

export function logMatching(): Invariant {
  const chains = new Map<number, Map<number, Known>>();
  return {
    name: 'log matching',
    source: 'Raft paper 5.3, R28',
    appended({ id }, { node }, entries) {
      let known = chains.get(id);
      if (known === undefined) {
        known = new Map();
        chains.set(id, known);
      }
      for (const { header } of entries) {
        const key = header.index * TERMS + header.term;
        const other = known.get(key);
        const { chain } = header;
        const isEqual = other?.chain.high === chain.high && other.chain.low === chain.low;
        if (other === undefined || (!isEqual && other.only === node)) known.set(key, { chain, only: node });
        else if (isEqual && other.only !== node) other.only = undefined;
        else if (!isEqual) {
          throw new Violation(`group ${id}: entry ${header.index} of term ${header.term} is another one on ${node}`);
        }
      }
    },
  };
}
