/** Power cuts: of one node, of a majority, of all in the same instant, and once more while a node recovers. */
import { setTimeout as delay } from 'node:timers/promises';
import { ImageDisk } from '../disks.ts';
import type { Lab, LabNode } from '../lab.ts';
import type { Evidence, Fault } from './fault.ts';

export interface Powered extends LabNode {
  readonly disk: ImageDisk;
}

export const POWER_CUTS: readonly Fault[] = [
  fault('power cut of one node', 1, (lab) => cut([lab.random.pick(poweredNodes(lab))])),
  fault('power cut of a majority', 2, (lab) => cut(shuffled(lab).slice(0, 2))),
  fault('power cut of all nodes at once', 3, (lab) => cut(poweredNodes(lab))),
  fault('power cut, and another while the node recovers', 2, async (lab) => {
    const victim = lab.random.pick(poweredNodes(lab));
    const first = await cut([victim]);
    victim.node.start();
    await delay(100 + lab.random.below(700));
    const second = await cut([victim]);
    return { tookEffect: first.tookEffect && second.tookEffect, detail: `${first.detail}; then ${second.detail}` };
  }),
];

function fault(name: string, events: number, run: Fault['run']): Fault {
  return { name, group: 'power cut', needsImages: true, events, run };
}

function poweredNodes(lab: Lab): Powered[] {
  return lab.nodes.map(powered);
}

export function powered({ disk, ...node }: LabNode): Powered {
  if (!(disk instanceof ImageDisk)) throw new Error(`${node.node.id} has no disk whose power can be cut`);
  return { ...node, disk };
}

function shuffled(lab: Lab): Powered[] {
  const nodes = poweredNodes(lab);
  for (let at = nodes.length - 1; at > 0; at--) {
    const other = lab.random.below(at + 1);
    [nodes[at], nodes[other]] = [nodes[other]!, nodes[at]!];
  }
  return nodes;
}

export async function cut(victims: readonly Powered[]): Promise<Evidence> {
  for (const { disk } of victims) await disk.plantCanary();
  // Frozen first, wherever their writes stand in the kernel: no process outlives its power.
  await Promise.all(victims.map(({ node }) => node.freeze()));
  await Promise.all(victims.map(({ disk }) => disk.cut()));
  await Promise.all(victims.map(({ node }) => node.kill()));
  let lost = 0;
  let isLostEverywhere = true;
  for (const { disk } of victims) {
    await disk.unmount();
    await disk.mount();
    const bytes = await disk.lostBytes();
    lost += bytes;
    isLostEverywhere &&= bytes > 0;
  }
  const names = victims.map(({ node, disk }) => `${node.id} (${disk.kind})`).join(', ');
  return { tookEffect: isLostEverywhere, detail: `${names}: ${lost} bytes that were not flushed are gone` };
}
