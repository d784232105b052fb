/**
 * Bytes that change or vanish while a node is down: on one replica, or at different places on all of them, so that each
 * entry has a good copy left somewhere. The node has to come back by itself and serve what it did before.
 */
import { createHash } from 'node:crypto';
import { appendFile, copyFile, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { eventually } from '../../support/eventually.ts';
import { segmentsOf, TOPIC_LOG } from '../files.ts';
import type { Lab, LabNode } from '../lab.ts';
import type { Evidence, Fault } from './fault.ts';

const BLOCK_BYTES = 4_096;
const GARBAGE_BYTES_MAX = 20_000;
/** Sealed segments a log must have before one of them is harmed. */
const SEALED_MIN = 6;
/** Of one node, at once. */
const FILES_HARMED = 3;
const FILLED_WITHIN_MS = 60_000;

type Harm = (file: string, lab: Lab) => Promise<string>;

const HARMS: Readonly<Record<string, Harm>> = {
  'flipped bit': async (file, lab) => {
    const { size } = await stat(file);
    const at = lab.random.below(size);
    await patch(file, at, 1, (bytes) => {
      bytes[0]! ^= 1 << lab.random.below(8);
    });
    return `one bit at ${at}`;
  },
  'zeroed block': async (file, lab) => {
    const blocks = blocksOf(await readFile(file));
    const at = blocks.indexOf(lab.random.pick(blocks.filter((block) => block.some((byte) => byte !== 0))));
    await patch(file, at * BLOCK_BYTES, BLOCK_BYTES, (bytes) => bytes.fill(0));
    return `${BLOCK_BYTES} bytes at ${at * BLOCK_BYTES}`;
  },
  'misdirected write': async (file, lab) => {
    const blocks = blocksOf(await readFile(file));
    const block = lab.random.pick(blocks);
    const to = blocks.indexOf(lab.random.pick(blocks.filter((other) => !other.equals(block))));
    await patch(file, to * BLOCK_BYTES, BLOCK_BYTES, (there) => there.set(block));
    return `block ${blocks.indexOf(block)} over block ${to}`;
  },
  'cut file': async (file, lab) => {
    const { size } = await stat(file);
    const at = lab.random.below(size);
    await truncate(file, at);
    return `cut at ${at} of ${size}`;
  },
  'deleted file': async (file) => {
    await rm(file);
    return 'deleted';
  },
};

export const CORRUPTIONS: readonly Fault[] = [
  ...Object.entries(HARMS).map(([name, harm]) =>
    fault(`${name}, sealed segments of one node`, FILES_HARMED, async (lab) => {
      const victim = await lab.pick(lab.random.chance(0.5) ? 'leader' : 'follower');
      return harmed(lab, [victim], async (node) => {
        const sealed = (await filesOf(node)).slice(0, -1);
        const done: string[] = [];
        for (let n = 0; n < FILES_HARMED; n++) {
          const [file] = sealed.splice(lab.random.below(sealed.length), 1) as [string];
          done.push(`${short(file)}: ${await harm(file, lab)}`);
        }
        return `${node.node.id} ${done.join(', ')}`;
      });
    }),
  ),
  ...['flipped bit', 'zeroed block'].map((name) =>
    fault(`${name}, different sealed segments of all nodes`, 3, async (lab) => {
      const at = [0.1, 0.4, 0.7];
      return harmed(lab, lab.nodes, async (node) => {
        const sealed = (await filesOf(node)).slice(0, -1);
        const file = sealed[Math.floor(at[lab.nodes.indexOf(node)]! * sealed.length)]!;
        return `${node.node.id} ${short(file)}: ${await HARMS[name]!(file, lab)}`;
      });
    }),
  ),
  fault('two sealed segments swapped', 1, async (lab) => {
    const victim = await lab.pick('follower');
    return harmed(lab, [victim], async (node) => {
      const sealed = (await filesOf(node)).slice(0, -1);
      const at = lab.random.below(sealed.length - 1);
      const [one, other] = [sealed[at]!, sealed[at + 1]!];
      await rename(one, `${one}.aside`);
      await rename(other, one);
      await rename(`${one}.aside`, other);
      return `${node.node.id}: ${short(one)} and ${short(other)}`;
    });
  }),
  fault('flipped bit, last segment of one node', 1, async (lab) => {
    const victim = await lab.pick('follower');
    return harmed(lab, [victim], async (node) => {
      const file = (await filesOf(node)).at(-1)!;
      const bytes = await readFile(file);
      // Files grow ahead of what is written: the zeros at the end are nobody's.
      const written = bytes.findLastIndex((byte) => byte !== 0) + 1;
      const at = lab.random.below(written);
      await patch(file, at, 1, (one) => {
        one[0]! ^= 1 << lab.random.below(8);
      });
      return `${node.node.id} ${short(file)}: one bit at ${at} of ${written}`;
    });
  }),
  fault('garbage behind the last segment', 1, async (lab) => {
    const victim = await lab.pick('follower');
    return harmed(lab, [victim], async (node) => {
      const file = (await filesOf(node)).at(-1)!;
      const garbage = Buffer.alloc(1 + lab.random.below(GARBAGE_BYTES_MAX));
      for (let at = 0; at < garbage.length; at++) garbage[at] = lab.random.below(256);
      await appendFile(file, garbage);
      return `${node.node.id} ${short(file)}: ${garbage.length} bytes`;
    });
  }),
  fault('sealed segment with the bytes of another', 1, async (lab) => {
    const victim = await lab.pick('follower');
    return harmed(lab, [victim], async (node) => {
      const sealed = (await filesOf(node)).slice(0, -1);
      const file = lab.random.pick(sealed);
      const older = sealed[(sealed.indexOf(file) + 1) % sealed.length]!;
      await copyFile(older, file);
      return `${node.node.id}: ${short(older)} in the place of ${short(file)}`;
    });
  }),
];

function fault(name: string, events: number, run: Fault['run']): Fault {
  return { name: `corruption: ${name}`, group: 'corruption', needsImages: false, events, run };
}

async function harmed(
  lab: Lab,
  victims: readonly LabNode[],
  harm: (node: LabNode) => Promise<string>,
): Promise<Evidence> {
  await eventually(
    async () => (await Promise.all(lab.nodes.map(filesOf))).every((files) => files.length > SEALED_MIN),
    { what: 'logs with some sealed segments', timeoutMs: FILLED_WITHIN_MS, pollMs: 100 },
  );
  // Each entry keeps a good copy somewhere: what an earlier fault harmed, perhaps on another node, is whole again.
  await lab.mended();
  await Promise.all(victims.map(({ node }) => node.kill()));
  const details: string[] = [];
  let tookEffect = true;
  for (const victim of victims) {
    const before = await digestOf(victim);
    details.push(await harm(victim));
    tookEffect &&= (await digestOf(victim)) !== before;
  }
  return { tookEffect, detail: details.join('; ') };
}

/** Of the names and bytes of all its segments. */
async function digestOf(node: LabNode): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await filesOf(node)) hash.update(file).update(await readFile(file));
  return hash.digest('hex');
}

function filesOf({ disk }: LabNode): Promise<string[]> {
  return segmentsOf(disk.dataDir, TOPIC_LOG);
}

/** The whole ones. */
function blocksOf(bytes: Buffer): Buffer[] {
  const count = Math.floor(bytes.length / BLOCK_BYTES);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES));
}

async function patch(file: string, at: number, length: number, change: (bytes: Buffer) => void): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await handle.read(bytes, 0, length, at);
    const found = bytes.subarray(0, bytesRead);
    change(found);
    await handle.write(found, 0, found.length, at);
  } finally {
    await handle.close();
  }
}

function short(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}
