/**
 * Whether an append costs the same on a long log as on a short one: the speed and the memory of the same cluster while
 * one topic grows. Each window is the same work; the figure is the last against the first.
 */
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';
import { median } from '../statistics.ts';

const GB = 1e9;
const MB = 1e6;
const TOPIC = 'growth';
const WINDOWS = 30;
/** Windows at each end that are put against each other. */
const END_WINDOWS = 5;
const TARGET_RATIO = 1.1;

export const growth: Scenario = defineScenario({
  name: 'growth',
  sentence: 'One topic that grows: cost of an append and memory, at its end against its beginning.',
  options: {
    gigabytes: { default: 6, least: 0.01, sentence: 'size of the topic at the end, in GB' },
    size: { default: 1_000, least: 1, sentence: 'bytes of a record' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
  },
  async run(context, { gigabytes, size, nodes }) {
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    await cluster.createTopic(TOPIC);
    const values = makeValues(VALUES, size);
    const producer = await openProducer(client, { topic: TOPIC, values });
    const count = Math.ceil((gigabytes * GB) / size / WINDOWS);
    const speeds: number[] = [];
    const costs: number[] = [];
    const memory: number[] = [];
    // Cold code belongs to no window.
    await produceAll(producer, values, count);
    let before = await cluster.look();
    for (let window = 1; window <= WINDOWS; window++) {
      const begunMs = performance.now();
      await produceAll(producer, values, count);
      speeds.push((count * size) / 1e3 / (performance.now() - begunMs));
      const after = await cluster.look();
      const use = cluster.useBetween(before, after).filter(({ name }) => name !== 'client');
      costs.push((use.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) * 1e6) / count);
      memory.push(Math.max(...use.map(({ rssBytes }) => rssBytes)) / MB);
      before = after;
      const total = ((window + 1) * count * size) / GB;
      context.say(
        `${total.toFixed(1)} GB: ${speeds.at(-1)!.toFixed(0)} MB/s, ` +
          `${costs.at(-1)!.toFixed(2)} us, ${memory.at(-1)!.toFixed(0)} MB`,
      );
    }
    await cluster.checkTail(TOPIC, 1 + count * (WINDOWS + 1));
    const ratio = median(costs.slice(-END_WINDOWS)) / median(costs.slice(0, END_WINDOWS));
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf({ name: 'acknowledged values', unit: 'MB/s', better: 'higher' }, speeds),
        figureOf({ name: 'processor time of all nodes, a record', unit: 'us', better: 'lower' }, costs),
        figureOf(
          { name: `the same, last ${END_WINDOWS} windows to first`, unit: 'x', better: 'lower', target: TARGET_RATIO },
          [ratio],
        ),
        figureOf({ name: 'largest node', unit: 'MB', better: 'lower' }, memory),
      ],
      notes: ['Samples are the windows, in order: a slope in them is what this bench looks for.'],
    };
  },
});
