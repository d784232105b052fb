/**
 * What a consumer is handed: every offset once, in order, checked, within its memory (P4, P6, P10). What the nodes and
 * the network may do meanwhile: subscription-trouble.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import { batches, cut, subscribe, take, values } from './support/reading.ts';
import { fill, outcomeOf, type Scene, scene } from './support/setup.ts';

describe('reading', () => {
  test('from the start through live records, one after the other', async () => {
    const it = await scene();
    fill(it.partition, batches(2));
    const subscription = subscribe(it);
    const reading = take(subscription, 12);
    await it.world.settle();
    fill(it.partition, batches(2, 2));
    it.cluster.pumpAll();
    expect(await it.world.run(reading)).toEqual(values(4));
  });

  test.each([
    { name: 'earliest', from: 'earliest', first: 0 },
    { name: 'an offset inside a batch', from: { offset: 4 }, first: 4 },
    { name: 'the last two', from: { last: 2 }, first: 7 },
  ] as const)('starts at $name', async ({ from, first }) => {
    const it = await scene();
    fill(it.partition, batches(3));
    expect(await it.world.run(take(subscribe(it, { from }), 9 - first, first))).toEqual(values(3).slice(first));
  });

  test('of the nodes the client is connected to, it reads from the leader, and opens no connection for that', async () => {
    const it = await scene();
    it.cluster.elect(it.partition, 'n2');
    const asked: string[] = [];
    it.cluster.incoming = (session, { message }) => {
      if (message.kind === 'subscribe') asked.push(session.node.id);
      return false;
    };
    fill(it.partition, batches(1));
    expect(await it.world.run(take(subscribe(it), 3))).toEqual(values(1));
    // The producer goes to the leader, so there are two connections now.
    await it.world.run(it.client.topic('orders', utf8).append({ value: values(2)[3]! }));
    expect(await it.world.run(take(subscribe(it), 4))).toEqual(values(2).slice(0, 4));
    expect(asked).toEqual(['n1', 'n2']);
  });

  test("'latest' hands out only what comes after it", async () => {
    const it = await scene();
    fill(it.partition, batches(1));
    const subscription = subscribe(it, { from: 'latest' });
    const reading = take(subscription, 3, 3);
    await it.world.settle();
    fill(it.partition, batches(1, 1));
    it.cluster.pumpAll();
    expect(await it.world.run(reading)).toEqual(values(2).slice(3));
  });

  test("to 'tail' ends at the leader's tail as it was, also on a replica that lags; to an offset ends before it", async () => {
    const it = await scene();
    fill(it.partition, batches(3));
    it.cluster.node('n1').visibleTo = 3;
    const toTail = subscribe(it, { to: 'tail' });
    const reading = take(toTail, 100);
    await it.world.settle();
    fill(it.partition, batches(1, 3));
    it.cluster.node('n1').visibleTo = Number.MAX_SAFE_INTEGER;
    it.cluster.pumpAll();
    expect(await it.world.run(reading)).toEqual(values(3));
    const toOffset = subscribe(it, { to: { offset: 5 } });
    expect(await it.world.run(take(toOffset, 100))).toEqual(values(3).slice(0, 5));
    expect(toOffset.position.get(0)).toBe(5);
  });

  test('an empty topic read to its tail ends at once', async () => {
    const it = await scene();
    expect(await it.world.run(take(subscribe(it, { to: 'tail' }), 1))).toEqual([]);
  });

  test('batches() hands out whole batches; the first is cut to the start', async () => {
    const it = await scene();
    fill(it.partition, batches(3));
    const seen: [number, number, number][] = [];
    const subscription = subscribe(it, { from: { offset: 1 }, to: 'tail' });
    await it.world.run(
      (async () => {
        for await (const { offset, nextOffset, records } of subscription.batches()) {
          seen.push([offset, nextOffset, records.length]);
        }
      })(),
    );
    expect(seen).toEqual([
      [1, 3, 2],
      [3, 6, 3],
      [6, 9, 3],
    ]);
  });

  test('readable hands out the same records and takes nothing ahead of its reader', async () => {
    const it = await scene();
    fill(it.partition, batches(2));
    const subscription = subscribe(it);
    const reader = subscription.readable.getReader();
    const first = await it.world.run(reader.read());
    await it.world.settle();
    expect(first.value?.value).toBe('v0');
    expect(subscription.position.get(0)).toBe(1);
    await reader.cancel();
    expect(await outcomeOf(subscription.caughtUp())).toBe('CLOSED none');
  });

  test('several partitions are merged, each in order, or only those asked for', async () => {
    const it = await scene({ partitions: 3 });
    for (const partition of it.topic.partitions) fill(partition, batches(4));
    const all = subscribe(it, { to: 'tail' });
    const seen = new Map<number, number[]>();
    await it.world.run(
      (async () => {
        for await (const { partition, offset } of all) seen.set(partition, [...(seen.get(partition) ?? []), offset]);
      })(),
    );
    const offsets = Array.from({ length: 12 }, (_, at) => at);
    expect([...seen.entries()].sort()).toEqual([
      [0, offsets],
      [1, offsets],
      [2, offsets],
    ]);
    const some = subscribe(it, { partitions: [2] });
    await it.world.run(take(some, 1));
    expect([...some.position.keys()]).toEqual([2]);
  });
});

describe('knowing where it is', () => {
  test('position, tail and lag follow what was handed out; caughtUp resolves when it is all', async () => {
    const it = await scene();
    fill(it.partition, batches(2));
    const subscription = subscribe(it);
    const records = subscription[Symbol.asyncIterator]();
    await it.world.run(records.next());
    await it.world.run(records.next());
    expect(subscription.position.get(0)).toBe(2);
    expect(subscription.tail.get(0)).toBe(6);
    expect(subscription.lag).toBe(4);
    let isCaughtUp = false;
    const caughtUp = subscription.caughtUp().then((position) => {
      isCaughtUp = true;
      return position.get(0);
    });
    for (let i = 0; i < 3; i++) await it.world.run(records.next());
    await it.world.settle();
    expect(isCaughtUp).toBe(false);
    await it.world.run(records.next());
    expect(await it.world.run(caughtUp)).toBe(6);
    expect(subscription.lag).toBe(0);
  });

  test('on an empty topic it is caught up at once', async () => {
    const it = await scene();
    expect((await it.world.run(subscribe(it).caughtUp())).get(0)).toBe(0);
  });
});

describe('credit', () => {
  /** Fifty records of 10 kB, each a batch; `received` counts the bytes of those that any node has sent. */
  async function filledWithBigRecords(): Promise<{ readonly it: Scene; readonly received: () => number }> {
    const it = await scene();
    const big = 'x'.repeat(10_000);
    fill(
      it.partition,
      Array.from({ length: 50 }, () => [big]),
    );
    let received = 0;
    it.cluster.outgoing = (_, __, message, payload) => {
      if (message.kind === 'data') received += payload[0]!.length;
      return undefined;
    };
    return { it, received: () => received };
  }

  test('no more is received than maxBufferedBytes plus a batch, until the application takes it', async () => {
    const { it, received } = await filledWithBigRecords();
    const subscription = subscribe(it, { maxBufferedBytes: 64 * 1024 });
    await it.world.advance(60_000);
    expect(received()).toBeGreaterThan(64 * 1024);
    expect(received()).toBeLessThan(64 * 1024 + 10_200);
    const before = received();
    await it.world.run(take(subscription, 3));
    expect(received()).toBe(before);
    const all = subscribe(it, { maxBufferedBytes: 64 * 1024 });
    expect(await it.world.run(take(all, 50))).toHaveLength(50);
  });

  test('what was received and not taken counts against the window of the next connection too', async () => {
    const { it, received } = await filledWithBigRecords();
    const subscription = subscribe(it, { maxBufferedBytes: 64 * 1024 });
    await it.world.advance(1_000);
    cut(it);
    await it.world.advance(10_000);
    expect(received()).toBeLessThan(64 * 1024 + 10_200);
    expect(await it.world.run(take(subscription, 50))).toHaveLength(50);
  });

  test('paused, nothing is handed out and the nodes stop when the window is full; resume goes on without a gap', async () => {
    const it = await scene();
    fill(it.partition, batches(4));
    const subscription = subscribe(it);
    const records = subscription[Symbol.asyncIterator]();
    await it.world.run(records.next());
    subscription.pause();
    let isHanded = false;
    const next = records.next().then((result) => {
      isHanded = true;
      return result;
    });
    await it.world.advance(10_000);
    expect(isHanded).toBe(false);
    subscription.resume();
    expect((await it.world.run(next)).value?.offset).toBe(1);
  });
});

