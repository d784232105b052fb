import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  CLOSE_CODES,
  CREDIT_BYTES_MAX,
  crc32cPortable,
  decodeFrame,
  decodeRecords,
  encodeFrame,
  encodeRecordBatch,
  FRAME_BYTES_MAX,
  type Frame,
  LogError,
  type Message,
  SUBPROTOCOL,
  SUBSCRIPTIONS_PER_CONNECTION_MAX,
  splitBatches,
} from '../../src/protocol/index.ts';
import { type Door, type DoorOptions, openDoor } from './door.ts';
import { handWorld, type TestWorld, until } from './world.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Room {
  readonly door: Door;
  readonly world: TestWorld;
}

async function room(options: DoorOptions = {}): Promise<Room> {
  const world = handWorld();
  const door = await openDoor(world.env, options);
  door.broker.addTopic('orders');
  closers.push(() => door.close());
  return { door, world };
}

/** A client that says what it wants, right or wrong. */
class Client {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  closeCode: number | undefined;
  failure: Error | undefined;

  constructor(door: Door, options: { path?: string; protocols?: string[]; origin?: string; host?: string } = {}) {
    const { path = '/v1/ws', protocols = [SUBPROTOCOL], origin } = options;
    this.socket = new WebSocket(
      `ws://127.0.0.1:${door.port}${path}`,
      protocols,
      origin === undefined ? {} : { origin },
    );
    this.socket.on('message', (data) => {
      const frame = decodeFrame(new Uint8Array(data as Buffer));
      if (frame !== undefined) this.frames.push(frame);
    });
    this.socket.on('error', (error) => {
      this.failure = error;
    });
    this.socket.on('close', (code) => {
      this.closeCode = code;
    });
    closers.push(() => this.socket.terminate());
  }
  async opened(): Promise<this> {
    await until('open', () => this.socket.readyState === WebSocket.OPEN || this.failure !== undefined);
    if (this.failure !== undefined) throw this.failure;
    return this;
  }
  send(message: Message, channel = 0, payload: Uint8Array[] = []): void {
    this.socket.send(Buffer.concat(encodeFrame(channel, message, payload)));
  }
  of<K extends Message['kind']>(
    kind: K,
    channel?: number,
  ): (Extract<Message, { kind: K }> & { payload: Uint8Array })[] {
    return this.frames
      .filter((frame) => frame.message.kind === kind && (channel === undefined || frame.channel === channel))
      .map(({ message, payload }) => ({ ...(message as Extract<Message, { kind: K }>), payload }));
  }
  async got<K extends Message['kind']>(
    kind: K,
    count = 1,
  ): Promise<Extract<Message, { kind: K }> & { payload: Uint8Array }> {
    await until(`${count} ${kind}`, () => this.of(kind).length >= count);
    return this.of(kind)[count - 1] as Extract<Message, { kind: K }> & { payload: Uint8Array };
  }
  async closed(): Promise<number> {
    await until('closed', () => this.closeCode !== undefined);
    return this.closeCode as number;
  }
}

const HELLO: Message = {
  kind: 'hello',
  versionMin: 1,
  versionMax: 1,
  clientId: 'c',
  token: undefined,
  agent: undefined,
};

async function welcomed(door: Door): Promise<Client> {
  const client = await new Client(door).opened();
  client.send(HELLO);
  await client.got('welcome');
  return client;
}

function batchOf(...values: string[]): Uint8Array {
  const records = values.map((value) => ({ value: Buffer.from(value) }));
  return encodeRecordBatch(records, { nowMs: 5, crc32c: crc32cPortable });
}

function append(requestId: number, changes: Partial<Extract<Message, { kind: 'append' }>> = {}): Message {
  const standard = {
    topic: { name: 'orders' },
    partition: 0,
    producer: undefined,
    redirect: false,
    timeoutMs: undefined,
  };
  return { kind: 'append', requestId, ...standard, ...changes };
}

function subscribe(changes: Partial<Extract<Message, { kind: 'subscribe' }>> = {}): Message {
  const standard = { topic: { name: 'orders' }, partition: 0, creditBytes: 1_000_000, level: 'any' as const };
  return { kind: 'subscribe', start: { kind: 'earliest' }, ...standard, ...changes };
}

function valuesOf(client: Client, channel: number): string[] {
  const batches = client.of('data', channel).flatMap(({ payload }) => splitBatches(payload));
  return batches.flatMap((batch) => decodeRecords(batch)).map(({ value }) => Buffer.from(value).toString());
}

