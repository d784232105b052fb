/** Subscriptions of the SDK on a real cluster: where they are, how far behind, and how an application steers them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, connect, type LogRecord, type Subscription, type Topic, utf8 } from '../../src/client/index.ts';
import { eventually, within } from '../support/eventually.ts';
import { LiveCluster } from './support/live-cluster.ts';

type Records = AsyncIterator<LogRecord<string, string>>;

let cluster: LiveCluster;
let client: Client;
let topics = 0;

beforeAll(async () => {
  cluster = await LiveCluster.start({ nodes: ['n1', 'n2', 'n3'], storage: 'memory' });
  client = await connect(cluster.urls);
}, 30_000);

afterAll(async () => {
  await client.close();
  await cluster.stop();
});

async function newTopic(partitions = 1): Promise<Topic<string, string>> {
  const name = `topic-${topics++}`;
  await client.admin.createTopic({ name, partitions });
  return client.topic(name, utf8);
}

async function fill(topic: Topic<string, string>, count: number, from = 0, partition = 0): Promise<void> {
  const values = Array.from({ length: count }, (_, at) => ({ value: `v${from + at}`, partition }));
  await topic.appendBatch(values);
}

async function take(records: Records, count: number): Promise<string[]> {
  const values: string[] = [];
  while (values.length < count) {
    const { value, done } = await within(records.next(), { what: `record ${values.length}`, timeoutMs: 10_000 });
    if (done === true) throw new Error(`it ended after ${values.length} records`);
    values.push(value.value);
  }
  return values;
}

function caughtUp(subscription: Subscription<string, string>): Promise<ReadonlyMap<number, number>> {
  return within(subscription.caughtUp(), { what: 'the subscription to catch up', timeoutMs: 10_000 });
}

describe('a subscription', () => {
  test('knows where it is, how far behind, and when it has seen all', async () => {
    const topic = await newTopic();
    await fill(topic, 10);
    await using subscription = topic.subscribe();
    const records = subscription[Symbol.asyncIterator]();
    expect(await take(records, 4)).toEqual(['v0', 'v1', 'v2', 'v3']);
    await eventually(() => subscription.tail.get(0) === 10, { what: 'the tail to be known' });
    expect([subscription.position.get(0), subscription.lag]).toEqual([4, 6]);
    let isCaughtUp = false;
    const all = caughtUp(subscription).then((position) => {
      isCaughtUp = true;
      return position;
    });
    await take(records, 5);
    expect(isCaughtUp).toBe(false);
    await take(records, 1);
    expect([...(await all)]).toEqual([[0, 10]]);
    expect(subscription.lag).toBe(0);
    // Behind again as soon as there is more.
    await fill(topic, 3, 10);
    await eventually(() => subscription.lag === 3, { what: 'the lag to show' });
    expect(await take(records, 3)).toEqual(['v10', 'v11', 'v12']);
  });

  test('goes back and forth where it is told, over records on disk and records to come', async () => {
    const topic = await newTopic();
    await fill(topic, 20);
    await using subscription = topic.subscribe({ from: 'latest' });
    const records = subscription[Symbol.asyncIterator]();
    await caughtUp(subscription);
    subscription.seek({ offset: 5 });
    expect(await take(records, 2)).toEqual(['v5', 'v6']);
    subscription.seek('earliest');
    expect(await take(records, 1)).toEqual(['v0']);
    subscription.seek({ last: 3 });
    expect(await take(records, 3)).toEqual(['v17', 'v18', 'v19']);
    subscription.seek('latest');
    await caughtUp(subscription);
    await fill(topic, 1, 20);
    expect(await take(records, 1)).toEqual(['v20']);
    expect(subscription.position.get(0)).toBe(21);
  });

  test('hands out nothing while it is paused, and then everything', async () => {
    const topic = await newTopic();
    await fill(topic, 2);
    await using subscription = topic.subscribe();
    const records = subscription[Symbol.asyncIterator]();
    await take(records, 2);
    subscription.pause();
    const seen: string[] = [];
    const next = take(records, 3).then((values) => seen.push(...values));
    await fill(topic, 3, 2);
    // They have arrived, and still nobody is given them.
    await eventually(() => subscription.tail.get(0) === 5, { what: 'what came meanwhile to be known' });
    expect([seen, subscription.position.get(0), subscription.lag]).toEqual([[], 2, 3]);
    subscription.resume();
    await next;
    expect(seen).toEqual(['v2', 'v3', 'v4']);
  });

  test('past the tail is OUT_OF_RANGE, and after a trim TRIMMED, or on at the earliest; seek mends it', async () => {
    const topic = await newTopic();
    await fill(topic, 3);
    await fill(topic, 3, 3);
    await client.admin.trim(topic.name, 4);
    await using beyond = topic.subscribe({ from: { offset: 7 } });
    const past = beyond[Symbol.asyncIterator]();
    await expect(past.next()).rejects.toMatchObject({ code: 'OUT_OF_RANGE', details: { earliest: 4, tail: 6 } });
    beyond.seek({ offset: 6 });
    await caughtUp(beyond);
    await using below = topic.subscribe({ from: { offset: 1 } });
    const records = below[Symbol.asyncIterator]();
    await expect(records.next()).rejects.toMatchObject({ code: 'TRIMMED', details: { earliest: 4, tail: 6 } });
    below.seek('earliest');
    expect(await take(below[Symbol.asyncIterator](), 2)).toEqual(['v4', 'v5']);
    await using forgiving = topic.subscribe({ from: { offset: 1 }, onTrimmed: 'earliest' });
    expect(await take(forgiving[Symbol.asyncIterator](), 2)).toEqual(['v4', 'v5']);
  });

  test('merges partitions, each in its order, whichever nodes lead them', async () => {
    const topic = await newTopic(6);
    for (let partition = 0; partition < 6; partition++) await fill(topic, 50, 1_000 * partition, partition);
    const byPartition = new Map<number, string[]>();
    for await (const { partition, value, offset } of topic.subscribe({ to: 'tail' })) {
      const values = byPartition.get(partition) ?? [];
      expect(offset).toBe(values.length);
      values.push(value);
      byPartition.set(partition, values);
    }
    for (let partition = 0; partition < 6; partition++) {
      const expected = Array.from({ length: 50 }, (_, at) => `v${1_000 * partition + at}`);
      expect(byPartition.get(partition)).toEqual(expected);
    }
  });

  test('is live on every node, also where the partition is only followed', async () => {
    const topic = await newTopic();
    await Promise.all(
      cluster.ids
        .map(async (id) => {
          const alone = await connect(cluster.node(id).url!, { discover: false });
          const name = topic.name;
          await eventually(() => alone.admin.describeTopic(name), { what: `${id} to know ${name}` });
          const records = alone.topic(name, utf8).subscribe()[Symbol.asyncIterator]();
          const taken: string[] = [];
          while (taken.length < 30) {
            taken.push(...(await take(records, 1)));
            // Each reader is also a writer: a record that was taken is what makes the next one.
            if (taken.length < 30) await alone.topic(name, utf8).append({ value: `${id}:${taken.length}` });
          }
          expect(new Set(taken).size).toBe(30);
          await alone.close();
        })
        .concat(fill(topic, 1)),
    );
  });
});
