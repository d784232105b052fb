/**
 * Subscriptions in trouble: what is survived, every offset once and in order, and what ends them (P4, P5, F74, F75).
 */
import { describe, expect, test } from 'vitest';
import { type Codec, utf8 } from '../../src/client/codec.ts';
import { batches, cut, flipped, onData, subscribe, take, values } from './support/reading.ts';
import { fill, outcomeOf, type Scene, scene } from './support/setup.ts';

interface Trouble {
  readonly name: string;
  readonly cause: (it: Scene) => void;
}

const SURVIVED: readonly Trouble[] = [
  {
    name: 'the connection breaks in the middle',
    cause: (it) =>
      onData(it.cluster, 2, () => {
        it.world.soon(() => cut(it));
        return 'drop';
      }),
  },
  {
    name: 'the node is killed and stays away',
    cause: ({ cluster }) =>
      onData(cluster, 2, () => {
        cluster.node('n1').kill();
        return 'drop';
      }),
  },
  {
    name: 'the node falls silent',
    cause: ({ cluster }) =>
      onData(cluster, 2, () => {
        cluster.node('n1').hang();
        return 'drop';
      }),
  },
  {
    name: 'the node says GOAWAY',
    cause: ({ cluster }) =>
      onData(cluster, 2, (message, payload) => {
        cluster.node('n1').goAway();
        return { message, payload };
      }),
  },
  {
    name: 'a batch was damaged on the way',
    cause: ({ cluster }) => onData(cluster, 3, (message, payload) => ({ message, payload: flipped(payload) })),
  },
  {
    name: 'a DATA is lost, so that the next one begins past the position',
    cause: ({ cluster }) => onData(cluster, 3, () => 'drop'),
  },
  {
    name: 'a DATA comes twice',
    cause: ({ cluster }) => {
      let isDoubled = false;
      cluster.outgoing = (session, channel, message, payload) => {
        if (message.kind === 'data' && !isDoubled) {
          isDoubled = true;
          session.send(channel, message, payload);
        }
        return undefined;
      };
    },
  },
  {
    name: 'a DATA claims another offset than its batch has',
    cause: ({ cluster }) =>
      onData(cluster, 2, (message, payload) => ({
        message: { ...message, nextOffset: message.nextOffset + 1 },
        payload,
      })),
  },
  {
    name: 'a node begins at another offset than it was asked for',
    cause: ({ cluster }) => {
      let isFirst = true;
      cluster.outgoing = (_, __, message, payload) => {
        if (message.kind !== 'position' || !isFirst) return undefined;
        isFirst = false;
        return { message: { ...message, offset: message.offset + 1 }, payload };
      };
    },
  },
  {
    name: 'the node ends the subscription because it drains',
    cause: ({ cluster }) =>
      onData(cluster, 2, (message, payload) => ({
        message: {
          kind: 'end',
          nextOffset: message.fromOffset,
          failure: { code: 'DRAINING', message: '', outcome: 'none', details: {} },
        },
        payload: payload.slice(1),
      })),
  },
];

