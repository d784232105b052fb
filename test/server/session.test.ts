/** One connection: hello, appends, requests, heartbeats, and its end. */
import { afterEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES, decodeRecords, FRAME_BYTES_MAX, LogError, type Message } from '../../src/protocol/index.ts';
import { closeAll } from './support/closing.ts';
import { append, batchOf, Client, HELLO, room, subscribe, welcomed } from './support/session-client.ts';
import { until } from './support/world.ts';

afterEach(closeAll);

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

  test('that list all topics count as the largest answer there may be, since a packet holds hundreds of them', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    let listed = 0;
    door.broker.listTopics = () => {
      listed++;
      return new Promise(() => undefined);
    };
    for (let i = 0; i < 17; i++) client.send({ kind: 'request', requestId: i, body: { kind: 'list-topics' } });
    const refused = await client.got('response');
    expect(refused).toMatchObject({ requestId: 16, body: { kind: 'failure', failure: { code: 'OVERLOADED' } } });
    expect(listed).toBe(16);
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
