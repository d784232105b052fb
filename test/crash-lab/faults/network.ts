/** Networks that lose bytes: a node cut off, one direction only, a link that is slow, connections broken in a frame. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Lab, LabNode } from '../lab.ts';
import type { Evidence, Fault } from './fault.ts';
import { leaderChange } from './kill.ts';

const SLOW_MS = 60;
const RESETS = 10;

export const PARTITIONS: readonly Fault[] = [
  fault('leader cut off', async (lab) => {
    const before = await lab.leadership();
    return whileCut(lab, before.leader, 'both', () => leaderChange(lab, before));
  }),
  fault('follower cut off', async (lab) => {
    const follower = await lab.pick('follower');
    return whileCut(lab, follower, 'both', async () => {
      await lab.moreAcks(200);
      return { tookEffect: true, detail: `${follower.node.id} alone for 200 acknowledgements` };
    });
  }),
  fault('leader that is not heard', async (lab) => {
    const before = await lab.leadership();
    return whileCut(lab, before.leader, 'out', () => leaderChange(lab, before));
  }),
  fault('leader that does not hear', async (lab) => {
    const before = await lab.leadership();
    return whileCut(lab, before.leader, 'in', () => leaderChange(lab, before));
  }),
  fault('one link cut', async (lab) => {
    const { leader } = await lab.leadership();
    const other = lab.random.pick(lab.others(leader));
    cutBetween(lab, leader, other, 'both');
    const lostBefore = lost(lab);
    await lab.moreAcks(300);
    await delay(500);
    const bytes = lost(lab) - lostBefore;
    heal(lab);
    return { tookEffect: bytes > 0, detail: `${leader.node.id} and ${other.node.id}: ${bytes} bytes lost` };
  }),
  fault('slow links', async (lab) => {
    for (const relay of lab.relays) relay.delay(SLOW_MS);
    await lab.moreAcks(50);
    heal(lab);
    return { tookEffect: true, detail: `every byte between nodes ${SLOW_MS} ms late for 50 acknowledgements` };
  }),
  fault('connections broken in the middle of frames', async (lab) => {
    const before = lab.relays.reduce((sum, relay) => sum + relay.resets, 0);
    for (let n = 0; n < RESETS; n++) {
      for (const relay of lab.relays) relay.reset();
      await delay(20 + lab.random.below(100));
    }
    const resets = lab.relays.reduce((sum, relay) => sum + relay.resets, 0) - before;
    return { tookEffect: resets > 0, detail: `${resets} connections` };
  }),
];

function fault(name: string, run: Fault['run']): Fault {
  return { name, group: 'partition', needsImages: false, events: 1, run };
}

/** As `of` sees it: what it sends ('out'), what it is sent ('in'). */
type Way = 'in' | 'out' | 'both';

async function whileCut(lab: Lab, of: LabNode, way: Way, work: () => Promise<Evidence>): Promise<Evidence> {
  const before = lost(lab);
  for (const other of lab.others(of)) cutBetween(lab, of, other, way);
  try {
    const { tookEffect, detail } = await work();
    const bytes = lost(lab) - before;
    return { tookEffect: tookEffect && bytes > 0, detail: `${detail}; ${bytes} bytes lost between nodes` };
  } finally {
    heal(lab);
  }
}

function cutBetween(lab: Lab, of: LabNode, other: LabNode, way: Way): void {
  for (const { relay, dialler } of lab.relaysBetween(of, other)) {
    if (way !== 'in') relay.cut(dialler === of ? 'there' : 'back');
    if (way !== 'out') relay.cut(dialler === of ? 'back' : 'there');
  }
}

function lost(lab: Lab): number {
  return lab.relays.reduce((sum, relay) => sum + relay.lostBytes, 0);
}

function heal(lab: Lab): void {
  for (const relay of lab.relays) relay.heal();
}