describe('trouble that is survived: every offset once, in order', () => {
  test.each(SURVIVED)('$name', async ({ cause }) => {
    const it = await scene();
    fill(it.partition, batches(10));
    cause(it);
    expect(await it.world.run(take(subscribe(it, { from: { offset: 0 } }), 30))).toEqual(values(10));
  });

  test.each([1, 2, 3, 4, 5])('connections that break, lose and damage at random, seed %i', async (seed) => {
    const it = await scene({ seed });
    fill(it.partition, batches(40));
    let budget = 15;
    it.cluster.outgoing = (_, __, message, payload) => {
      if (message.kind !== 'data' || budget === 0 || it.world.next() > 0.1) return undefined;
      budget--;
      const choice = it.world.next();
      if (choice < 0.4) return 'drop';
      if (choice < 0.7) return { message, payload: flipped(payload) };
      it.world.soon(() => cut(it));
      return undefined;
    };
    expect(await it.world.run(take(subscribe(it, { maxBufferedBytes: 64 * 1024 }), 120))).toEqual(values(40));
  });

  test('replicas that lag behind the position are asked again until one has it; nothing is handed out twice', async () => {
    const it = await scene();
    fill(it.partition, batches(4));
    const records = subscribe(it)[Symbol.asyncIterator]();
    for (let i = 0; i < 12; i++) await it.world.run(records.next());
    fill(it.partition, batches(1, 4));
    for (const id of ['n2', 'n3']) it.cluster.node(id).visibleTo = 3;
    it.cluster.node('n1').kill();
    const next = records.next();
    await it.world.advance(3_000);
    it.cluster.node('n3').visibleTo = Number.MAX_SAFE_INTEGER;
    expect((await it.world.run(next)).value?.offset).toBe(12);
    const asked = it.cluster.received.filter(({ frame }) => frame.message.kind === 'subscribe').map(({ node }) => node);
    expect(new Set(asked)).toEqual(new Set(['n1', 'n2', 'n3']));
  });

  test('a subscription waits for as long as it takes until a node comes back', async () => {
    const it = await scene({ nodes: ['n1'] });
    fill(it.partition, batches(2));
    const records = subscribe(it)[Symbol.asyncIterator]();
    for (let i = 0; i < 6; i++) await it.world.run(records.next());
    it.cluster.node('n1').kill();
    const next = records.next();
    await it.world.advance(600_000);
    it.cluster.node('n1').state = 'up';
    fill(it.partition, batches(1, 2));
    expect((await it.world.run(next)).value?.offset).toBe(6);
  });
});

