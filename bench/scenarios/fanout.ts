/**
 * One topic, many subscribers that are all at its tail: how many deliveries a second the nodes manage, and what the
 * subscribers cost in memory. Each subscriber is a connection of its own and checks every offset.
 */
import type { Client } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { connectTo, openProducer, produceAll, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';

const MB = 1e6;
const TARGET_DELIVERIES_PER_SECOND = 1_500_000;
const TOPIC = 'fanout';

export const fanout: Scenario = defineScenario({
  name: 'fanout',
  sentence: 'Subscribers at the tail of one topic: deliveries a second.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    subscribers: { default: 1_000, least: 1, sentence: 'subscribers, a connection each' },
    over: { default: 1, least: 1, sentence: 'nodes the subscribers are spread over' },
    records: { default: 10_000, least: 1, sentence: 'records a repeat' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { size, subscribers, over, records, nodes, repeats }) {
    const values = makeValues(VALUES, size);
    const cluster = await BenchCluster.start(context, { nodes });
    await cluster.createTopic(TOPIC);
    const producing = await connectTo(context, cluster);
    const producer = await openProducer(producing, { topic: TOPIC, values });
    const tails: Tail[] = [];
    for (let n = 0; n < subscribers; n++) {
      const server = cluster.servers[n % Math.min(over, nodes)]!;
      tails.push(new Tail(await connectTo(context, { servers: [server] }, { discover: false })));
    }
    await Promise.all(tails.map((tail) => tail.reached(1)));
    const residentMB = async (): Promise<number> =>
      Math.max(...(await Promise.all(cluster.nodes.map(async (node) => (await node.sample()).rssBytes)))) / MB;
    const idle = await residentMB();
    context.say(`${subscribers} subscribers are at the tail; largest node ${idle.toFixed(0)} MB`);
    const speeds: number[] = [];
    const memory: number[] = [];
    let before: Look | undefined;
    for (let repeat = 0; repeat <= repeats; repeat++) {
      if (repeat === 1) before = await cluster.look();
      const end = 1 + records * (repeat + 1);
      const begunMs = performance.now();
      await Promise.all([produceAll(producer, values, records), ...tails.map((tail) => tail.reached(end))]);
      const perSecond = (records * subscribers * 1_000) / (performance.now() - begunMs);
      const resident = await residentMB();
      context.say(`${nameOfRepeat(repeat)}: ${Math.round(perSecond)} deliveries/s, ${resident.toFixed(0)} MB`);
      if (repeat === 0) continue;
      speeds.push(perSecond);
      memory.push(resident);
    }
    const isTarget = subscribers === 1_000;
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf(
          {
            name: `delivered to ${subscribers} subscribers of ${Math.min(over, nodes)} nodes`,
            unit: 'records/s',
            better: 'higher',
            ...(isTarget && { target: TARGET_DELIVERIES_PER_SECOND }),
          },
          speeds,
        ),
        figureOf({ name: 'largest node, before', unit: 'MB', better: 'lower' }, [idle]),
        figureOf({ name: 'largest node, after a repeat', unit: 'MB', better: 'lower' }, memory),
      ],
      processes: cluster.useBetween(before!, await cluster.look()),
      notes: ['The subscribers share one client process, which checks and counts every record of every one of them.'],
    };
  },
});

/** One subscriber; counts what it was handed, in order and without a hole. */
class Tail {
  #next = 0;
  #waiting: { readonly end: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #failure: unknown;

  constructor(client: Client) {
    this.#run(client).catch((error: unknown) => {
      this.#failure = error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
  }

  /** Resolves when every record below `end` was handed over. */
  reached(end: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#next >= end) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ end, resolve, reject }));
  }

  async #run(client: Client): Promise<void> {
    for await (const { records } of client.topic(TOPIC).subscribe({ from: 'earliest' }).batches()) {
      for (const { offset } of records) {
        if (offset !== this.#next) throw new Error(`offset ${offset} where ${this.#next} was due`);
        this.#next++;
      }
      for (const waiter of this.#waiting) if (this.#next >= waiter.end) waiter.resolve();
      this.#waiting = this.#waiting.filter(({ end }) => this.#next < end);
    }
  }
}
