/**
 * Many topics on the same three nodes: what they cost when all of them are busy, and how long an append waits when each
 * of them gets a few. One topic does the same work first, so that the figures are ratios.
 */
import type { Client } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { type Figure, figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';
import { Schedule } from '../schedule.ts';
import { distributionOf } from '../statistics.ts';

const COUNTS = [1, 100, 1_000];
const TARGET_THROUGHPUT_SHARE = 0.5;
const TARGET_P99_RATIO = 5;
const CREATED_AT_ONCE = 8;

export const topics: Scenario = defineScenario({
  name: 'topics',
  sentence: 'Many topics: throughput and latency against those of one.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    most: { default: 1_000, least: 1, sentence: `topics at the end; the steps are ${COUNTS.join(', ')}` },
    records: { default: 1_000_000, least: 1, sentence: 'records of a busy run, over all topics' },
    rate: { default: 10, least: 1, sentence: 'appends a second on each topic, for latency' },
    seconds: { default: 5, least: 1, sentence: 'seconds of a latency run' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
  },
  async run(context, { size, most, records, rate, seconds, nodes }) {
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    const values = makeValues(VALUES, size);
    const figures: Figure[] = [];
    const names: string[] = [];
    let alone: { readonly perSecond: number; readonly p99: number } | undefined;
    for (const count of [...COUNTS.filter((each) => each < most), most]) {
      while (names.length < count) {
        const made = Array.from(
          { length: Math.min(CREATED_AT_ONCE, count - names.length) },
          (_, at) => `topic-${names.length + at}`,
        );
        await Promise.all(made.map((name) => cluster.createTopic(name)));
        names.push(...made);
      }
      // Once uncounted: code is cold, and producers have to find their leaders.
      await busy(client, names, values, Math.ceil(records / 10));
      const perSecond = await busy(client, names, values, records);
      const { p50, p99 } = distributionOf(await steady(client, names, values, rate, seconds));
      context.say(
        `${count} topics: ${Math.round(perSecond)} records/s; p50 ${p50.toFixed(2)} p99 ${p99.toFixed(2)} ms`,
      );
      const label = `${count.toLocaleString('en')} topics`;
      figures.push(
        figureOf({ name: `${label}, acknowledged`, unit: 'records/s', better: 'higher' }, [perSecond]),
        figureOf({ name: `${label}, ${rate}/s each, p50`, unit: 'ms', better: 'lower' }, [p50]),
        figureOf({ name: `${label}, ${rate}/s each, p99`, unit: 'ms', better: 'lower' }, [p99]),
      );
      alone ??= { perSecond, p99 };
      if (count !== most) continue;
      const share = { unit: 'x', better: 'higher', target: TARGET_THROUGHPUT_SHARE } as const;
      const ratio = { unit: 'x', better: 'lower', target: TARGET_P99_RATIO } as const;
      figures.push(
        figureOf({ name: `${label} to one, acknowledged`, ...share }, [perSecond / alone.perSecond]),
        figureOf({ name: `${label} to one, p99`, ...ratio }, [p99 / alone.p99]),
      );
    }
    return { durability: durabilityOf(nodes, context.machine.fileSystem), figures };
  },
});

/** As many as the producers take at once, the same share to each topic. @returns records acknowledged a second. */
async function busy(
  client: Client,
  names: readonly string[],
  values: readonly Uint8Array[],
  records: number,
): Promise<number> {
  const each = Math.ceil(records / names.length);
  const producers = names.map((name) => client.topic(name).producer());
  await Promise.all(producers.map((producer) => producer.send({ value: values[0]! })));
  const begunMs = performance.now();
  await Promise.all(
    producers.map(async (producer) => {
      for (let n = 0; n < each; n++) {
        if (!producer.enqueue({ value: values[n % VALUES]! })) await producer.drained();
      }
      await producer.flush();
    }),
  );
  const perSecond = (each * names.length * 1_000) / (performance.now() - begunMs);
  await Promise.all(producers.map((producer) => producer.close()));
  return perSecond;
}

/** Single appends at a fixed rate on each topic, spread evenly. @returns ms from due to acknowledged, of each. */
async function steady(
  client: Client,
  names: readonly string[],
  values: readonly Uint8Array[],
  rate: number,
  seconds: number,
): Promise<Float64Array> {
  const producers = names.map((name) => client.topic(name).producer());
  await Promise.all(producers.map((producer) => producer.send({ value: values[0]! })));
  const schedule = new Schedule(names.length * rate);
  const samples = await schedule.run(names.length * rate * seconds, (n) =>
    producers[n % names.length]!.send({ value: values[n % VALUES]! }),
  );
  await Promise.all(producers.map((producer) => producer.close()));
  return samples;
}
