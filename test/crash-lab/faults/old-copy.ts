/**
 * A node whose directory is put back from an older copy of itself, as a restored backup or a cloned disk would: it has
 * forgotten what it acknowledged. The leader finds it out, and the node takes no part until it has rejoined (R21).
 */
import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TOPIC_LOG, writtenBytes } from '../files.ts';
import type { Fault } from './fault.ts';

/** So many that the copy lacks some the node acknowledged, whichever majority confirmed them. */
const ACKS_SINCE = 400;

export const OLD_COPIES: readonly Fault[] = [
  {
    name: 'old copy of a follower put back',
    ...{ group: 'old copy', needsImages: false, events: 1 },
    run: async (lab) => {
      const { node, disk } = await lab.pick('follower');
      const copy = `${disk.dataDir}.copy`;
      await node.kill();
      await cp(disk.dataDir, copy, { recursive: true });
      await rm(join(copy, 'lock'), { force: true });
      node.start();
      await node.ready();
      await lab.moreAcks(ACKS_SINCE);
      await node.kill();
      const [now, then] = [await writtenBytes(disk.dataDir, TOPIC_LOG), await writtenBytes(copy, TOPIC_LOG)];
      await rm(disk.dataDir, { recursive: true });
      await rename(copy, disk.dataDir);
      return { tookEffect: then < now, detail: `${node.id} lost ${now - then} bytes of its log` };
    },
  },
];
