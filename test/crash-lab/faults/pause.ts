/** SIGSTOP: a process that stands still and does not know it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './fault.ts';
import { leaderChange } from './kill.ts';

export const PAUSES: readonly Fault[] = [
  {
    name: 'SIGSTOP of the leader',
    ...{ group: 'pause', needsImages: false, events: 1 },
    run: async (lab) => {
      const before = await lab.leadership();
      before.leader.node.pause();
      try {
        return await leaderChange(lab, before);
      } finally {
        await delay(lab.random.below(1_500));
        before.leader.node.resume();
      }
    },
  },
  {
    name: 'SIGSTOP of a follower',
    ...{ group: 'pause', needsImages: false, events: 1 },
    run: async (lab) => {
      const { node } = await lab.pick('follower');
      node.pause();
      await lab.moreAcks(100);
      await delay(lab.random.below(1_500));
      node.resume();
      return { tookEffect: true, detail: `${node.id} stood still for 100 acknowledgements and more` };
    },
  },
];
