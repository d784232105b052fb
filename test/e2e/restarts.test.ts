/**
 * A producer and a consumer of the SDK on a cluster whose nodes go away and come back, one after the other and all at
 * once: every record that was acknowledged is there, once, at the offset that was told, in the order it was sent.
 */
import { afterEach, expect, test } from 'vitest';
import { type Client, connect, LogError, type Topic, utf8 } from '../../src/client/index.ts';
import { type Counts, describeAnomalies, judge, Recorder } from '../sim/oracle/index.ts';
import { eventually } from '../support/eventually.ts';
import { LiveCluster } from './support/live-cluster.ts';

const PARTITION = 't/0';

interface ReadRecord {
  readonly offset: number;
  readonly value: string;
}

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
}, 30_000);

async function started(): Promise<{ cluster: LiveCluster; client: Client }> {
  const cluster = await LiveCluster.start({ nodes: ['n1', 'n2', 'n3'], storage: 'disk' });
  closers.push(() => cluster.stop());
  const client = await connect(cluster.urls, { reconnect: { minDelayMs: 20, maxDelayMs: 500 } });
  closers.push(() => client.close());
  return { cluster, client };
}

/** Sends w:0, w:1, ... with `inFlightMax` unanswered, until it is told to stop, and notes the fate of each. */
class Writer {
  readonly history: Recorder;
  readonly #name: string;
  readonly #topic: Topic<string, string>;
  #sent = 0;
  #isStopping = false;
  readonly #done: Promise<void>;
  acked = 0;
  readonly failures: LogError[] = [];

  constructor(name: string, topic: Topic<string, string>, history: Recorder, inFlightMax: number) {
    this.#name = name;
    this.#topic = topic;
    this.history = history;
    this.#done = this.#run(inFlightMax);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#done;
  }

  async #run(inFlightMax: number): Promise<void> {
    const producer = this.#topic.producer();
    const next = async (): Promise<void> => {
      while (!this.#isStopping) {
        const order = this.#sent++;
        const value = `${this.#name}:${order}`;
        const call = { kind: 'append', client: this.#name, partition: PARTITION, values: [value], order } as const;
        const op = this.history.begin(call);
        try {
          const { offset } = await producer.send({ value });
          this.history.end(op, { kind: 'acked', offset: offset ?? null });
          this.acked++;
        } catch (error) {
          if (!LogError.is(error)) throw error;
          this.history.end(op, { kind: 'failed', outcome: error.outcome, code: error.code });
          this.failures.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: inFlightMax }, next));
    await producer.close();
  }
}

/** Reads for as long as the client lives. */
function tailing(topic: Topic<string, string>, history: Recorder): { records: ReadRecord[]; failure: () => unknown } {
  const records: ReadRecord[] = [];
  let failure: unknown;
  const read = async (): Promise<void> => {
    const call = { kind: 'read', client: 'tail', partition: PARTITION, from: 'next', level: 'any' } as const;
    for await (const { offset, value } of topic.subscribe()) {
      const record = { offset, value };
      records.push(record);
      history.end(history.begin(call), { kind: 'records', from: offset, next: offset + 1, records: [record] });
    }
  };
  read().catch((error: unknown) => {
    failure = error;
  });
  return { records, failure: () => failure };
}

/** The whole log as somebody read it at the end joins the history, and the judge has nothing to say. */
function expectKept(history: Recorder, node: string, records: readonly ReadRecord[]): Counts {
  history.note({ kind: 'replica', partition: PARTITION, node, earliest: 0, tail: records.length, records });
  const { anomalies, counts } = judge(history.events);
  expect(describeAnomalies(anomalies)).toBe('');
  return counts;
}

async function moreAcks(writers: readonly Writer[], count: number, when: string): Promise<void> {
  const goals = writers.map((writer) => writer.acked + count);
  await eventually(() => writers.every(({ acked }, at) => acked >= goals[at]!), {
    what: `${count} more acks ${when}`,
    timeoutMs: 20_000,
  });
}

