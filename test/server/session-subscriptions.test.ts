/** Subscriptions of one connection: what is pushed, paid for with credit, and how they end. */
import { afterEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES, CREDIT_BYTES_MAX, SUBSCRIPTIONS_PER_CONNECTION_MAX } from '../../src/protocol/index.ts';
import { closeAll } from './support/closing.ts';
import { append, batchOf, room, subscribe, valuesOf, welcomed } from './support/session-client.ts';
import { until } from './support/world.ts';

afterEach(closeAll);

describe('subscriptions', () => {
  test('say where they stand, then deliver what was paid for, then what comes', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(append(1), 0, [batchOf('a', 'b', 'c')]);
    await client.got('ack');
    client.send(subscribe({ start: { kind: 'offset', offset: 1 } }), 7);
    await client.got('position', 2);
    expect(client.of('position', 7)).toMatchObject([
      { offset: 1, tail: 3, earliest: 0, caughtUp: false, topicId: 1, node: 'n1', level: 'any' },
      { offset: 3, tail: 3, caughtUp: true },
    ]);
    expect(client.of('data', 7)[0]).toMatchObject({ fromOffset: 1, nextOffset: 3, tail: 3, compacted: false });
    expect(valuesOf(client, 7)).toEqual(['a', 'b', 'c']);
    client.send(append(2), 0, [batchOf('d')]);
    await client.got('data', 2);
    expect(client.of('data', 7)[1]).toMatchObject({ fromOffset: 3, nextOffset: 4 });
    // It was caught up before and after: nothing to say.
    expect(client.of('position', 7)).toHaveLength(2);
  });

  test('read nothing that is not paid for, and overdraw by one batch at most', async () => {
    const { door, world } = await room();
    const client = await welcomed(door);
    const batch = batchOf('x'.repeat(1_000));
    for (let i = 0; i < 10; i++) client.send(append(i + 1), 0, [batchOf('x'.repeat(1_000))]);
    await client.got('ack', 10);
    client.send(subscribe({ creditBytes: 1 }), 1);
    await client.got('data');
    client.send({ kind: 'ping', nonce: 1 });
    await client.got('pong');
    expect([client.of('data').length, door.broker.reads]).toEqual([1, 1]);
    // It owes almost a batch now: paying half of one buys nothing.
    client.send({ kind: 'credit', bytes: batch.length / 2 }, 1);
    client.send({ kind: 'ping', nonce: 2 });
    await client.got('pong', 2);
    expect(client.of('data')).toHaveLength(1);
    client.send({ kind: 'credit', bytes: batch.length * 3 }, 1);
    await client.got('data', 2);
    client.send({ kind: 'ping', nonce: 3 });
    await client.got('pong', 3);
    const paid = 1 + batch.length * 3.5;
    const sent = client.of('data').reduce((sum, { payload }) => sum + payload.length, 0);
    expect(sent).toBeGreaterThanOrEqual(paid - batch.length);
    expect(sent).toBeLessThan(paid + batch.length);
    // At rest, a moved tail is told with the heartbeat.
    const before = client.of('position').length;
    client.send(append(99), 0, [batchOf('y')]);
    await client.got('ack', 11);
    world.time.advance(15_000);
    const position = await client.got('position', before + 1);
    expect(position).toMatchObject({ tail: 11, caughtUp: false });
  });

  test('end when asked, and the channel is free again', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(subscribe(), 3);
    await client.got('position');
    client.send({ kind: 'unsubscribe' }, 3);
    expect(await client.got('end')).toMatchObject({ failure: undefined, nextOffset: 0 });
    expect(door.broker.openReaders).toBe(0);
    client.send(subscribe(), 3);
    await client.got('position', 2);
    expect(door.broker.openReaders).toBe(1);
  });

  test('that cannot begin end with the reason, and the connection lives', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(subscribe({ topic: { name: 'none' } }), 1);
    client.send(subscribe({ start: { kind: 'offset', offset: 9 } }), 2);
    await client.got('end', 2);
    expect(client.of('end', 1)[0]?.failure).toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    expect(client.of('end', 2)[0]?.failure).toMatchObject({ code: 'OUT_OF_RANGE', details: { earliest: 0, tail: 0 } });
    expect(client.closeCode).toBeUndefined();
  });

  test('are bounded in number and in credit', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    for (let i = 1; i <= SUBSCRIPTIONS_PER_CONNECTION_MAX + 1; i++) client.send(subscribe(), i);
    expect((await client.got('end')).failure).toMatchObject({ code: 'INVALID' });
    await until('the rest lives', () => door.broker.openReaders === SUBSCRIPTIONS_PER_CONNECTION_MAX);
    client.send({ kind: 'credit', bytes: CREDIT_BYTES_MAX }, 1);
    expect(await client.closed()).toBe(CLOSE_CODES.protocolError);
    await until('no reader is left', () => door.broker.openReaders === 0);
  });

  test('of a channel that is taken end the connection; word to one that ended does not', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send({ kind: 'credit', bytes: 5 }, 9);
    client.send({ kind: 'unsubscribe' }, 9);
    client.send(subscribe(), 1);
    await client.got('position');
    client.send(subscribe(), 1);
    expect(await client.closed()).toBe(CLOSE_CODES.protocolError);
  });

  test('of one connection read no more at a time than it may have queued, and take turns', async () => {
    const { door } = await room();
    // Readers far behind the tail, whose reads end when the test says so.
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    door.broker.subscribe = async ({ start }) => {
      const position = start.kind === 'offset' ? start.offset : 0;
      const { tail, ...rest } = { tail: 1_000, topicId: 1, earliest: 0 };
      const empty = door.broker.result(door.broker.find({ name: 'orders' }, 0), 0, 1);
      return {
        ...{ ...rest, tail, position },
        stamp: () => door.broker.stamp(tail),
        next: () => {
          begun.push(position);
          return new Promise((resolve) => ends.push(() => resolve({ ...empty, tail })));
        },
        close: () => undefined,
      };
    };
    const client = await welcomed(door);
    const channels = Array.from({ length: 20 }, (_, at) => at + 1);
    for (const offset of channels) {
      client.send(subscribe({ start: { kind: 'offset', offset }, creditBytes: CREDIT_BYTES_MAX }), offset);
    }
    await client.got('position', 20);
    // 8 MiB, in reads of 1 MiB.
    expect(begun).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    for (let ended = 0; ended < 12; ended++) {
      ends[ended]?.();
      await until('the next one reads', () => begun.length === 9 + ended);
    }
    expect(begun).toEqual(channels);
  });

  test('that wait behind a hole up to the tail keep no room from those that have something to read', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(append(1), 0, [batchOf('a', 'b', 'c')]);
    await client.got('ack');
    const { broker } = door;
    const subscribeBelow = broker.subscribe.bind(broker);
    // Compaction took what lies between the position and the tail: the read ends with the next record.
    const behindHole = {
      ...{ topicId: 1, position: 0, earliest: 0, tail: 3, close: () => undefined },
      stamp: () => broker.stamp(3),
      next: (_bytesMax: number, onWaiting?: () => void) => {
        onWaiting?.();
        return new Promise<never>(() => undefined);
      },
    };
    broker.subscribe = async () => behindHole;
    const waiting = Array.from({ length: 8 }, (_, at) => at + 1);
    for (const channel of waiting) client.send(subscribe({ creditBytes: CREDIT_BYTES_MAX }), channel);
    await client.got('position', waiting.length);
    broker.subscribe = subscribeBelow;
    client.send(subscribe(), 99);
    await client.got('data');
    expect(valuesOf(client, 99)).toEqual(['a', 'b', 'c']);
  });

  test('a consumer that does not read is not read for, and closed at last', async () => {
    const { door, world } = await room({ sendBytesMax: 256 * 1024 });
    const producer = await welcomed(door);
    for (let i = 0; i < 64; i++) producer.send(append(i + 1), 0, [batchOf('x'.repeat(500_000))]);
    await producer.got('ack', 64);
    const client = await welcomed(door);
    client.socket.pause();
    client.send(subscribe({ creditBytes: CREDIT_BYTES_MAX }), 1);
    // What the two kernels' buffers and the cap take is read, and no more.
    let seen = -1;
    await until('the reader stands still', () => {
      const isStill = door.broker.reads > 2 && door.broker.reads === seen;
      seen = door.broker.reads;
      return isStill;
    });
    expect(door.broker.reads).toBeLessThan(40);
    expect(door.broker.openReaders).toBe(1);
    for (let beat = 0; beat < 6; beat++) world.time.advance(15_000);
    await until('the reader is gone', () => door.broker.openReaders === 0);
    expect(await door.metrics.scrape()).toContain('logdrive_slow_consumer_disconnects_total 1');
    client.socket.resume();
    expect([CLOSE_CODES.slowConsumer, 1006]).toContain(await client.closed());
  });
});