describe('hello', () => {
  test('is answered with who this is, the limits and the nodes', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    expect(client.of('welcome')[0]).toMatchObject({
      version: 1,
      nodeId: 'n1',
      clusterId: 'c1',
      serverVersion: '9.9.9',
      frameBytesMax: FRAME_BYTES_MAX,
      heartbeatMs: 15_000,
      nodes: [{ id: 'n1', isUp: true }],
    });
  });

  test('of another version is UNSUPPORTED', async () => {
    const { door } = await room();
    const client = await new Client(door).opened();
    client.send({ ...HELLO, versionMin: 2, versionMax: 9 } as Message);
    expect(await client.closed()).toBe(CLOSE_CODES.protocolError);
    expect(client.of('error')[0]?.failure).toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('has to come first, once, and within its time', async () => {
    const { door, world } = await room();
    const early = await new Client(door).opened();
    early.send({ kind: 'ping', nonce: 1 });
    expect(await early.closed()).toBe(CLOSE_CODES.protocolError);

    const twice = await welcomed(door);
    twice.send(HELLO);
    expect(await twice.closed()).toBe(CLOSE_CODES.protocolError);

    const silent = await new Client(door).opened();
    const greeted = await welcomed(door);
    world.time.advance(5_000);
    await silent.closed();
    expect(silent.of('error')[0]?.failure).toMatchObject({ code: 'TIMEOUT', outcome: 'none' });
    expect(greeted.closeCode).toBeUndefined();
  });
});

describe('appends', () => {
  test('reach the broker as they are, and are answered by their request id in any order', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    const releases: (() => void)[] = [];
    door.broker.beforeAppend = () => new Promise((resolve) => releases.push(resolve));
    const producer = { id: 'ab'.repeat(16), epoch: 1, sequence: 7 };
    client.send(append(1, { producer, redirect: true, timeoutMs: 500 }), 0, [batchOf('a', 'b')]);
    client.send(append(2), 0, [batchOf('c')]);
    await until('both wait', () => releases.length === 2);
    expect(door.broker.appends[0]).toMatchObject({
      producer,
      redirect: true,
      timeoutMs: 500,
      topic: { name: 'orders' },
    });
    expect(door.broker.appends[0]?.batch).toEqual(batchOf('a', 'b'));
    releases[1]?.();
    await client.got('ack');
    releases[0]?.();
    await client.got('ack', 2);
    expect(client.of('ack')).toMatchObject([
      { requestId: 2, baseOffset: 0, recordCount: 1 },
      { requestId: 1, baseOffset: 1, recordCount: 2, term: 3, appendTimeMs: 1_000, duplicate: false },
    ]);
  });

  test('that fail are answered with code, outcome and facts', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(append(1, { topic: { name: 'none' } }), 0, [batchOf('a')]);
    expect((await client.got('nack')).failure).toMatchObject({ code: 'TOPIC_NOT_FOUND', outcome: 'none' });
    door.broker.beforeAppend = () => {
      throw new LogError('SEQUENCE_GAP', 'gap', { details: { expected: 3, received: 9 } });
    };
    client.send(append(2), 0, [batchOf('a')]);
    expect((await client.got('nack', 2)).failure).toMatchObject({ details: { expected: 3, received: 9 } });
    expect(client.closeCode).toBeUndefined();
  });

  test('a small batch does not keep the buffer it arrived in', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    door.broker.beforeAppend = () => new Promise(() => undefined);
    for (let i = 0; i < 50; i++) client.send(append(i + 1), 0, [batchOf('a')]);
    await until('all came', () => door.broker.appends.length === 50);
    for (const { batch } of door.broker.appends)
      expect(batch.buffer.byteLength).toBeLessThan(2 * batch.byteLength + 200);
  });

  test('answers of one turn leave together, and all of a connection count as one client', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    for (let i = 0; i < 200; i++) client.send(append(i + 1), 0, [batchOf(String(i))]);
    await client.got('ack', 200);
    expect(client.of('ack').map(({ baseOffset }) => baseOffset)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(new Set(door.broker.appends.map(({ client: handle }) => handle)).size).toBe(1);
  });
});

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

