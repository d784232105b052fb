/** How long one append takes when nothing else is going on: from the call to the promise kept. */
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { connectTo, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const TARGET_P50_MS = 1.5;
const TOPIC = 'latency';

export const latency: Scenario = defineScenario({
  name: 'latency',
  sentence: 'One record in flight: time to its acknowledgement.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    seconds: { default: 3, least: 0.1, sentence: 'seconds of a repeat' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { size, seconds, nodes, repeats }) {
    const values = makeValues(VALUES, size);
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    await cluster.createTopic(TOPIC);
    const topic = client.topic(TOPIC);
    const producer = topic.producer();
    const ways = [
      { name: 'append()', send: (value: Uint8Array) => topic.append({ value }) },
      { name: 'producer.send()', send: (value: Uint8Array) => producer.send({ value }) },
    ].map((way) => ({ ...way, p50s: [] as number[], p99s: [] as number[], all: [] as number[] }));
    let acked = 0;
    let before: Look | undefined;
    for (let repeat = 0; repeat <= repeats; repeat++) {
      if (repeat === 1) before = await cluster.look();
      for (const way of ways) {
        const samples = await oneAfterTheOther((n) => way.send(values[n % VALUES]!), seconds);
        acked += samples.length;
        const { p50, p99 } = distributionOf(samples);
        context.say(`${nameOfRepeat(repeat)}, ${way.name}: p50 ${p50.toFixed(3)} ms`);
        if (repeat === 0) continue;
        way.p50s.push(p50);
        way.p99s.push(p99);
        // One by one: a spread of a hundred thousand arguments does not fit on the stack.
        for (const sample of samples) way.all.push(sample);
      }
    }
    await cluster.checkTail(TOPIC, acked);
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: ways.flatMap(({ name, p50s, p99s }) => [
        figureOf({ name: `${name} p50`, unit: 'ms', better: 'lower', target: TARGET_P50_MS }, p50s),
        figureOf({ name: `${name} p99`, unit: 'ms', better: 'lower' }, p99s),
      ]),
      distributions: ways.map(({ name, all }) => ({ name, unit: 'ms', ...distributionOf(all) })),
      processes: cluster.useBetween(before!, await cluster.look()),
      notes: ['One client, one append at a time: no append is delayed by another, so nothing is left out by waiting.'],
    };
  },
});

async function oneAfterTheOther(send: (n: number) => Promise<unknown>, seconds: number): Promise<number[]> {
  const samples: number[] = [];
  const untilMs = performance.now() + seconds * 1_000;
  let nowMs = performance.now();
  while (nowMs < untilMs) {
    await send(samples.length);
    const doneMs = performance.now();
    samples.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  return samples;
}
