/** How many records a second the cluster acknowledges, each flushed on a majority, when producers batch. */
import type { ProducerOptions } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { buildPipe } from '../pipe-limit.ts';
import { type Figure, figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';

const TARGET_RECORDS_PER_SECOND = 400_000;
const TARGET_SIZE = 100;
/** What limit-pipe.c is made of, and the chunk it is best at. */
const PIPE_NODES = 3;
const PIPE_CHUNK_BYTES = 1024 * 1024;
/** Of the limit, for records of 1 KiB and more. */
const TARGET_SHARE = 0.6;
const SHARE_SIZE_MIN = 1_000;

export const produce: Scenario = defineScenario({
  name: 'produce',
  sentence: 'SDK producers that batch: records acknowledged a second.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    records: { default: 1_000_000, least: 1, sentence: 'records a repeat, over all producers' },
    producers: { default: 1, least: 1, sentence: 'producers, all in one client process' },
    inflight: { default: 0, least: 0, sentence: 'batches in flight a producer; 0: as the SDK does' },
    batch: { default: 0, least: 0, sentence: 'records of a batch at most; 0: as the SDK does' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, options) {
    const { size, records, producers, inflight, batch, nodes, repeats } = options;
    const values = makeValues(VALUES, size);
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    const settings: ProducerOptions = {
      ...(inflight > 0 && { maxInFlight: inflight }),
      ...(batch > 0 && { maxBatchRecords: batch }),
    };
    const each = Math.ceil(records / producers);
    const pipe = nodes === PIPE_NODES ? await buildPipe(context) : undefined;
    const limits: number[] = [];
    const samples: number[] = [];
    let before: Look | undefined;
    for (let repeat = 0; repeat <= repeats; repeat++) {
      const topic = `produce-${repeat}`;
      await cluster.createTopic(topic);
      // The first repeat runs in cold code, on every node and here.
      if (repeat === 1) before = await cluster.look();
      const open = await Promise.all(
        Array.from({ length: producers }, () => openProducer(client, { topic, values }, settings)),
      );
      const begunMs = performance.now();
      await Promise.all(open.map((producer) => produceAll(producer, values, each)));
      const perSecond = (each * producers * 1_000) / (performance.now() - begunMs);
      await Promise.all(open.map((producer) => producer.close()));
      await cluster.checkTail(topic, (1 + each) * producers);
      context.say(`${nameOfRepeat(repeat)}: ${Math.round(perSecond)} records/s`);
      // Beside each repeat, so that what disturbs the one disturbs the other.
      const limit = await pipe?.(PIPE_CHUNK_BYTES);
      if (repeat === 0) continue;
      samples.push(perSecond);
      if (limit !== undefined) limits.push(limit);
    }
    const isTarget = size === TARGET_SIZE && nodes === 3;
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf(
          {
            name: 'acknowledged',
            unit: 'records/s',
            better: 'higher',
            ...(isTarget && { target: TARGET_RECORDS_PER_SECOND }),
          },
          samples,
        ),
        figureOf(
          { name: 'acknowledged values', unit: 'MB/s', better: 'higher' },
          samples.map((perSecond) => (perSecond * size) / 1e6),
        ),
        ...(limits.length === 0 ? [] : pipeFigures(samples, limits, size)),
      ],
      processes: cluster.useBetween(before!, await cluster.look()),
    };
  },
});

function pipeFigures(perSecond: readonly number[], limits: readonly number[], size: number): Figure[] {
  const target = size >= SHARE_SIZE_MIN ? { target: TARGET_SHARE } : {};
  return [
    figureOf({ name: 'the topology in C, 1 MiB a flush', unit: 'MB/s', better: 'higher' }, limits),
    figureOf(
      { name: 'share of it', unit: 'x', better: 'higher', ...target },
      limits.map((limit, at) => (perSecond[at]! * size) / 1e6 / limit),
    ),
  ];
}