async function leaderOf(client: Client, topic: string): Promise<string | undefined> {
  return (await client.admin.describeTopic(topic)).partitions[0]?.leader;
}

test('while each node in turn is stopped and started, appends go on and nothing is lost, doubled or moved', async () => {
  const { cluster, client } = await started();
  await client.admin.createTopic({ name: 't' });
  const topic = client.topic('t', utf8);
  const history = new Recorder();
  const tail = tailing(topic, history);
  // One alone waits for each ack, one keeps the pipeline full: they fail in different ways.
  const writers = [new Writer('a', topic, history, 1), new Writer('b', topic, history, 32)];
  const leaders = new Set<string | undefined>();
  for (const id of cluster.ids) {
    await moreAcks(writers, 20, 'while all nodes are up');
    leaders.add(await leaderOf(client, 't'));
    await cluster.stopNode(id);
    await moreAcks(writers, 20, `while ${id} is stopped`);
    await cluster.startNode(id);
    await cluster.ready();
  }
  await moreAcks(writers, 20, 'at the end');
  await Promise.all(writers.map((writer) => writer.stop()));
  // Every node was stopped, so the leader was, at least once.
  expect(leaders.has(undefined)).toBe(false);
  expect(writers.map(({ failures }) => failures)).toEqual([[], []]);
  const { offset: count } = await topic.tail();
  await eventually(() => tail.records.length >= count || tail.failure() !== undefined, { what: 'the consumer' });
  expect(tail.failure()).toBeUndefined();
  expect(expectKept(history, 'tail', tail.records).acked).toBe(count);
  // Each replica by itself tells the same story.
  for (const id of cluster.ids) {
    const alone = await connect(cluster.node(id).url!, { discover: false });
    closers.push(() => alone.close());
    const records: ReadRecord[] = [];
    const subscription = alone.topic('t', utf8).subscribe({ to: { offset: count } });
    for await (const { offset, value } of subscription) records.push({ offset, value });
    expectKept(history, id, records);
  }
}, 60_000);

test('after all nodes were stopped, what was acknowledged is there, and the same producer and consumer go on', async () => {
  const { cluster, client } = await started();
  await client.admin.createTopic({ name: 't' });
  const topic = client.topic('t', utf8);
  const tail = tailing(topic, new Recorder());
  const producer = topic.producer();
  for (let at = 0; at < 10; at++) expect((await producer.send({ value: `${at}` })).offset).toBe(at);
  for (const id of cluster.ids) await cluster.stopNode(id);
  // Nobody is there to take it; it waits for its time, and the cluster is back before that.
  const waiting = producer.send({ value: '10' });
  await Promise.all(cluster.ids.map((id) => cluster.startNode(id)));
  await cluster.ready();
  expect((await waiting).offset).toBe(10);
  expect((await producer.send({ value: '11' })).offset).toBe(11);
  await eventually(() => tail.records.length >= 12 || tail.failure() !== undefined, { what: 'the consumer' });
  expect(tail.failure()).toBeUndefined();
  expect(tail.records).toEqual(Array.from({ length: 12 }, (_, offset) => ({ offset, value: `${offset}` })));
}, 60_000);

test('while a node drains, producers and consumers move on and see nothing of it', async () => {
  const { cluster, client } = await started();
  await client.admin.createTopic({ name: 't' });
  const topic = client.topic('t', utf8);
  const history = new Recorder();
  const tail = tailing(topic, history);
  const writer = new Writer('w', topic, history, 8);
  await moreAcks([writer], 50, 'before the drain');
  const leader = await leaderOf(client, 't');
  await cluster.node(leader!).drain();
  await moreAcks([writer], 50, 'while the old leader drains');
  expect(await leaderOf(client, 't')).not.toBe(leader);
  await cluster.stopNode(leader!);
  await moreAcks([writer], 50, 'after it stopped');
  await writer.stop();
  expect(writer.failures).toEqual([]);
  const { offset: count } = await topic.tail();
  await eventually(() => tail.records.length >= count || tail.failure() !== undefined, { what: 'the consumer' });
  expectKept(history, 'tail', tail.records);
}, 60_000);
