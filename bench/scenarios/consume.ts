/**
 * Catch-up: a subscription from the start to the tail of a topic that is larger than any cache of a node, so that its
 * bytes come from segment files (which the operating system has in memory). Every offset is checked.
 */
import { writeFile } from 'node:fs/promises';
import type { Client } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';

const TARGET_RECORDS_PER_SECOND = 800_000;
const TARGET_SIZE = 100;
const TOPIC = 'consume';

export const consume: Scenario = defineScenario({
  name: 'consume',
  sentence: 'A subscription from the start to the tail: records a second.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    records: { default: 2_000_000, least: 2, sentence: 'records in the topic' },
    consumers: { default: 1, least: 1, sentence: 'consumers at once, all in one process' },
    cold: { default: 0, least: 0, sentence: "1: drop the operating system's caches before each read (needs root)" },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { size, records, consumers, cold, nodes, repeats }) {
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    await cluster.createTopic(TOPIC);
    const values = makeValues(VALUES, size);
    const producer = await openProducer(client, { topic: TOPIC, values });
    await produceAll(producer, values, records - 1);
    await producer.close();
    await cluster.checkTail(TOPIC, records);
    await Promise.all(cluster.nodes.map((node) => cluster.caughtUp(node, TOPIC, records)));
    context.say(`${records} records are in the topic`);
    const ways = [
      { name: 'for await (record)', read: readRecords, speeds: [] as number[] },
      { name: 'batches()', read: readBatches, speeds: [] as number[] },
    ];
    let before: Look | undefined;
    for (let repeat = 0; repeat <= repeats; repeat++) {
      if (repeat === 1) before = await cluster.look();
      for (const { name, read, speeds } of ways) {
        if (cold > 0) await writeFile('/proc/sys/vm/drop_caches', '3');
        const begunMs = performance.now();
        const counts = await Promise.all(Array.from({ length: consumers }, () => read(client)));
        const perSecond = (records * consumers * 1_000) / (performance.now() - begunMs);
        const wrong = counts.find((count) => count !== records);
        if (wrong !== undefined) throw new Error(`${name} gave ${wrong} of ${records} records`);
        context.say(`${nameOfRepeat(repeat)}, ${name}: ${Math.round(perSecond)} records/s`);
        if (repeat > 0) speeds.push(perSecond);
      }
    }
    const target =
      size === TARGET_SIZE && nodes === 3 && consumers === 1 && cold === 0 ? { target: TARGET_RECORDS_PER_SECOND } : {};
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: ways.map(({ name, speeds }) =>
        figureOf({ name, unit: 'records/s', better: 'higher', ...target }, speeds),
      ),
      processes: cluster.useBetween(before!, await cluster.look()),
      notes: [
        cold > 0
          ? 'Every read begins with nothing of the files in memory.'
          : 'The files were just written: the operating system has them in memory.',
      ],
    };
  },
});

async function readRecords(client: Client): Promise<number> {
  let next = 0;
  for await (const record of client.topic(TOPIC).subscribe({ from: 'earliest', to: 'tail' })) {
    if (record.offset !== next) throw new Error(`offset ${record.offset} where ${next} was due`);
    next++;
  }
  return next;
}

async function readBatches(client: Client): Promise<number> {
  let next = 0;
  for await (const batch of client.topic(TOPIC).subscribe({ from: 'earliest', to: 'tail' }).batches()) {
    for (const record of batch.records) {
      if (record.offset !== next) throw new Error(`offset ${record.offset} where ${next} was due`);
      next++;
    }
  }
  return next;
}
