/**
 * One table of cases, every face, on a broker alone and on each node of a cluster of three: whichever door a client
 * uses, and whether the node behind it leads the partition or follows, the same call has the same effect.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, utf8 } from '../../src/client/index.ts';
import { LiveCluster } from '../e2e/support/live-cluster.ts';
import { eventually, within } from '../support/eventually.ts';
import type { Face, Verbs } from './verbs.ts';
import { APPEND_CASES } from './verbs-appends.ts';
import { bytes, fate, offsets, readUntil, type VerbCase, values } from './verbs-case.ts';
import { httpVerbs } from './verbs-http.ts';
import { READ_CASES } from './verbs-reads.ts';
import { sdkVerbs } from './verbs-sdk.ts';
import { TOPIC_CASES } from './verbs-topics.ts';

const GROUPS: readonly (readonly [string, readonly VerbCase[]])[] = [
  ['topics', TOPIC_CASES],
  ['appends', APPEND_CASES],
  ['reads', READ_CASES],
];

let topics = 0;
const newTopic = (): string => `case-${topics++}`;

async function open(cluster: LiveCluster, face: Face, node: string): Promise<Verbs> {
  const broker = cluster.node(node);
  if (face === 'HTTP') return httpVerbs(node, cluster.httpUrl(node));
  const alone = { discover: false };
  const client = face === 'embedded' ? broker.client(alone) : await connect(broker.url!, alone);
  return sdkVerbs(face, node, client);
}

interface Place {
  readonly where: string;
  readonly nodes: readonly string[];
  readonly doors: readonly (readonly [Face, string])[];
}

const PLACES: readonly Place[] = [
  {
    where: 'a broker alone',
    nodes: ['n1'],
    doors: [
      ['WebSocket', 'n1'],
      ['embedded', 'n1'],
      ['HTTP', 'n1'],
    ],
  },
  {
    where: 'three nodes',
    nodes: ['n1', 'n2', 'n3'],
    doors: [
      ['WebSocket', 'n1'],
      ['WebSocket', 'n2'],
      ['WebSocket', 'n3'],
      ['embedded', 'n2'],
      ['HTTP', 'n3'],
    ],
  },
];

for (const { where, nodes, doors } of PLACES) {
  describe(where, () => contract(nodes, doors));
}

function contract(nodes: Place['nodes'], doors: Place['doors']): void {
  let cluster!: LiveCluster;
  const verbs = new Map<string, Verbs>();
  const door = (face: Face, node: string): Verbs => verbs.get(`${face} ${node}`)!;
  const all = (): Verbs[] => [...verbs.values()];

  beforeAll(async () => {
    cluster = await LiveCluster.start({ nodes, storage: 'memory' });
    for (const [face, node] of doors) verbs.set(`${face} ${node}`, await open(cluster, face, node));
  }, 30_000);

  afterAll(async () => {
    await Promise.all(all().map((one) => one.close()));
    // Undefined when it did not start, which is told elsewhere.
    await (cluster as LiveCluster | undefined)?.stop();
  });

  const check = (face: Face, node: string, { title, skip, run }: VerbCase): void => {
    const reason = skip?.[face];
    if (reason === undefined) test(title, () => run(door(face, node), newTopic()));
    else test.skip(`${title} (${reason})`, () => undefined);
  };
  for (const [face, node] of doors) {
    describe(`${face} to ${node}`, () => {
      for (const [group, cases] of GROUPS) {
        describe(group, () => {
          for (const one of cases) check(face, node, one);
        });
      }
    });
  }

  test('all doors are the same topic: what one appends, each reads, at the same offsets', async () => {
    const topic = newTopic();
    await all()[0]!.create({ name: topic });
    for (const one of all()) await eventually(() => one.describe(topic), { what: `${one.node} to know ${topic}` });
    const each = 25;
    await Promise.all(
      all().map(async (one, writer) => {
        for (let at = 0; at < each; at++) await one.append(topic, { value: bytes(`${writer}:${at}`) });
      }),
    );
    const count = each * all().length;
    const orders = await Promise.all(all().map((one) => readUntil(one, topic, count)));
    const [order] = orders.map(values);
    expect(offsets(orders[0]!)).toEqual(Array.from({ length: count }, (_, offset) => offset));
    for (const other of orders) expect(values(other)).toEqual(order);
    // Each writer waited for its acks, so its records are in its order.
    for (const writer of all().keys()) {
      const own = order!.filter((value) => value.startsWith(`${writer}:`));
      expect(own).toEqual(Array.from({ length: each }, (_, at) => `${writer}:${at}`));
    }
  });

  test('a producer is the same one through every door', async () => {
    const topic = newTopic();
    await all()[0]!.create({ name: topic });
    const identity = { id: `${topic}-producer`, epoch: 1 };
    for (const one of all()) {
      await eventually(() => one.describe(topic), { what: `${one.node} to know ${topic}` });
      const producer = one.producer(topic, identity);
      const isFirst = one === all()[0];
      expect(await producer.send(bytes('once'))).toMatchObject({ offset: 0, duplicate: !isFirst });
      await producer.close();
    }
    const last = all().at(-1)!;
    await last.producer(topic, { ...identity, epoch: 2 }).send(bytes('fence'));
    for (const one of all()) {
      const producer = one.producer(topic, identity);
      expect(await fate(producer.send(bytes('once')))).toBe('PRODUCER_FENCED unknown');
    }
    expect(await last.tail(topic)).toBe(2);
  });

  test('a subscription through a node that holds no replica is live, and ends with its topic', async () => {
    const client = await connect(cluster.node(nodes[0]!).url!, { discover: false });
    for (let at = 0; at < nodes.length; at++) {
      const name = newTopic();
      await client.admin.createTopic({ name, replicas: 1 });
      const topic = client.topic(name, utf8);
      const seen: string[] = [];
      const reading = async (): Promise<void> => {
        for await (const record of topic.subscribe()) seen.push(record.value);
      };
      const ended = fate(reading());
      for (const value of ['a', 'b', 'c']) await topic.append({ value });
      await eventually(() => seen.length === 3, { what: 'three live records' });
      await client.admin.deleteTopic(name);
      expect(await within(ended, { what: 'the subscription to end', timeoutMs: 12_000 })).toBe('TOPIC_NOT_FOUND none');
      expect(seen).toEqual(['a', 'b', 'c']);
    }
    await client.close();
  });

  test('a subscription never takes a topic for the one of that name before it', async () => {
    for (const [face, node] of doors) {
      // HTTP has no subscriptions; what it says of a topic that came back is among the cases.
      if (face === 'HTTP') continue;
      const topic = newTopic();
      const one = door(face, node);
      await one.create({ name: topic });
      await one.append(topic, { value: bytes('old') });
      const broker = cluster.node(node);
      const client = face === 'embedded' ? broker.client({ discover: false }) : await connect(broker.url!);
      const seen: string[] = [];
      const reading = async (): Promise<void> => {
        for await (const record of client.topic(topic, utf8).subscribe()) seen.push(record.value);
      };
      const ended = fate(reading());
      await eventually(() => seen.length === 1, { what: 'the record of the old topic' });
      await one.remove(topic);
      await one.create({ name: topic });
      await one.append(topic, { value: bytes('new') });
      const end = await within(ended, { what: 'the subscription to end', timeoutMs: 10_000 });
      expect([end, seen]).toEqual(['TOPIC_NOT_FOUND none', ['old']]);
      await client.close();
    }
  });
}