describe('requests', () => {
  test('are the verbs of the broker', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(append(1), 0, [batchOf('a', 'b')]);
    await client.got('ack');
    const at = { topic: { name: 'orders' }, partition: 0 };
    const bodies: Extract<Message, { kind: 'request' }>['body'][] = [
      { kind: 'describe-topic', name: 'orders' },
      { kind: 'list-topics' },
      { kind: 'cluster' },
      { kind: 'tail', ...at, level: 'linearizable' },
      { kind: 'read', ...at, start: { kind: 'earliest' }, bytesMax: 1_000, waitMs: 0, level: 'any' },
      { kind: 'take-snapshot', topic: 'orders', partition: 0 },
      { kind: 'transfer-leader', topic: 'orders', partition: 0, to: 'n2' },
      { kind: 'trim', topic: 'orders', partition: 0, before: 1 },
      {
        kind: 'create-topic',
        name: 'new',
        partitions: 2,
        replicas: undefined,
        retention: { maxBytes: 5, maxAgeMs: undefined, maxRecords: undefined },
      },
      {
        kind: 'create-topic',
        name: 'new',
        partitions: 2,
        replicas: undefined,
        retention: { maxBytes: 5, maxAgeMs: undefined, maxRecords: undefined },
      },
      { kind: 'delete-topic', name: 'new' },
      { kind: 'add-node', id: 'n4', peerAddress: '127.0.0.1:4468' },
      { kind: 'remove-node', id: 'n4' },
      { kind: 'replace-node', id: 'n3', by: 'n4', peerAddress: undefined },
      { kind: 'drain-node', id: 'n3', isDrained: true },
    ];
    for (const [i, body] of bodies.entries()) {
      client.send({ kind: 'request', requestId: i, body });
      await client.got('response', i + 1);
    }
    expect(client.of('response').map(({ requestId, body }) => [requestId, body.kind])).toEqual([
      [0, 'topic'],
      [1, 'topics'],
      [2, 'cluster'],
      [3, 'tail'],
      [4, 'read'],
      [5, 'snapshot'],
      [6, 'done'],
      [7, 'done'],
      [8, 'topic'],
      [9, 'failure'],
      [10, 'done'],
      [11, 'done'],
      [12, 'done'],
      [13, 'done'],
      [14, 'done'],
    ]);
    expect(door.broker.calls.slice(-4)).toEqual([
      'add n4 127.0.0.1:4468',
      'remove n4',
      'replace n3 n4 -',
      'drain n3 true',
    ]);
    const read = client.of('response')[4];
    expect(read?.body).toMatchObject({ fromOffset: 0, nextOffset: 2, tail: 2, level: 'any', node: 'n1' });
    expect(decodeRecords(read?.payload as Uint8Array)).toHaveLength(2);
  });

  test('that wait end with the connection, and too many at once are OVERLOADED', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    const at = { topic: { name: 'orders' }, partition: 0 };
    const body = {
      kind: 'read' as const,
      ...at,
      start: { kind: 'latest' as const },
      bytesMax: 4 << 20,
      waitMs: 30_000,
    };
    for (let i = 0; i < 17; i++) client.send({ kind: 'request', requestId: i, body: { ...body, level: 'any' } });
    const refused = await client.got('response');
    expect(refused).toMatchObject({ requestId: 16, body: { kind: 'failure', failure: { code: 'OVERLOADED' } } });
    expect(door.broker.calls).toHaveLength(16);
  });
});

describe('what breaks the protocol closes the connection, with the reason', () => {
  const cases: [string, (client: Client) => void, string, number][] = [
    ['a text message', (c) => c.socket.send('hello'), 'INVALID', CLOSE_CODES.protocolError],
    ['an empty message', (c) => c.socket.send(Buffer.alloc(0)), 'INVALID', CLOSE_CODES.protocolError],
    [
      'an unknown kind',
      (c) => c.socket.send(Buffer.from([99, 0, 0, 0, 0, 0])),
      'UNSUPPORTED',
      CLOSE_CODES.protocolError,
    ],
    [
      'a kind of the server',
      (c) => c.send({ kind: 'end', failure: undefined, nextOffset: 0 }, 1),
      'INVALID',
      CLOSE_CODES.protocolError,
    ],
    [
      'an append without a batch',
      (c) => c.socket.send(Buffer.from([3, 0, 0, 0, 0, 0])),
      'INVALID',
      CLOSE_CODES.protocolError,
    ],
    [
      'a header longer than the message',
      (c) => c.socket.send(Buffer.from([12, 0, 0, 0, 0, 9, 1])),
      'INVALID',
      CLOSE_CODES.protocolError,
    ],
  ];
  test.each(cases)('%s', async (_name, act, code, closeCode) => {
    const { door } = await room();
    const client = await welcomed(door);
    act(client);
    expect(await client.closed()).toBe(closeCode);
    expect(client.of('error').at(-1)?.failure).toMatchObject({ code, outcome: 'none' });
  });

  test('a message over the limit is cut off before it is in memory', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.socket.send(Buffer.alloc(FRAME_BYTES_MAX + 1));
    expect(await client.closed()).toBe(CLOSE_CODES.tooLarge);
  });

  test('random bytes and cut messages never do more than close it', async () => {
    const { door } = await room();
    const whole = Buffer.concat(encodeFrame(0, append(1), [batchOf('a')]));
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 0, max: whole.length - 1 }).map((at) => new Uint8Array(whole.subarray(0, at))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 5 }), async (messages) => {
        const client = await welcomed(door);
        for (const message of messages) client.socket.send(message);
        client.send({ kind: 'ping', nonce: 1 });
        await until('answered or closed', () => client.closeCode !== undefined || client.of('pong').length > 0);
        client.socket.terminate();
      }),
      { numRuns: 60 },
    );
    expect((await welcomed(door)).closeCode).toBeUndefined();
  });

  test('kinds of a later version that say so are ignored', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.socket.send(Buffer.from([0x90, 0, 0, 0, 0, 0, 1, 2, 3]));
    client.send({ kind: 'ping', nonce: 5 });
    expect((await client.got('pong')).nonce).toBe(5);
  });
});

