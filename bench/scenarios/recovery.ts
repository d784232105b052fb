/**
 * How long a node takes to come back to a large log after SIGKILL: from the start of the process until it says that it
 * is ready. A cluster of one, so that nothing else has to be waited for.
 */
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { type Figure, figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';

const GB = 1e9;
const SIZES_GB = [1, 10, 30];
const TARGET_GB = 10;
const TARGET_MS = 1_000;
const TOPIC = 'recovery';
const RECORD_BYTES = 1_000;

export const recovery: Scenario = defineScenario({
  name: 'recovery',
  sentence: 'SIGKILL of a node with a large log: time until it is ready again.',
  options: {
    gigabytes: { default: 10, least: 0.01, sentence: `largest log, in GB; the steps are ${SIZES_GB.join(', ')}` },
    repeats: { default: 5, least: 1, sentence: 'restarts at each size' },
  },
  async run(context, { gigabytes, repeats }) {
    const cluster = await BenchCluster.start(context, { nodes: 1 });
    const node = cluster.nodes[0]!;
    const values = makeValues(VALUES, RECORD_BYTES);
    await cluster.createTopic(TOPIC);
    const figures: Figure[] = [];
    let records = 0;
    for (const size of [...SIZES_GB.filter((each) => each < gigabytes), gigabytes]) {
      const count = Math.ceil((size * GB) / RECORD_BYTES) - records;
      const client = await connectTo(context, cluster);
      const producer = await openProducer(client, { topic: TOPIC, values });
      await produceAll(producer, values, count - 1);
      records += count;
      // Killed while it flushes: the end of the log is not a clean one.
      const load = produceAll(producer, values, count).catch(() => undefined);
      const samples: number[] = [];
      for (let repeat = 1; repeat <= repeats; repeat++) {
        await node.kill();
        const begunMs = performance.now();
        node.start();
        await node.ready();
        samples.push(performance.now() - begunMs);
        context.say(`${size} GB, restart ${repeat}: ${samples.at(-1)!.toFixed(0)} ms`);
      }
      await client.close();
      await load;
      records = await tailOf(cluster);
      const target = size === TARGET_GB ? { target: TARGET_MS } : {};
      figures.push(
        figureOf({ name: `${size} GB, process start to ready`, unit: 'ms', better: 'lower', ...target }, samples),
      );
    }
    return {
      durability: durabilityOf(1, context.machine.fileSystem),
      figures,
      notes: ['The start of the process is in it: about 0.3 s of loading code, whatever the log.'],
    };
  },
});

async function tailOf(cluster: BenchCluster): Promise<number> {
  const leader = await cluster.leaderOf(TOPIC);
  const { partitions } = (await leader.get(`/v1/topics/${TOPIC}`)) as { partitions: readonly { tail: number }[] };
  return partitions[0]!.tail;
}