describe('seek', () => {
  test('goes back and forth at once; what was being handed out is void', async () => {
    const it = await scene();
    fill(it.partition, batches(5));
    const subscription = subscribe(it);
    const records = subscription[Symbol.asyncIterator]();
    const next = async (): Promise<number | undefined> => (await it.world.run(records.next())).value?.offset;
    expect([await next(), await next()]).toEqual([0, 1]);
    subscription.seek({ offset: 10 });
    expect([await next(), await next()]).toEqual([10, 11]);
    subscription.seek('earliest');
    expect(await next()).toBe(0);
  });

  test('of one partition leaves the others where they are', async () => {
    const it = await scene({ partitions: 2 });
    for (const partition of it.topic.partitions) fill(partition, batches(2));
    const subscription = subscribe(it);
    const records = subscription[Symbol.asyncIterator]();
    for (let i = 0; i < 4; i++) await it.world.run(records.next());
    const other = subscription.position.get(1);
    subscription.seek({ offset: 5 }, 0);
    const seen: string[] = [];
    for (let i = 0; i < 7 - other!; i++) {
      const { value } = await it.world.run(records.next());
      seen.push(`${value?.partition}/${value?.offset}`);
    }
    const rest = Array.from({ length: 6 - other! }, (_, at) => `1/${other! + at}`);
    expect(seen.sort()).toEqual(['0/5', ...rest]);
  });

  test.each([
    { name: 'before anything is known of the topic', isKnown: false },
    { name: 'while the others wait for their first answer', isKnown: true },
  ])('of one partition $name leaves the others at the start they were given', async ({ isKnown }) => {
    const it = await scene({ partitions: 2 });
    for (const partition of it.topic.partitions) fill(partition, batches(2));
    it.cluster.incoming = (_, { message }) => message.kind === 'subscribe' && message.partition === 1;
    const subscription = subscribe(it, { to: 'tail' });
    if (isKnown) await it.world.settle();
    subscription.seek({ offset: 5 }, 0);
    it.cluster.incoming = undefined;
    const seen: string[] = [];
    await it.world.run(
      (async () => {
        for await (const { partition, offset } of subscription) seen.push(`${partition}/${offset}`);
      })(),
    );
    expect(seen.sort()).toEqual(['0/5', '1/0', '1/1', '1/2', '1/3', '1/4', '1/5']);
  });
});
