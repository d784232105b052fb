/** What a producer promises when all goes well: batches, order, back-pressure, streams. Trouble is in lane.test.ts. */
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import { readBatchHeader } from '../../src/protocol/index.ts';
import { outcomeOf, scene } from './support/setup.ts';

function text(count: number, prefix = 'r'): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${at}`);
}

describe('sending', () => {
  test('records of one turn share a batch and each learns its own offset', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer();
    const acks = await world.run(Promise.all(text(5).map((value) => producer.send({ value }))));
    expect(partition.batches).toHaveLength(1);
    expect(partition.values()).toEqual(text(5));
    expect(acks.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
    expect(acks[0]).toMatchObject({ topic: 'orders', partition: 0, term: 1, duplicate: false });
    expect(producer.lastAck?.offset).toBe(4);
    expect(producer.bufferedBytes).toBe(0);
  });

  test('while batches are in flight the next one fills, up to its limits, and never more than maxInFlight are out', async () => {
    const { world, cluster, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 10, maxInFlight: 2 });
    await world.run(producer.send({ value: 'first' }));
    let seen = 0;
    let mostInFlight = 0;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      mostInFlight = Math.max(mostInFlight, producer.inFlight);
      seen++;
      // Answered a second later.
      world.platform.timers.after(1_000, () => cluster.handle(session, frame));
      return true;
    };
    const sends = Promise.all(text(35).map((value) => producer.send({ value })));
    await world.settle();
    expect(seen).toBe(2);
    await world.run(sends);
    expect(mostInFlight).toBe(2);
    expect(partition.values()).toEqual(['first', ...text(35)]);
    expect(partition.batches.map(({ bytes }) => readBatchHeader(bytes).recordCount)).toEqual([1, 10, 10, 10, 5]);
  });

  test('a producer that fills its batches makes them in the same few buffers again and again', async () => {
    const { world, client, partition } = await scene();
    const buffers: ArrayBufferLike[] = [];
    const { crc32c } = world.platform;
    // Each batch is summed once, in the buffer it was made in.
    Object.assign(world.platform, {
      crc32c: (bytes: Uint8Array, seed?: number) => {
        buffers.push(bytes.buffer);
        return crc32c(bytes, seed);
      },
    });
    const limits = { maxBatchBytes: 4_096, maxInFlight: 2, maxBufferedBytes: 32_768 };
    const producer = client.topic('orders', utf8).producer(limits);
    const values = text(2_000, 'x'.repeat(200));
    for (const value of values) if (!producer.enqueue({ value })) await world.run(producer.drained());
    await world.run(producer.flush());
    expect(partition.values()).toEqual(values);
    expect(buffers.length).toBeGreaterThan(100);
    // It makes new ones until the first acks come, and after a batch that had to leave before it was full.
    expect(new Set(buffers).size).toBeLessThan(buffers.length / 2);
  });

  test('records that come turn by turn while a batch is in flight travel together in the next one', async () => {
    const { world, cluster, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'first' }));
    let answer: (() => void) | undefined;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append' || answer !== undefined) return false;
      answer = () => cluster.handle(session, frame);
      return true;
    };
    const sends: Promise<unknown>[] = [];
    for (const value of text(5)) {
      sends.push(producer.send({ value }));
      await world.settle();
    }
    answer?.();
    await world.run(Promise.all(sends));
    expect(partition.batches.map(({ bytes }) => readBatchHeader(bytes).recordCount)).toEqual([1, 1, 4]);
  });

  test('with lingerMs a lone record waits that long for company, and no longer', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer({ lingerMs: 50 });
    const first = producer.send({ value: 'a' });
    await world.advance(49);
    expect(partition.batches).toHaveLength(0);
    const second = producer.send({ value: 'b' });
    await world.run(Promise.all([first, second]), 10);
    expect(partition.batches).toHaveLength(1);
  });

  test('flush sends what lingers and resolves when it is acknowledged', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer({ lingerMs: 10_000 });
    expect(producer.enqueue({ value: 'a' })).toBe(true);
    await world.run(producer.flush(), 100);
    expect(partition.values()).toEqual(['a']);
  });

  test('bytes given to send may be reused at once, also before the topic is known', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders').producer();
    const value = Buffer.from('before');
    const sent = producer.send({ value });
    value.write('AFTER!');
    await world.run(sent);
    expect(partition.values()).toEqual(['before']);
  });

  test('keys, headers, timestamps and the named partition arrive as given', async () => {
    const { world, client } = await scene({ partitions: 3 });
    const topic = client.topic('orders', utf8);
    const producer = topic.producer();
    const headers = { trace: 'abc' };
    const ack = await world.run(producer.send({ value: 'v', key: 'k', headers, timestamp: 123, partition: 2 }));
    expect(ack.partition).toBe(2);
    const { records } = await world.run(topic.read({ partition: 2 }));
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ value: 'v', key: 'k', timestamp: 123, offset: 0, partition: 2 });
    expect(records[0]?.headers).toEqual([{ key: 'trace', value: new TextEncoder().encode('abc') }]);
  });

  test('one key always lands in one partition; keyless records fill one partition a batch, in turn', async () => {
    const { world, client, topic } = await scene({ partitions: 4 });
    const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 10 });
    const keyed = await world.run(Promise.all(text(50).map((value) => producer.send({ value, key: 'same' }))));
    expect(new Set(keyed.map(({ partition }) => partition)).size).toBe(1);
    await world.run(Promise.all(text(40).map((value) => producer.send({ value }))));
    const counts = topic.partitions.map(({ tail }) => tail);
    counts[keyed[0]!.partition]! -= 50;
    expect(counts).toEqual([10, 10, 10, 10]);
  });

  test('a record larger than a batch travels alone; one larger than the node takes is refused by name', async () => {
    const { world, cluster, client, partition } = await scene();
    cluster.recordBytesMax = 1024 * 1024;
    const producer = client.topic('orders').producer({ maxBatchBytes: 1024 });
    const small = producer.send({ value: new Uint8Array(10) });
    const large = producer.send({ value: new Uint8Array(100_000) });
    const tooLarge = producer.send({ value: new Uint8Array(1024 * 1024 + 1) });
    expect(await world.run(outcomeOf(tooLarge))).toBe('TOO_LARGE none');
    await world.run(Promise.all([small, large]));
    expect(partition.batches.map(({ bytes }) => readBatchHeader(bytes).recordCount)).toEqual([1, 1]);
  });

  test('an unknown partition, an unknown topic and a value of the wrong kind are told without a trace', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders').producer();
    const nowhere = client.topic('nowhere').producer();
    const wrong = { value: 'text' as unknown as Uint8Array };
    expect(await world.run(outcomeOf(producer.send({ value: new Uint8Array(1), partition: 1 })))).toBe(
      'PARTITION_NOT_FOUND none',
    );
    expect(await world.run(outcomeOf(producer.send(wrong)))).toBe('INVALID none');
    expect(await world.run(outcomeOf(nowhere.send({ value: new Uint8Array(1) })))).toBe('TOPIC_NOT_FOUND none');
    expect(partition.tail).toBe(0);
  });
});

describe('room', () => {
  test('a full buffer lets send wait, and everything arrives in order once there is room', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer({ maxBufferedBytes: 4_096, maxBatchRecords: 5 });
    const values = text(60, 'a record of some length ');
    await world.run(Promise.all(values.map((value) => producer.send({ value }))));
    expect(partition.values()).toEqual(values);
    expect(producer.bufferedBytes).toBe(0);
  });

  test("a full buffer rejects with OVERLOADED under onFull 'reject', and what was taken is appended", async () => {
    const { world, cluster, client, partition } = await scene();
    const producer = client.topic('orders').producer({ maxBufferedBytes: 4_096, onFull: 'reject' });
    await world.run(producer.send({ value: new Uint8Array(1) }));
    cluster.incoming = (_, { message }) => message.kind === 'append';
    const sends = Array.from({ length: 10 }, () => outcomeOf(producer.send({ value: new Uint8Array(1_000) })));
    await world.settle();
    cluster.incoming = undefined;
    cluster.node('n1').kill();
    cluster.elect(partition, 'n2');
    const outcomes = await world.run(Promise.all(sends));
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(4);
    expect(outcomes.filter((outcome) => outcome === 'OVERLOADED none')).toHaveLength(6);
    expect(partition.tail).toBe(5);
  });

  test('enqueue says false above the mark, drained() resolves below it, and twice the mark is refused', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders').producer({ maxBufferedBytes: 4_096 });
    await world.run(producer.send({ value: new Uint8Array(1) }));
    let taken = 0;
    while (producer.enqueue({ value: new Uint8Array(1_000) })) taken++;
    expect(taken).toBe(3);
    expect(() => {
      for (let i = 0; i < 10; i++) producer.enqueue({ value: new Uint8Array(1_000) });
    }).toThrow(/wait to be acknowledged/);
    await world.run(producer.drained());
    expect(producer.bufferedBytes).toBeLessThan(4_096);
    await world.run(producer.flush());
    expect(partition.tail).toBeGreaterThan(taken);
  });
});

describe('streams', () => {
  test('writable takes records with back-pressure and flushes when it closes; acks come in order', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer({ maxBufferedBytes: 4_096, maxBatchRecords: 10 });
    const acks = producer.acks.getReader();
    const writer = producer.writable.getWriter();
    const values = text(200, 'a record of some length ');
    const written = (async () => {
      for (const value of values) await writer.write({ value });
      await writer.close();
    })();
    const offsets: (number | undefined)[] = [];
    const read = (async () => {
      for (let i = 0; i < values.length; i++) offsets.push((await acks.read()).value?.offset);
    })();
    await world.run(Promise.all([written, read]));
    expect(partition.values()).toEqual(values);
    expect(offsets).toEqual(values.map((_, at) => at));
    expect(producer.bufferedBytes).toBe(0);
  });

  test('acks that nobody reads stop the producer at its buffer instead of piling up', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders').producer({ maxBufferedBytes: 4_096, maxBatchRecords: 1 });
    await world.run(producer.send({ value: new Uint8Array(1) }));
    const { acks } = producer;
    for (let i = 0; i < 7; i++) producer.enqueue({ value: new Uint8Array(1_000) });
    await world.advance(1_000);
    expect(partition.tail).toBe(1 + 4);
    expect(producer.bufferedBytes).toBeGreaterThan(4_096);
    await acks.cancel();
    await world.run(producer.flush());
    expect(partition.tail).toBe(1 + 7);
  });
});

describe('the end', () => {
  test('close flushes, later sends are CLOSED, and nothing is left running', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer();
    const sent = producer.send({ value: 'last' });
    await world.run(producer.close());
    await sent;
    expect(partition.values()).toEqual(['last']);
    expect(await outcomeOf(producer.send({ value: 'too late' }))).toBe('CLOSED none');
    await client.close();
    await world.settle();
    expect(world.timerCount).toBe(0);
  });

  test('closing the client tells what was out unknown and what was not sent none', async () => {
    const { world, cluster, client } = await scene();
    const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 1, maxInFlight: 1 });
    await world.run(producer.send({ value: 'a' }));
    cluster.incoming = (_, { message }) => message.kind === 'append';
    const outcomes = Promise.all(['b', 'c'].map((value) => outcomeOf(producer.send({ value }))));
    await world.settle();
    await client.close();
    expect(await outcomes).toEqual(['CLOSED unknown', 'CLOSED none']);
  });

  test('drain flushes every producer and then closes the client', async () => {
    const { world, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer({ lingerMs: 60_000 });
    producer.enqueue({ value: 'a' });
    await world.run(client.drain());
    expect(partition.values()).toEqual(['a']);
    expect(client.state).toBe('closed');
  });

  test('closing the client fails a flush that waits for records no node was sent', async () => {
    const { world, cluster, client } = await scene();
    cluster.incoming = (_, { message }) => message.kind === 'request';
    const producer = client.topic('orders', utf8).producer();
    producer.enqueue({ value: 'a' });
    const flushed = outcomeOf(producer.flush());
    await world.settle();
    await client.close();
    expect(await world.run(flushed)).toBe('CLOSED none');
  });

  test('an aborted send gives up waiting: unknown once taken, none before', async () => {
    const { world, cluster, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer();
    expect(await outcomeOf(producer.send({ value: 'x' }, { signal: AbortSignal.abort() }))).toBe('ABORTED none');
    const controller = new AbortController();
    cluster.incoming = (_, { message }) => message.kind === 'append';
    const sent = outcomeOf(producer.send({ value: 'a' }, { signal: controller.signal }));
    await world.settle();
    controller.abort();
    expect(await sent).toBe('ABORTED unknown');
    expect(partition.tail).toBe(0);
  });
});
