/** Resident memory of the nodes: idle, while much is appended, right after, and after a rest. */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';

const MB = 1e6;
const TARGET_MB = 200;
const TARGET_BYTES = 2e9;
const STEPS = 10;
const REST_MS = 5_000;
const TOPIC = 'memory';

export const memory: Scenario = defineScenario({
  name: 'memory',
  sentence: 'Memory of the nodes: idle, and after much was appended.',
  options: {
    size: { default: 1_000, least: 1, sentence: 'bytes of a record' },
    bytes: { default: TARGET_BYTES, least: 1, sentence: 'bytes of values appended' },
    stalled: { default: 0, least: 0, sentence: 'subscribers that read nothing meanwhile, a connection each' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
  },
  async run(context, { size, bytes, stalled, nodes }) {
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    await cluster.createTopic(TOPIC);
    for (let n = 0; n < stalled; n++) {
      const subscriber = (await connectTo(context, cluster)).topic(TOPIC).subscribe();
      subscriber.pause();
      // Asks for records by being iterated; the first one is held back until the end.
      subscriber[Symbol.asyncIterator]()
        .next()
        .catch(() => undefined);
    }
    const residentMB = async (): Promise<number[]> =>
      Promise.all(cluster.nodes.map(async (node) => (await node.sample()).rssBytes / MB));
    const idle = await residentMB();
    const before = await cluster.look();
    const values = makeValues(VALUES, size);
    const count = Math.ceil(bytes / size / STEPS);
    const producer = await openProducer(client, { topic: TOPIC, values });
    const during: number[] = [];
    let after: number[] = idle;
    for (let step = 1; step <= STEPS; step++) {
      await produceAll(producer, values, count);
      after = await residentMB();
      during.push(...after);
      const shown = after.map((each) => each.toFixed(0)).join(', ');
      context.say(`${step} of ${STEPS}: ${((step * count * size) / 1e9).toFixed(2)} GB, ${shown} MB`);
    }
    await cluster.checkTail(TOPIC, 1 + count * STEPS);
    const processes = cluster.useBetween(before, await cluster.look());
    await delay(REST_MS);
    const rested = await residentMB();
    const spec = { unit: 'MB', better: 'lower' } as const;
    const isTarget = bytes >= TARGET_BYTES && nodes === 3 && stalled === 0;
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf({ name: 'idle, a node', ...spec }, idle),
        figureOf({ name: 'while appending, a node', ...spec }, during),
        figureOf({ name: 'right after, largest node', ...spec, ...(isTarget && { target: TARGET_MB }) }, [
          Math.max(...after),
        ]),
        figureOf({ name: `${REST_MS / 1_000} s later, largest node`, ...spec }, [Math.max(...rested)]),
      ],
      processes,
      notes: ['Samples of "a node" are one a node (and step), not one a repeat.'],
    };
  },
});
