/**
 * What a client feels when the leader dies: under a steady load the leader gets SIGKILL, and the longest time without
 * an acknowledgement is taken. Then the node comes back under the same load, which is timed as well, catches up, and
 * the next round begins. Nothing acknowledged may be missing at the end, and nothing may be there twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Producer } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo } from '../load.ts';
import { figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const TARGET_MS = 1_000;
const READY_TARGET_MS = 2_000;
const TOPIC = 'failover';
const SETTLE_MS = 500;
const NODES = 3;

export const failover: Scenario = defineScenario({
  name: 'failover',
  sentence: 'SIGKILL of the leader under load: time without an acknowledgement.',
  options: {
    size: { default: 100, least: 8, sentence: 'bytes of a record' },
    window: { default: 64, least: 1, sentence: 'records in flight' },
    seconds: { default: 3, least: 1, sentence: 'seconds watched after each kill' },
    kills: { default: 30, least: 1, sentence: 'leaders killed, one after the other' },
  },
  async run(context, { size, window, seconds, kills }) {
    const cluster = await BenchCluster.start(context, { nodes: NODES });
    const client = await connectTo(context, cluster);
    await cluster.createTopic(TOPIC);
    const load = new SteadyLoad(client.topic(TOPIC).producer(), size, window);
    load.start();
    const gaps: number[] = [];
    const starts: number[] = [];
    for (let kill = 1; kill <= kills; kill++) {
      await delay(SETTLE_MS);
      const leader = await cluster.leaderOf(TOPIC);
      const killedMs = performance.now();
      await leader.kill();
      await delay(seconds * 1_000);
      const gap = load.longestGapMs(killedMs);
      gaps.push(gap);
      const startedMs = performance.now();
      leader.start();
      await leader.ready();
      const start = performance.now() - startedMs;
      starts.push(start);
      const times = `${gap.toFixed(0)} ms without an acknowledgement, ${start.toFixed(0)} ms until it was ready again`;
      context.say(`kill ${kill} of ${kills}, ${leader.id}: ${times}`);
      await cluster.caughtUp(leader, TOPIC, load.acked);
    }
    await load.stop();
    await cluster.checkTail(TOPIC, load.acked);
    return {
      durability: durabilityOf(NODES, context.machine.fileSystem),
      figures: [
        figureOf({ name: 'longest time between two acks', unit: 'ms', better: 'lower', target: TARGET_MS }, gaps),
        figureOf({ name: 'process start to ready', unit: 'ms', better: 'lower', target: READY_TARGET_MS }, starts),
      ],
      distributions: [
        { name: 'longest time between two acks', unit: 'ms', ...distributionOf(gaps) },
        { name: 'process start to ready', unit: 'ms', ...distributionOf(starts) },
      ],
      notes: [
        `${load.acked} records were acknowledged, and the topic holds exactly as many.`,
        'Times are those of the application: detection, election, and the reconnection of the SDK with its backoff.',
      ],
    };
  },
});

/** Keeps some records in flight until it is stopped. */
class SteadyLoad {
  readonly #producer: Producer<Uint8Array, Uint8Array>;
  readonly #size: number;
  readonly #window: number;
  /** performance.now() of each acknowledgement, ascending. */
  readonly #ackTimesMs: number[] = [];
  #lanes: readonly Promise<void>[] = [];
  #isStopping = false;

  constructor(producer: Producer<Uint8Array, Uint8Array>, size: number, window: number) {
    this.#producer = producer;
    this.#size = size;
    this.#window = window;
  }

  get acked(): number {
    return this.#ackTimesMs.length;
  }

  start(): void {
    this.#lanes = Array.from({ length: this.#window }, () => this.#lane());
    // A lane that fails is told of by stop(); until then its rejection must not end the process.
    for (const lane of this.#lanes) lane.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#lanes);
    await this.#producer.close();
  }

  /** From `sinceMs` on; a silence that still lasts counts until now. */
  longestGapMs(sinceMs: number): number {
    let previousMs = sinceMs;
    let longest = 0;
    for (const timeMs of [...this.#ackTimesMs.filter((each) => each >= sinceMs), performance.now()]) {
      longest = Math.max(longest, timeMs - previousMs);
      previousMs = timeMs;
    }
    return longest;
  }

  async #lane(): Promise<void> {
    const value = new Uint8Array(this.#size).fill(0x6c);
    while (!this.#isStopping) {
      await this.#producer.send({ value });
      this.#ackTimesMs.push(performance.now());
    }
  }
}
