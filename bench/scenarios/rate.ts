/**
 * Records at a fixed rate, whether or not the ones before were answered: what users of a busy service feel. Every time
 * is counted from the moment the record was due, not from when it could be sent, so that a stall is charged to all
 * records that waited behind it (no coordinated omission). A consumer in the same process sees every record, so that
 * append to consumer needs one clock only. That process collects garbage too: its longest pause stands beside the
 * times, which hold it.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import type { Client } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo } from '../load.ts';
import { type Figure, figureOf, type NamedDistribution } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';
import { Schedule } from '../schedule.ts';
import { distributionOf } from '../statistics.ts';

const RATES = [1_000, 10_000, 50_000];
/** Append to consumer at this rate has a target. */
const TARGET_RATE = 10_000;
const TARGET_P99_MS = 5;
const WARM_UP_SECONDS = 1;
const SEQUENCE_BYTES = 8;

export const rate: Scenario = defineScenario({
  name: 'rate',
  sentence: 'Records at a fixed rate: time from due to acknowledged, and to consumed.',
  options: {
    size: { default: 100, least: SEQUENCE_BYTES, sentence: 'bytes of a record' },
    rate: { default: 0, least: 0, sentence: `records a second; 0: ${RATES.join(', ')} one after the other` },
    seconds: { default: 5, least: 1, sentence: 'seconds of a repeat' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 3, least: 1, sentence: 'repeats of each rate, after one that is not counted' },
  },
  async run(context, { size, rate: only, seconds, nodes, repeats }) {
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    const figures: Figure[] = [];
    const distributions: NamedDistribution[] = [];
    for (const perSecond of only > 0 ? [only] : RATES) {
      const acks: Float64Array[] = [];
      const deliveries: Float64Array[] = [];
      const pauses: number[] = [];
      for (let repeat = 0; repeat <= repeats; repeat++) {
        const topic = `rate-${perSecond}-${repeat}`;
        await cluster.createTopic(topic);
        const run = await openLoop(client, topic, { size, perSecond, seconds });
        const [ack, delivery] = [distributionOf(run.ackedMs), distributionOf(run.consumedMs)];
        context.say(
          `${perSecond}/s, ${nameOfRepeat(repeat)}: ` +
            `acknowledged p50 ${ack.p50.toFixed(2)} p99 ${ack.p99.toFixed(2)} ms, ` +
            `consumed p50 ${delivery.p50.toFixed(2)} p99 ${delivery.p99.toFixed(2)} ms`,
        );
        if (repeat === 0) continue;
        acks.push(run.ackedMs);
        deliveries.push(run.consumedMs);
        pauses.push(run.clientPauseMs);
      }
      const isTarget = perSecond === TARGET_RATE && nodes === 3;
      for (const [what, runs] of [['acknowledged', acks] as const, ['consumed', deliveries] as const]) {
        const name = `${perSecond.toLocaleString('en')} records/s, due to ${what}`;
        const target = isTarget && what === 'consumed' ? { target: TARGET_P99_MS } : {};
        const spec = { unit: 'ms', better: 'lower' } as const;
        figures.push(
          figureOf(
            { name: `${name}, p50`, ...spec },
            runs.map((run) => distributionOf(run).p50),
          ),
        );
        figures.push(
          figureOf(
            { name: `${name}, p99`, ...spec, ...target },
            runs.map((run) => distributionOf(run).p99),
          ),
        );
        distributions.push({ name, unit: 'ms', ...distributionOf(runs.flatMap((run) => [...run])) });
      }
      const name = `${perSecond.toLocaleString('en')} records/s, longest garbage collection of the client`;
      figures.push(figureOf({ name, unit: 'ms', better: 'lower' }, pauses));
    }
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures,
      distributions,
      notes: [
        'Times count from when a record was due. Records that were due in the first second are sent and not counted.',
        'The timer of the client has a grain of 1 ms: records that fall due meanwhile are sent together.',
      ],
    };
  },
});

interface OpenLoopRun {
  /** From due to acknowledged, ms, one a counted record. */
  readonly ackedMs: Float64Array;
  readonly consumedMs: Float64Array;
  /** The longest time the client, which is producer and consumer, stood still to collect garbage. */
  readonly clientPauseMs: number;
}

async function openLoop(
  client: Client,
  topicName: string,
  { size, perSecond, seconds }: { readonly size: number; readonly perSecond: number; readonly seconds: number },
): Promise<OpenLoopRun> {
  const topic = client.topic(topicName);
  const producer = topic.producer();
  const skipped = perSecond * WARM_UP_SECONDS;
  const count = skipped + perSecond * seconds;
  const schedule = new Schedule(perSecond);
  const consumedMs = new Float64Array(count);
  const subscription = topic.subscribe({ from: 'earliest', to: { offset: count } });
  const consuming = (async () => {
    for await (const { value } of subscription) {
      const n = new DataView(value.buffer, value.byteOffset).getUint32(0);
      consumedMs[n] = performance.now() - schedule.dueMs(n);
    }
  })();
  await subscription.caughtUp();
  let clientPauseMs = 0;
  const collections = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) clientPauseMs = Math.max(clientPauseMs, duration);
  });
  collections.observe({ entryTypes: ['gc'] });
  const ackedMs = await schedule.run(count, (n) => {
    const value = new Uint8Array(size);
    new DataView(value.buffer).setUint32(0, n);
    return producer.send({ value });
  });
  await consuming;
  collections.disconnect();
  await producer.close();
  return { ackedMs: ackedMs.subarray(skipped), consumedMs: consumedMs.subarray(skipped), clientPauseMs };
}
