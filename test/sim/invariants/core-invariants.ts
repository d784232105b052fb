/** What must hold inside every single Raft core (src/raft/invariants.ts), after each of its steps. Source: R26, R28. */
import { checkInvariants } from '../../../src/raft/index.ts';
import type { Invariant } from './view.ts';

export function coreInvariants(): Invariant {
  return {
    name: 'the rules inside each Raft core',
    source: 'R26, R28',
    stepped(_group, _replica, state) {
      checkInvariants({ inspect: () => state });
    },
  };
}
