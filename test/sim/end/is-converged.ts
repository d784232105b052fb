/** At the end: every replica that its group counts is there, and ends where the others do. */
import type { GroupView } from '../invariants/view.ts';

export interface ConvergedParts {
  /** Whether that machine still exists. */
  isThere(node: string): boolean;
  /** Whether its replica of that group has lost what nobody can give back. */
  mayDiffer(node: string, group: number): boolean;
}

export function isConverged(groups: Iterable<GroupView>, { isThere, mayDiffer }: ConvergedParts): boolean {
  for (const { id, replicas } of groups) {
    const [first, ...others] = [...replicas.values()].filter(({ node }) => !mayDiffer(node, id));
    if (first === undefined) continue;
    const { voters = [] } = first.membership ?? {};
    // One whose log was given up has no replica until it begins anew.
    if (voters.some((node) => isThere(node) && !replicas.has(node) && !mayDiffer(node, id))) return false;
    const { log } = first.observed;
    const { high, low } = log.lastChain;
    const isSame = others.every(({ commit, observed: other }) => {
      const chain = other.log.lastChain;
      return commit === first.commit && chain.high === high && chain.low === low;
    });
    if (!isSame || first.commit !== log.lastIndex) return false;
  }
  return true;
}
