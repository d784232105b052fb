/** What partitions cost that nobody uses: how long they take to create, and the processor time of nodes that rest. */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { figureOf } from '../result.ts';
import { type BenchContext, defineScenario, type Scenario } from '../scenario.ts';

const TARGET_PERCENT = 10;
const PARTITIONS_A_TOPIC = 250;
/** Time for what creating set in motion to come to an end: first flushes proven, leaders balanced, groups at rest. */
const SETTLE_MS_MAX = 60_000;

export const idle: Scenario = defineScenario({
  name: 'idle',
  sentence: 'Creating many partitions, and what they cost while nobody uses them.',
  options: {
    partitions: { default: 1_000, least: 1, sentence: 'partitions' },
    seconds: { default: 30, least: 1, sentence: 'seconds of rest that are measured' },
    nodes: { default: 3, least: 1, sentence: 'nodes, each with a replica of every partition' },
  },
  async run(context, { partitions, seconds, nodes }) {
    const cluster = await BenchCluster.start(context, { nodes });
    const created: number[] = [];
    for (let left = partitions; left > 0; left -= PARTITIONS_A_TOPIC) {
      const count = Math.min(left, PARTITIONS_A_TOPIC);
      const beganMs = performance.now();
      await cluster.createTopic(`idle-${left}`, count);
      created.push(performance.now() - beganMs);
      context.say(`${count} partitions created in ${created.at(-1)!.toFixed(0)} ms`);
    }
    const settledMs = await settle(context, cluster, partitions + 1);
    const before = await cluster.look();
    await delay(seconds * 1_000);
    const after = await cluster.look();
    const processes = cluster.useBetween(before, after);
    const use = processes
      .filter(({ name }) => name !== 'client')
      .map(({ cpuSeconds, elapsedSeconds }) => (100 * cpuSeconds) / elapsedSeconds);
    const isTarget = partitions >= 1_000 && nodes === 3;
    const grown = (metric: string): number => total(after, metric) - total(before, metric);
    const bytes = grown('logdrive_peer_bytes_sent_total{lane="control"}') / seconds / nodes;
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf({ name: `creating ${PARTITIONS_A_TOPIC} partitions`, unit: 'ms', better: 'lower' }, created),
        figureOf({ name: 'until all rest', unit: 'ms', better: 'lower' }, [settledMs]),
        figureOf(
          { name: 'of one core, a node', unit: '%', better: 'lower', ...(isTarget && { target: TARGET_PERCENT }) },
          use,
        ),
        figureOf({ name: 'sent to peers, a node', unit: 'B/s', better: 'lower' }, [bytes]),
        figureOf({ name: 'elections', unit: 'elections', better: 'lower', target: 0 }, [
          grown('logdrive_raft_elections_total'),
        ]),
      ],
      processes,
      notes: ['Samples of "a node" are one a node, not one a repeat.'],
    };
  },
});

/** Resolves, with how long it took, when every partition rests on every node. */
async function settle(context: BenchContext, cluster: BenchCluster, expected: number): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    const resting = await Promise.all(
      cluster.nodes.map(async (node) => (await node.scrape()).get('logdrive_partitions_resting') ?? 0),
    );
    const elapsedMs = performance.now() - beganMs;
    if (resting.every((count) => count >= expected)) return elapsedMs;
    if (elapsedMs > SETTLE_MS_MAX) {
      context.say(`not all partitions rest: ${resting.join(', ')} of ${expected}`);
      return elapsedMs;
    }
    await delay(100);
  }
}

function total({ nodes }: Look, metric: string): number {
  return nodes.reduce((sum, { scrape }) => sum + (scrape.get(metric) ?? 0), 0);
}
