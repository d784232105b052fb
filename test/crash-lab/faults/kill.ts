/** SIGKILL: of one node, of all, in a loop while it recovers, and at the moments that have something half done. */
import { watch } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../support/eventually.ts';
import { KEYS_LOG, unlistedSegments } from '../files.ts';
import { type Lab, type LabNode, type Leadership, TOPIC } from '../lab.ts';
import type { Evidence, Fault } from './fault.ts';

const LOOPS = 6;
const MOMENT_WITHIN_MS = 10_000;
const COMPACTING_WITHIN_MS = 60_000;
const COMPACTIONS_MET_MAX = 5;
const SEEN_AGAIN_MS = 50;

export const KILLS: readonly Fault[] = [
  {
    name: 'SIGKILL of the leader',
    ...{ group: 'kill', needsImages: false, events: 1 },
    run: async (lab) => killLeader(lab),
  },
  {
    name: 'SIGKILL of a follower',
    ...{ group: 'kill', needsImages: false, events: 1 },
    run: async (lab) => {
      const victim = await lab.pick('follower');
      await victim.node.kill();
      await lab.moreAcks(200);
      return { tookEffect: true, detail: `${victim.node.id} was down for 200 acknowledgements and more` };
    },
  },
  {
    name: 'SIGKILL of all nodes at once',
    ...{ group: 'kill', needsImages: false, events: 3 },
    run: async (lab) => {
      const acked = lab.load.acked;
      await Promise.all(lab.nodes.map(({ node }) => node.kill()));
      return { tookEffect: lab.nodes.every(({ node }) => !node.isRunning), detail: `after ${acked} acknowledgements` };
    },
  },
  {
    name: 'SIGKILL again and again while a node recovers',
    ...{ group: 'kill', needsImages: false, events: LOOPS },
    run: async (lab) => {
      const { node } = await lab.pick(lab.random.chance(0.5) ? 'leader' : 'follower');
      for (let loop = 0; loop < LOOPS; loop++) {
        await node.kill();
        node.start();
        await delay(50 + lab.random.below(450));
      }
      await node.kill();
      return { tookEffect: true, detail: `${node.id}, ${LOOPS} times within 50 to 500 ms of its start` };
    },
  },
  {
    name: 'SIGKILL while a log is compacted',
    ...{ group: 'kill', needsImages: false, events: 1 },
    run: async (lab) => {
      await lab.keys();
      const victim = await lab.pick(lab.random.chance(0.5) ? 'leader' : 'follower');
      // One that ended between the last look and the kill leaves nothing aside: then the next one is met.
      for (let attempt = 1; ; attempt++) {
        const rewritten = await killInCompaction(victim);
        const detail = `${victim.node.id} while it wrote ${rewritten ?? 'nothing'}, attempt ${attempt}`;
        if (rewritten !== undefined || attempt === COMPACTIONS_MET_MAX) {
          return { tookEffect: rewritten !== undefined, detail };
        }
        victim.node.start();
        await victim.node.ready();
      }
    },
  },
  atMoment('while it rolls a segment', /\.segment/),
  atMoment('while it writes a snapshot', /snapshot/),
  {
    name: 'SIGKILL while leadership is transferred',
    ...{ group: 'kill', needsImages: false, events: 1 },
    run: async (lab) => {
      const { leader, term } = await lab.leadership();
      const to = lab.random.pick(lab.others(leader));
      const victim = lab.random.chance(0.5) ? leader : to;
      const body = JSON.stringify({ to: to.node.id });
      const url = `http://${leader.node.address}/v1/topics/${TOPIC}/partitions/0/transfer`;
      const headers = { 'content-type': 'application/json' };
      // Its answer may never come: the node that would give it may be the one that dies.
      const asking = fetch(url, { method: 'POST', headers, body }).catch(() => undefined);
      await delay(lab.random.below(15));
      await victim.node.kill();
      const next = await lab.leadership(victim);
      await asking;
      return {
        tookEffect: victim !== leader || next.term > term,
        detail: `${leader.node.id} to ${to.node.id}, killed ${victim.node.id}; term ${term} to ${next.term}`,
      };
    },
  },
];

/** @returns the file that was being written and does not count; undefined when there is none after all. */
async function killInCompaction({ node, disk }: LabNode): Promise<string | undefined> {
  const aside = (): Promise<string[]> => unlistedSegments(disk.dataDir, KEYS_LOG);
  // Seen twice: what is only just being rolled is listed by then.
  const seen = await eventually(
    async () => {
      const before = await aside();
      await delay(SEEN_AGAIN_MS);
      return (await aside()).find((file) => before.includes(file));
    },
    { what: `a compaction on ${node.id}`, timeoutMs: COMPACTING_WITHIN_MS, pollMs: SEEN_AGAIN_MS },
  );
  await node.kill();
  return (await aside()).includes(seen) ? seen : undefined;
}

async function killLeader(lab: Lab): Promise<Evidence> {
  const before = await lab.leadership();
  await before.leader.node.kill();
  return leaderChange(lab, before);
}

/** Every fault of a leader has to make another one. */
export async function leaderChange(lab: Lab, { leader, term }: Leadership): Promise<Evidence> {
  const after = await lab.leadership(leader);
  await lab.moreAcks(50);
  const detail = `${leader.node.id} in term ${term}, then ${after.leader.node.id} in term ${after.term}`;
  return { tookEffect: after.term > term, detail };
}

/** The first change of a file with such a name is the moment. */
function atMoment(when: string, file: RegExp): Fault {
  return {
    name: `SIGKILL of a node ${when}`,
    ...{ group: 'kill', needsImages: false, events: 1 },
    run: async (lab) => {
      const victim = await lab.pick(lab.random.chance(0.5) ? 'leader' : 'follower');
      const seen = await firstChange(victim, file);
      await victim.node.kill();
      return { tookEffect: seen !== undefined, detail: `${victim.node.id} at a change of ${seen ?? 'nothing'}` };
    },
  };
}

async function firstChange({ disk }: LabNode, file: RegExp): Promise<string | undefined> {
  const watcher = watch(disk.dataDir, { recursive: true });
  try {
    return await new Promise<string | undefined>((resolve) => {
      const late = setTimeout(() => resolve(undefined), MOMENT_WITHIN_MS);
      // 'rename' is said of files that come or go: writes into the one that is open do not count.
      watcher.on('change', (kind, name) => {
        if (kind !== 'rename' || !file.test(String(name))) return;
        clearTimeout(late);
        resolve(String(name));
      });
    });
  } finally {
    watcher.close();
  }
}
