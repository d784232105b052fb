/** A state that replaces a log is ahead of what that replica knows to be committed: never back. Source: R15. */
import { type Invariant, Violation } from './view.ts';

export function installsGoForward(): Invariant {
  return {
    name: 'a state is never installed over newer ones',
    source: 'R15',
    installed({ id }, { node, commit }, { index }) {
      if (index > commit) return;
      throw new Violation(`group ${id}: ${node} installs the state as of ${index}, and its commit is ${commit}`);
    },
  };
}
