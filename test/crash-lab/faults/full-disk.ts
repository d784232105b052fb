/** A disk that fills up under a node: appends are refused by name while reads live on, and go on by themselves. */
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { ImageDisk } from '../disks.ts';
import { type Lab, TOPIC } from '../lab.ts';
import type { Fault } from './fault.ts';

const CHUNK = Buffer.alloc(1024 * 1024, 0x6c);
/** Below the floor at which a node of such a disk refuses appends (5 %). */
const LEFT_BYTES = 6 * CHUNK.length;
const NOTICED_WITHIN_MS = 15_000;

export const FULL_DISKS: readonly Fault[] = [
  {
    name: 'full disk under every node',
    ...{ group: 'full disk', needsImages: true, events: 1 },
    run: async (lab) => {
      const fillers = await Promise.all(lab.nodes.map(({ disk }) => fill(disk)));
      const leader = await eventually(() => refusal(lab), { what: 'STORAGE_FULL', timeoutMs: NOTICED_WITHIN_MS });
      // Reads do not mind.
      await lab.nodes[0]!.node.get(`/v1/topics/${TOPIC}/records?offset=0&limit=1`);
      await Promise.all(fillers.map((filler) => rm(filler)));
      return { tookEffect: true, detail: `${leader} refused appends with STORAGE_FULL and served reads` };
    },
  },
  {
    name: 'full disk under the leader',
    ...{ group: 'full disk', needsImages: true, events: 1 },
    run: async (lab) => {
      const { leader } = await lab.leadership();
      const filler = await fill(leader.disk);
      const refused = await eventually(() => isFull(leader.disk), {
        what: 'a full disk',
        timeoutMs: NOTICED_WITHIN_MS,
      });
      // Either somebody with space took over, or appends are refused until there is space.
      await lab.leadership();
      await rm(filler);
      return { tookEffect: refused, detail: `${leader.node.id} had ${LEFT_BYTES} bytes left` };
    },
  },
];

async function fill(disk: unknown): Promise<string> {
  if (!(disk instanceof ImageDisk)) throw new Error('only an image can be filled up');
  const filler = join(disk.mountPoint, 'filler');
  for (;;) {
    const { bavail, bsize } = await statfs(disk.mountPoint);
    if (bavail * bsize <= LEFT_BYTES) return filler;
    await writeFile(filler, CHUNK, { flag: 'a' });
  }
}

async function isFull(disk: unknown): Promise<boolean> {
  if (!(disk instanceof ImageDisk)) return false;
  const { bavail, bsize } = await statfs(disk.mountPoint);
  return bavail * bsize <= LEFT_BYTES;
}

/** The leader that refuses a record because of its disk; undefined while none does. */
async function refusal(lab: Lab): Promise<string | undefined> {
  const { leader } = await lab.leadership();
  return (await lab.load.appendOnce(leader.node)) === 'STORAGE_FULL' ? leader.node.id : undefined;
}