describe('the life of a connection', () => {
  test('silence is asked about, then ends it; an answer keeps it', async () => {
    const { door, world } = await room();
    const [alive, dead] = [await welcomed(door), await welcomed(door)];
    for (let beat = 0; beat < 6; beat++) {
      alive.send({ kind: 'ping', nonce: beat });
      await alive.got('pong', beat + 1);
      world.time.advance(15_000);
    }
    await dead.closed();
    expect(dead.of('ping').length).toBeGreaterThan(0);
    expect(alive.closeCode).toBeUndefined();
  });

  test('a drain is told to all, and closing ends all', async () => {
    const { door } = await room();
    const clients = [await welcomed(door), await welcomed(door)];
    door.ws.goAway('the node is shutting down', 1_000);
    for (const client of clients) {
      const away = await client.got('goaway');
      expect(away.reconnectAfterMs).toBeLessThan(1_000);
    }
    door.ws.close();
    expect(await Promise.all(clients.map((client) => client.closed()))).toEqual([1001, 1001]);
  });

  test('a connection that is gone leaves no reader', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.send(subscribe(), 1);
    await client.got('position');
    client.socket.terminate();
    await until('the reader is closed', () => door.broker.openReaders === 0);
    const { text } = { text: await door.metrics.scrape() };
    expect(text).toContain('logdrive_connections{face="ws"} 0');
  });
});

describe('upgrades', () => {
  test.each([
    ['another path', { path: '/v1/other' }, 404],
    ['no subprotocol', { protocols: [] }, 400],
    ['another subprotocol', { protocols: ['mqtt'] }, 400],
    ['a foreign page', { origin: 'http://evil.example' }, 403],
    ['an opaque page', { origin: 'null' }, 403],
  ])('with %s are refused', async (_name, options, status) => {
    const { door } = await room();
    await expect(new Client(door, options).opened()).rejects.toThrow(`Unexpected server response: ${status}`);
  });

  test('of a page of this host, or one on the list, are taken', async () => {
    const { door } = await room({ origins: ['https://app.example'] });
    await new Client(door, { origin: `http://127.0.0.1:${door.port}` }).opened();
    await new Client(door, { origin: 'https://app.example' }).opened();
  });

  test('are told to come back while the node recovers', async () => {
    const { door } = await room();
    door.health.broker = undefined;
    await expect(new Client(door).opened()).rejects.toThrow('503');
  });

  async function raw(door: Door): Promise<Socket> {
    const socket = connect(door.port, '127.0.0.1');
    closers.push(() => void socket.destroy());
    socket.on('error', () => undefined);
    let head = '';
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1');
    });
    socket.write(
      `GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
    );
    await until('upgraded', () => head.includes('101'));
    return socket;
  }

  test.each([
    ['no mask', [0x82, 0x01, 0x00]],
    ['a reserved bit', [0xc2, 0x80, 0, 0, 0, 0]],
    ['a control frame over 125 bytes', [0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0]],
    ['a length of 2^63', [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['a length over the limit', [0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
    ['an unknown opcode', [0x83, 0x80, 0, 0, 0, 0]],
    [
      'fragments without end',
      Array.from({ length: 80 }, (_, i) => [i === 0 ? 0x02 : 0x00, 0x81, 0, 0, 0, 0, 1]).flat(),
    ],
  ])('a frame with %s closes the socket', async (_name, bytes) => {
    const { door } = await room();
    const socket = await raw(door);
    let isEnded = false;
    socket.on('end', () => {
      isEnded = true;
      socket.end();
    });
    socket.write(Buffer.from(bytes));
    await until('ended', () => isEnded);
  });
});
