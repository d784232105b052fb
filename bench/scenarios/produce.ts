/** How many records a second the cluster acknowledges, each flushed on a majority, when producers batch. */
import type { ProducerOptions } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';

const TARGET_RECORDS_PER_SECOND = 400_000;
const TARGET_SIZE = 100;

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
      context.say(`${repeat === 0 ? 'warm-up' : `repeat ${repeat}`}: ${Math.round(perSecond)} records/s`);
      if (repeat > 0) samples.push(perSecond);
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
      ],
      processes: cluster.useBetween(before!, await cluster.look()),
    };
  },
});
