/**
 * Many small clients of the SDK: one connection and one record in flight each, so that nothing batches but the node.
 */
import type { Client } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { connectTo, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const TOPIC = 'singles';

export const singles: Scenario = defineScenario({
  name: 'singles',
  sentence: 'Connections with one record in flight each: records acknowledged a second.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    connections: { default: 200, least: 1, sentence: 'clients, one connection each, all in one process' },
    seconds: { default: 4, least: 0.1, sentence: 'seconds of a repeat' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { size, connections, seconds, nodes, repeats }) {
    const values = makeValues(VALUES, size);
    const cluster = await BenchCluster.start(context, { nodes });
    await cluster.createTopic(TOPIC);
    const clients = await Promise.all(Array.from({ length: connections }, () => connectTo(context, cluster)));
    const speeds: number[] = [];
    const p50s: number[] = [];
    const p99s: number[] = [];
    let acked = 0;
    let before: Look | undefined;
    for (let repeat = 0; repeat <= repeats; repeat++) {
      if (repeat === 1) before = await cluster.look();
      const begunMs = performance.now();
      const untilMs = begunMs + seconds * 1_000;
      const samples = (await Promise.all(clients.map((client) => oneByOne(client, values, untilMs)))).flat();
      const perSecond = (samples.length * 1_000) / (performance.now() - begunMs);
      acked += samples.length;
      context.say(`${nameOfRepeat(repeat)}: ${Math.round(perSecond)} records/s`);
      if (repeat === 0) continue;
      const { p50, p99 } = distributionOf(samples);
      speeds.push(perSecond);
      p50s.push(p50);
      p99s.push(p99);
    }
    await cluster.checkTail(TOPIC, acked);
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf({ name: `acknowledged, ${connections} connections`, unit: 'records/s', better: 'higher' }, speeds),
        figureOf({ name: 'acknowledgement p50', unit: 'ms', better: 'lower' }, p50s),
        figureOf({ name: 'acknowledgement p99', unit: 'ms', better: 'lower' }, p99s),
      ],
      processes: cluster.useBetween(before!, await cluster.look()),
      notes: ['All clients share one process and its processor time, which is part of what is measured.'],
    };
  },
});

/** @returns how long each append took, ms. */
async function oneByOne(client: Client, values: readonly Uint8Array[], untilMs: number): Promise<number[]> {
  const topic = client.topic(TOPIC);
  const samples: number[] = [];
  let nowMs = performance.now();
  while (nowMs < untilMs) {
    await topic.append({ value: values[samples.length % VALUES]! });
    const doneMs = performance.now();
    samples.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  return samples;
}