describe('what ends an iteration', () => {
  test('damage that every node repeats at one offset is CRC, naming the place', async () => {
    const it = await scene();
    fill(it.partition, batches(3));
    onData(
      it.cluster,
      1,
      (message, payload) => (message.fromOffset === 3 ? { message, payload: flipped(payload) } : { message, payload }),
      100,
    );
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { offset } of subscribe(it)) seen.push(offset);
    })();
    const error = await it.world.run(
      reading.then(
        () => undefined,
        (caught: unknown) => caught,
      ),
    );
    expect(error).toMatchObject({
      code: 'CRC',
      outcome: 'none',
      details: { topic: 'orders', partition: 0, offset: 3 },
    });
    expect(seen).toEqual([0, 1, 2]);
  });

  test('records that retention removed are TRIMMED with the first one left; seek goes on there', async () => {
    const it = await scene();
    fill(it.partition, batches(3));
    it.partition.earliest = 3;
    const subscription = subscribe(it, { from: { offset: 0 } });
    const records = subscription[Symbol.asyncIterator]();
    await expect(it.world.run(records.next())).rejects.toMatchObject({ code: 'TRIMMED', details: { earliest: 3 } });
    subscription.seek({ offset: 3 });
    expect((await it.world.run(records.next())).value?.offset).toBe(3);
  });

  test("onTrimmed 'earliest' goes on at the first record left and says what was skipped", async () => {
    const it = await scene();
    fill(it.partition, batches(4));
    const events = it.client.events()[Symbol.asyncIterator]();
    const records = subscribe(it, { onTrimmed: 'earliest', from: { offset: 1 } })[Symbol.asyncIterator]();
    it.partition.earliest = 6;
    expect((await it.world.run(records.next())).value?.offset).toBe(6);
    expect((await it.world.run(events.next())).value).toEqual({
      kind: 'trimmed',
      topic: 'orders',
      partition: 0,
      from: 1,
      to: 6,
    });
  });

  test.each([
    { name: 'the end of the iteration', to: { offset: 9 } },
    { name: 'everything that is committed', to: undefined },
  ])("onTrimmed 'earliest' passes a gap up to or past $name once what lies before it was seen", async ({ to }) => {
    const it = await scene();
    fill(it.partition, batches(2));
    it.cluster.node('n1').visibleTo = 6;
    const subscription = subscribe(it, { onTrimmed: 'earliest', ...(to && { to }) });
    const records = subscription[Symbol.asyncIterator]();
    // One record of a batch was handed out, and a batch waits, when retention overtakes.
    await it.world.run(records.next());
    await it.world.settle();
    fill(it.partition, batches(2, 2));
    it.partition.earliest = 12;
    it.cluster.node('n1').visibleTo = Number.MAX_SAFE_INTEGER;
    it.cluster.pumpAll();
    await it.world.settle();
    for (const offset of [1, 2, 3, 4, 5]) {
      expect(subscription.position.get(0)).toBe(offset);
      expect((await it.world.run(records.next())).value?.offset).toBe(offset);
    }
    expect(subscription.position.get(0)).toBe(12);
    expect(subscription.tokens.size).toBe(0);
    await it.world.run(subscription.caughtUp());
    if (to !== undefined) expect((await it.world.run(records.next())).done).toBe(true);
  });

  test.each([
    { name: 'past the tail', from: { offset: 100 }, code: 'OUT_OF_RANGE' },
    { name: 'a partition that is not there', partitions: [7], code: 'PARTITION_NOT_FOUND' },
  ] as const)('$name: $code', async ({ code, name: _name, ...options }) => {
    const it = await scene();
    await expect(it.world.run(take(subscribe(it, options), 1))).rejects.toMatchObject({ code });
  });

  test.each([-1, Number.NaN, 2 ** 53, 1.5])('offset %s is refused by the call itself', async (offset) => {
    const it = await scene();
    expect(() => subscribe(it, { from: { offset } })).toThrow(/integer from 0 to 2\^53 - 1/);
  });

  test('an unknown topic is TOPIC_NOT_FOUND; so is one deleted and created again, for the old subscription', async () => {
    const it = await scene();
    fill(it.partition, batches(1));
    const nowhere = it.client.topic('nowhere', utf8).subscribe();
    await expect(it.world.run(take(nowhere, 1))).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    const records = subscribe(it)[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await it.world.run(records.next());
    it.cluster.topics.delete('orders');
    fill(it.cluster.createTopic('orders').partitions[0]!, batches(4));
    cut(it);
    const startMs = it.world.nowMs;
    await expect(it.world.run(records.next())).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    expect(it.world.nowMs - startMs).toBeLessThan(1_000);
  });

  test('a log that went back below what was seen is reported, not read again', async () => {
    const it = await scene({ requestTimeoutMs: 2_000 });
    fill(it.partition, batches(4));
    const records = subscribe(it)[Symbol.asyncIterator]();
    for (let i = 0; i < 12; i++) await it.world.run(records.next());
    it.partition.batches.splice(2);
    cut(it);
    await expect(it.world.run(records.next())).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
  });

  test('a record the codec cannot read is INVALID, with its place and the cause; seek steps over it', async () => {
    const it = await scene();
    fill(it.partition, [['good', 'bad', 'good']]);
    const picky: Codec<string, string> = {
      ...utf8,
      decodeValue(value, record) {
        const text = utf8.decodeValue(value, record);
        if (text === 'bad') throw new RangeError('not this one');
        return text;
      },
    };
    const subscription = it.client.topic('orders', picky).subscribe();
    const records = subscription[Symbol.asyncIterator]();
    await it.world.run(records.next());
    const error: unknown = await it.world.run(
      records.next().then(
        () => undefined,
        (caught: unknown) => caught,
      ),
    );
    expect(error).toMatchObject({ code: 'INVALID', details: { offset: 1 }, cause: new RangeError('not this one') });
    expect(subscription.position.get(0)).toBe(1);
    subscription.seek({ offset: 2 });
    expect((await it.world.run(records.next())).value?.offset).toBe(2);
  });

  test('leaving the loop closes the subscription at the node; aborting throws ABORTED; closing just ends it', async () => {
    const it = await scene();
    fill(it.partition, batches(1));
    await it.world.run(take(subscribe(it), 1));
    await it.world.settle();
    expect([...it.cluster.node('n1').sessions].flatMap(({ subscriptions }) => [...subscriptions])).toEqual([]);
    const controller = new AbortController();
    const aborted = outcomeOf(take(subscribe(it, { signal: controller.signal }), 100));
    await it.world.settle();
    controller.abort();
    expect(await it.world.run(aborted)).toBe('ABORTED none');
    const closed = subscribe(it);
    const reading = take(closed, 100);
    await it.world.settle();
    await closed.close();
    expect(await it.world.run(reading)).toEqual(values(1));
  });
});
