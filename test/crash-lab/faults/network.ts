/**
 * Networks that lose what nodes say: a node cut off, one direction only, one link of three. Each by relays that swallow
 * bytes, and by a packet filter that drops packets; and links that are slow, lossy, or break in the middle of a frame.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Lab, LabNode } from '../lab.ts';
import type { Direction, Relay } from '../relay.ts';
import type { Evidence, Fault, FaultGroup } from './fault.ts';
import { leaderChange } from './kill.ts';

const SLOW_MS = 60;
const RESETS = 10;
const PACKETS_LOST_SHARE = 0.2;

/** How what is said gets lost. */
interface Loss {
  readonly group: FaultGroup;
  readonly unit: string;
  cut(lab: Lab, relay: Relay, direction: Direction): Promise<void>;
  /** In units, since the start of the lab. */
  lost(lab: Lab): Promise<number>;
  heal(lab: Lab): Promise<void>;
}

const SWALLOWED: Loss = {
  group: 'partition',
  unit: 'bytes',
  cut: async (_, relay, direction) => relay.cut(direction),
  lost: async (lab) => lab.relays.reduce((sum, relay) => sum + relay.lostBytes, 0),
  heal: async (lab) => {
    for (const relay of lab.relays) relay.heal();
  },
};

const DROPPED: Loss = {
  group: 'packet filter',
  unit: 'packets',
  cut: async (lab, relay, direction) => (await lab.packetFilter()).drop(relay, direction),
  lost: async (lab) => (await lab.packetFilter()).dropped(),
  heal: async (lab) => (await lab.packetFilter()).heal(),
};

export const PARTITIONS: readonly Fault[] = [
  ...cutsBy(SWALLOWED),
  fault('partition', 'slow links', async (lab) => {
    for (const relay of lab.relays) relay.delay(SLOW_MS);
    await lab.moreAcks(50);
    await SWALLOWED.heal(lab);
    return { tookEffect: true, detail: `every byte between nodes ${SLOW_MS} ms late for 50 acknowledgements` };
  }),
  fault('partition', 'connections broken in the middle of frames', async (lab) => {
    const before = lab.relays.reduce((sum, relay) => sum + relay.resets, 0);
    for (let n = 0; n < RESETS; n++) {
      for (const relay of lab.relays) relay.reset();
      await delay(20 + lab.random.below(100));
    }
    const resets = lab.relays.reduce((sum, relay) => sum + relay.resets, 0) - before;
    return { tookEffect: resets > 0, detail: `${resets} connections` };
  }),
];

export const PACKET_FILTERS: readonly Fault[] = [
  ...cutsBy(DROPPED),
  fault('packet filter', 'a fifth of all packets lost', async (lab) => {
    const filter = await lab.packetFilter();
    const work = async (): Promise<Evidence> => {
      for (const relay of lab.relays) {
        for (const way of ['there', 'back'] as const) await filter.drop(relay, way, PACKETS_LOST_SHARE);
      }
      await lab.moreAcks(200);
      return { tookEffect: true, detail: 'on every link, for 200 acknowledgements' };
    };
    return whileLosing(lab, DROPPED, work);
  }),
];

function fault(group: FaultGroup, name: string, run: Fault['run']): Fault {
  return { name: `${group}: ${name}`, group, needsImages: false, events: 1, run };
}

function cutsBy(loss: Loss): readonly Fault[] {
  const { group } = loss;
  return [
    fault(group, 'leader cut off', (lab) => leaderCut(lab, loss, 'both')),
    fault(group, 'leader that is not heard', (lab) => leaderCut(lab, loss, 'out')),
    fault(group, 'leader that does not hear', (lab) => leaderCut(lab, loss, 'in')),
    fault(group, 'follower cut off', async (lab) => {
      const follower = await lab.pick('follower');
      return whileLosing(lab, loss, async () => {
        for (const other of lab.others(follower)) await cutBetween(lab, loss, follower, other, 'both');
        await lab.moreAcks(200);
        return { tookEffect: true, detail: `${follower.node.id} alone for 200 acknowledgements` };
      });
    }),
    fault(group, 'one link cut', async (lab) => {
      const { leader } = await lab.leadership();
      const other = lab.random.pick(lab.others(leader));
      return whileLosing(lab, loss, async () => {
        await cutBetween(lab, loss, leader, other, 'both');
        await lab.moreAcks(300);
        await delay(500);
        return { tookEffect: true, detail: `${leader.node.id} and ${other.node.id}` };
      });
    }),
  ];
}

/** As `of` sees it: what it sends ('out'), what it is sent ('in'). */
type Way = 'in' | 'out' | 'both';

async function leaderCut(lab: Lab, loss: Loss, way: Way): Promise<Evidence> {
  const before = await lab.leadership();
  return whileLosing(lab, loss, async () => {
    for (const other of lab.others(before.leader)) await cutBetween(lab, loss, before.leader, other, way);
    return leaderChange(lab, before);
  });
}

/** Only what really was lost counts. */
async function whileLosing(lab: Lab, loss: Loss, work: () => Promise<Evidence>): Promise<Evidence> {
  const before = await loss.lost(lab);
  try {
    const { tookEffect, detail } = await work();
    const lost = (await loss.lost(lab)) - before;
    return { tookEffect: tookEffect && lost > 0, detail: `${detail}; ${lost} ${loss.unit} lost between nodes` };
  } finally {
    await loss.heal(lab);
  }
}

async function cutBetween(lab: Lab, loss: Loss, of: LabNode, other: LabNode, way: Way): Promise<void> {
  for (const { relay, dialler } of lab.relaysBetween(of, other)) {
    if (way !== 'in') await loss.cut(lab, relay, dialler === of ? 'there' : 'back');
    if (way !== 'out') await loss.cut(lab, relay, dialler === of ? 'back' : 'there');
  }
}
