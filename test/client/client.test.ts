/** Connecting, finding nodes, losing them; one-shot appends, reads, admin: all but producers and subscriptions. */
import { describe, expect, test } from 'vitest';
import { connectWith, createClient } from '../../src/client/client.ts';
import { utf8 } from '../../src/client/codec.ts';
import { FakeCluster } from './support/fake-cluster.ts';
import { fill, outcomeOf, scene } from './support/setup.ts';
import { World } from './support/world.ts';

describe('connecting', () => {
  test('takes the first server that answers and learns the cluster from it', async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    cluster.node('n1').kill();
    const client = await world.run(connectWith(world.platform, ['n1', 'n2']));
    expect(client.state).toBe('ready');
    expect(client.cluster.id).toBe('c1');
    expect(client.cluster.nodes.map(({ id }) => id)).toEqual(['n1', 'n2', 'n3']);
  });

  test('goes on to the next server while the first one hangs', async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    cluster.node('n1').state = 'hung';
    const startMs = world.nowMs;
    const client = await world.run(connectWith(world.platform, ['n1', 'n2']));
    expect(client.state).toBe('ready');
    expect(world.nowMs - startMs).toBeLessThan(1_000);
  });

  test('waits for the first one that answers when all of them are slow, and asks each once', async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    cluster.incoming = (session, frame) => {
      world.platform.timers.after(3_000, () => cluster.handle(session, frame));
      return true;
    };
    const startMs = world.nowMs;
    const client = await world.run(connectWith(world.platform, ['n1', 'n2', 'n3']));
    expect(client.state).toBe('ready');
    expect(world.nowMs - startMs).toBe(3_000);
    expect(cluster.connections).toBe(3);
  });

  test('a server that is down is asked again while another one hangs', async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    cluster.node('n1').state = 'hung';
    cluster.node('n2').kill();
    const connecting = connectWith(world.platform, ['n1', 'n2']);
    await world.advance(2_000);
    cluster.node('n2').state = 'up';
    const startMs = world.nowMs;
    expect((await world.run(connecting)).state).toBe('ready');
    expect(world.nowMs - startMs).toBeLessThan(2_000);
  });

  test('waits connectTimeoutMs for a server that is still starting', async () => {
    const world = new World();
    const cluster = new FakeCluster(world, ['n1']);
    cluster.node('n1').kill();
    const connecting = connectWith(world.platform, 'n1');
    await world.advance(3_000);
    cluster.node('n1').state = 'up';
    expect((await world.run(connecting)).state).toBe('ready');
  });

  test.each(['down', 'hung'] as const)('gives up with CONNECTION none when every server is %s', async (state) => {
    const world = new World();
    const cluster = new FakeCluster(world, ['n1']);
    cluster.node('n1').state = state;
    const startMs = world.nowMs;
    await expect(world.run(connectWith(world.platform, 'n1', { connectTimeoutMs: 1_000 }))).rejects.toMatchObject({
      code: 'CONNECTION',
      outcome: 'none',
      message: expect.stringContaining('ws://n1:4437/v1/ws'),
    });
    expect(world.nowMs - startMs).toBeLessThanOrEqual(1_100);
    await world.settle();
    expect(world.timerCount).toBe(0);
  });

  test("reports a node's verdict at once instead of trying again", async () => {
    const world = new World();
    const cluster = new FakeCluster(world, ['n1']);
    cluster.incoming = (session, { message }) => {
      if (message.kind !== 'hello') return false;
      session.send(0, { kind: 'error', failure: { code: 'FORBIDDEN', message: 'no', outcome: 'none', details: {} } });
      return true;
    };
    const startMs = world.nowMs;
    expect(await world.run(outcomeOf(connectWith(world.platform, 'n1')))).toBe('FORBIDDEN none');
    expect(world.nowMs).toBe(startMs);
  });

  test('introduces itself with name and token, and refuses another protocol version', async () => {
    const { cluster } = await scene({ clientId: 'loader', auth: { token: 'secret' } });
    expect(cluster.received[0]?.frame.message).toMatchObject({ kind: 'hello', clientId: 'loader', token: 'secret' });
    const world = new World();
    const other = new FakeCluster(world, ['n1']);
    other.outgoing = (_, __, message, payload) =>
      message.kind === 'welcome' ? { message: { ...message, version: 2 }, payload } : undefined;
    expect(await world.run(outcomeOf(connectWith(world.platform, 'n1')))).toBe('UNSUPPORTED none');
  });

  test('createClient does not wait: the first operation connects', async () => {
    const world = new World();
    const cluster = new FakeCluster(world, ['n1']);
    cluster.createTopic('orders');
    const client = createClient(world.platform, 'n1');
    expect(client.state).toBe('connecting');
    await world.run(client.topic('orders', utf8).append({ value: 'a' }));
    expect(client.state).toBe('ready');
  });

  test('an aborted signal closes the client; every later call is CLOSED', async () => {
    const controller = new AbortController();
    const { world, client } = await scene({ signal: controller.signal });
    controller.abort();
    expect(client.state).toBe('closed');
    expect(await world.run(outcomeOf(client.topic('orders').tail()))).toBe('CLOSED none');
    expect(() => client.topic('orders').producer()).toThrow(/client was closed/);
  });
});

describe('nodes come and go', () => {
  test('with discover: false only the given server is used, also for writes it has to forward', async () => {
    const { world, cluster, client, partition } = await scene({ servers: ['n3'], discover: false });
    await world.run(client.topic('orders', utf8).append({ value: 'a' }));
    const records = client.topic('orders', utf8).subscribe()[Symbol.asyncIterator]();
    expect((await world.run(records.next())).value?.value).toBe('a');
    expect(new Set(cluster.received.map(({ node }) => node))).toEqual(new Set(['n3']));
    expect(partition.leader).toBe('n1');
  });

  test('writes go to the leader directly', async () => {
    const { world, cluster, client } = await scene({ servers: ['n3'] });
    await world.run(client.topic('orders', utf8).append({ value: 'a' }));
    expect(cluster.received.find(({ frame }) => frame.message.kind === 'append')?.node).toBe('n1');
  });

  test('a lost connection is brought back without anybody asking, and events tell of it', async () => {
    const { world, cluster, client } = await scene({ nodes: ['n1'] });
    const events = client.events()[Symbol.asyncIterator]();
    cluster.node('n1').kill();
    expect((await world.run(events.next())).value).toMatchObject({ kind: 'reconnecting', node: 'n1' });
    expect(client.state).toBe('reconnecting');
    cluster.node('n1').state = 'up';
    expect((await world.run(events.next())).value).toMatchObject({ kind: 'connected', node: 'n1' });
    expect(client.state).toBe('ready');
  });

  test('GOAWAY moves the client elsewhere without an error', async () => {
    const { world, cluster, client } = await scene({ servers: ['n1', 'n2'] });
    const events = client.events()[Symbol.asyncIterator]();
    cluster.node('n1').goAway('restart');
    expect((await world.run(events.next())).value).toMatchObject({ kind: 'goaway', node: 'n1', reason: 'restart' });
    expect((await world.run(events.next())).value).toMatchObject({ kind: 'connected' });
    await world.run(client.topic('orders', utf8).append({ value: 'a' }));
    expect(
      cluster.received.filter(({ frame }) => frame.message.kind === 'append').map(({ node }) => node),
    ).not.toContain('n1');
  });

  describe('a node that joined after the client had connected', () => {
    /** Nodes but the first one are in no WELCOME, only in the answer to a question for the nodes. */
    const alone: NonNullable<FakeCluster['outgoing']> = (_, __, message, payload) =>
      message.kind === 'welcome' ? { message: { ...message, nodes: message.nodes.slice(0, 1) }, payload } : undefined;

    test('is there to go to when the first ones are gone', async () => {
      const { world, cluster, client } = await scene({ servers: ['n1'], heartbeatMs: 2_000 });
      cluster.outgoing = alone;
      cluster.node('n1').goAway();
      await world.advance(2_500);
      cluster.node('n1').kill();
      for (const partition of cluster.topics.get('orders')!.partitions) cluster.elect(partition, 'n2');
      await world.run(client.topic('orders', utf8).append({ value: 'a' }));
      expect(cluster.received.findLast(({ frame }) => frame.message.kind === 'append')?.node).not.toBe('n1');
    });

    test('is asked for when it is named as the leader', async () => {
      const arrange = (cluster: FakeCluster): void => {
        cluster.outgoing = alone;
        cluster.elect(cluster.topics.get('orders')!.partitions[0]!, 'n2');
      };
      const { world, cluster, client } = await scene({ servers: ['n1'], arrange });
      await world.advance(1_000);
      await world.run(client.topic('orders', utf8).append({ value: 'a' }));
      const appends = cluster.received.filter(({ frame }) => frame.message.kind === 'append');
      expect(appends.map(({ node }) => node)).toEqual(['n2']);
    });
  });

  test('an idle node that falls silent is left after two heartbeats; one that owes an answer sooner', async () => {
    const idle = await scene({ nodes: ['n1'], heartbeatMs: 4_000 });
    idle.cluster.node('n1').hang();
    await idle.world.advance(7_900);
    expect(idle.client.state).toBe('ready');
    await idle.world.advance(5_000);
    expect(idle.client.state).toBe('reconnecting');

    const busy = await scene();
    await busy.world.run(busy.client.topic('orders', utf8).tail());
    busy.cluster.node('n1').hang();
    busy.cluster.elect(busy.partition, 'n2');
    const startMs = busy.world.nowMs;
    await busy.world.run(busy.client.topic('orders', utf8).append({ value: 'a' }));
    expect(busy.world.nowMs - startMs).toBeLessThan(4_000);
  });

  test('silence before a question does not count against its answer', async () => {
    const { world, cluster, client } = await scene({ nodes: ['n1'] });
    const topic = client.topic('orders', utf8);
    await world.run(topic.append({ value: 'a' }));
    await world.advance(10_000);
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return frame.message.kind === 'ping';
      world.platform.timers.after(2_000, () => cluster.handle(session, frame));
      return true;
    };
    await world.run(topic.append({ value: 'b' }));
    expect(cluster.connections).toBe(1);
  });

  test.for([
    { bytes: 900_000, isKept: true },
    { bytes: 90, isKept: false },
  ])('a connection whose $bytes bytes are answered after 8 s is kept: $isKept', async ({ bytes, isKept }) => {
    // Of a slow uplink: the PING behind the bytes is answered as late as they are.
    const { world, cluster, client } = await scene({ nodes: ['n1'], requestTimeoutMs: 30_000 });
    const topic = client.topic('orders', utf8);
    await world.run(topic.append({ value: 'a' }));
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return frame.message.kind === 'ping';
      world.platform.timers.after(8_000, () => cluster.handle(session, frame));
      return true;
    };
    const append = topic.append({ value: 'b'.repeat(bytes) });
    append.catch(() => {});
    await world.advance(9_000);
    expect(cluster.connections === 1).toBe(isKept);
  });

  test('a live node is asked for a sign of life every heartbeat, and kept', async () => {
    const { world, cluster, client } = await scene({ nodes: ['n1'], heartbeatMs: 1_000 });
    await world.advance(10_500);
    const pings = cluster.received.filter(({ frame }) => frame.message.kind === 'ping').length;
    expect(pings).toBeGreaterThanOrEqual(8);
    expect(cluster.connections).toBe(1);
    expect(client.state).toBe('ready');
  });

  test('what breaks the protocol ends that connection, not the client', async () => {
    const { world, cluster, client } = await scene();
    for (const { socket } of cluster.node('n1').sessions) socket.send([Uint8Array.of(1, 2, 3)]);
    await world.settle();
    await world.run(client.topic('orders', utf8).append({ value: 'a' }));
    expect(cluster.connections).toBeGreaterThan(1);
  });
});

describe('one-shot appends', () => {
  test('append and appendBatch answer with their place', async () => {
    const { world, client, partition } = await scene();
    const topic = client.topic('orders', utf8);
    expect(await world.run(topic.append({ value: 'a' }))).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 0,
      timestamp: 1_700_000_000_000,
      term: 1,
      duplicate: false,
      token: expect.stringMatching(/^\d+\.0\.0\.1$/),
    });
    const batch = await world.run(topic.appendBatch([{ value: 'b' }, { value: 'c' }]));
    expect(batch).toMatchObject({ offset: 1, lastOffset: 2, count: 2, token: expect.stringMatching(/^\d+\.0\.2\.1$/) });
    expect(partition.batches).toHaveLength(2);
  });

  test('a lost answer is asked for again and found: one copy, the original offset (F25)', async () => {
    const { world, cluster, client, partition } = await scene();
    let isFirst = true;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append' || !isFirst) return false;
      isFirst = false;
      cluster.outgoing = () => 'drop';
      cluster.handle(session, frame);
      cluster.outgoing = undefined;
      session.socket.cut();
      return true;
    };
    expect(await world.run(client.topic('orders', utf8).append({ value: 'a' }))).toMatchObject({
      offset: 0,
      duplicate: true,
    });
    expect(partition.values()).toEqual(['a']);
  });

  test('many at once use a bounded number of producers, and do not fail each other', async () => {
    const { world, cluster, client, partition } = await scene();
    let seen = 0;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append' || seen++ !== 10) return false;
      session.nack(frame.message.requestId, 'STORAGE_CORRUPT');
      return true;
    };
    const topic = client.topic('orders', utf8);
    const outcomes = await world.run(
      Promise.all(Array.from({ length: 300 }, (_, at) => outcomeOf(topic.append({ value: `${at}` })))),
    );
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(299);
    expect(outcomes.filter((outcome) => outcome === 'STORAGE_CORRUPT none')).toHaveLength(1);
    expect(partition.producers.size).toBeLessThanOrEqual(64);
    expect(new Set(partition.values()).size).toBe(299);
  });

  test('an unknown outcome of one call does not stand in the way of the next', async () => {
    const { world, cluster, client, partition } = await scene({ requestTimeoutMs: 1_000 });
    const topic = client.topic('orders', utf8);
    cluster.incoming = (_, { message }) => message.kind === 'append';
    expect(await world.run(outcomeOf(topic.append({ value: 'a' })))).toBe('TIMEOUT unknown');
    cluster.incoming = undefined;
    await world.run(topic.append({ value: 'b' }));
    expect(partition.values()).toEqual(['b']);
  });

  test('aborting tells what is known: none before it was sent, unknown after', async () => {
    const { world, cluster, client, partition } = await scene();
    const topic = client.topic('orders', utf8);
    expect(await world.run(outcomeOf(topic.append({ value: 'a' }, { signal: AbortSignal.abort() })))).toBe(
      'ABORTED none',
    );
    const controller = new AbortController();
    cluster.incoming = (_, { message }) => message.kind === 'append';
    const sent = outcomeOf(topic.append({ value: 'b' }, { signal: controller.signal }));
    await world.settle();
    controller.abort();
    expect(await world.run(sent)).toBe('ABORTED unknown');
    cluster.incoming = undefined;
    await world.run(topic.append({ value: 'c' }));
    expect(partition.values()).toEqual(['c']);
  });

  test('a batch lies in one partition: records that disagree are refused', async () => {
    const { world, client } = await scene({ partitions: 2 });
    const topic = client.topic('orders', utf8);
    const mixed = [
      { value: 'a', partition: 0 },
      { value: 'b', partition: 1 },
    ];
    expect(await world.run(outcomeOf(topic.appendBatch(mixed)))).toBe('INVALID none');
    expect(await world.run(outcomeOf(topic.appendBatch([])))).toBe('INVALID none');
    expect(await world.run(outcomeOf(topic.append({ value: 'c', partition: 2 })))).toBe('PARTITION_NOT_FOUND none');
  });

  test('too large for a record or for a batch is said before anything is sent', async () => {
    const { world, cluster, client } = await scene({
      arrange: (arranged) => {
        arranged.recordBytesMax = 1_000;
        arranged.batchBytesMax = 2_000;
      },
    });
    const topic = client.topic('orders');
    const big = { value: new Uint8Array(900) };
    expect(await world.run(outcomeOf(topic.append({ value: new Uint8Array(1_001) })))).toBe('TOO_LARGE none');
    expect(await world.run(outcomeOf(topic.appendBatch([big, big, big])))).toBe('TOO_LARGE none');
    expect(cluster.received.some(({ frame }) => frame.message.kind === 'append')).toBe(false);
  });

  test('a name that belongs to another topic by now is written to under its new id', async () => {
    const { world, cluster, client } = await scene();
    const topic = client.topic('orders', utf8);
    await world.run(topic.append({ value: 'old' }));
    cluster.topics.delete('orders');
    const again = cluster.createTopic('orders');
    await world.run(topic.append({ value: 'new' }));
    expect(again.partitions[0]?.values()).toEqual(['new']);
  });
});

describe('reading once', () => {
  test('says what was read, from where, and where to go on', async () => {
    const { world, client, partition } = await scene();
    fill(partition, [['a', 'b'], ['c'], ['d']]);
    const topic = client.topic('orders', utf8);
    const first = await world.run(topic.read({ from: { offset: 1 } }));
    expect(first.records.map(({ value }) => value)).toEqual(['b', 'c']);
    expect(first).toMatchObject({ nextOffset: 3, tail: 4, earliest: 0, level: 'any', node: 'n1', appliedOffset: 4 });
    const cut = await world.run(topic.read({ maxRecords: 1 }));
    expect([cut.records.length, cut.nextOffset]).toEqual([1, 1]);
    const end = await world.run(topic.read({ from: { offset: first.nextOffset + 1 } }));
    expect([end.records, end.nextOffset]).toEqual([[], 4]);
  });

  test('a damaged answer is asked of another node; damage everywhere is CRC', async () => {
    const { world, cluster, client, partition } = await scene();
    fill(partition, [['a']]);
    let damage = 1;
    cluster.outgoing = (_, __, message, payload) => {
      if (message.kind !== 'response' || message.body.kind !== 'read' || damage-- <= 0) return undefined;
      const copy = new Uint8Array(payload[0]!);
      copy[copy.length - 1]! ^= 1;
      return { message, payload: [copy] };
    };
    const topic = client.topic('orders', utf8);
    expect((await world.run(topic.read())).records).toHaveLength(1);
    const asked = cluster.received.filter(
      ({ frame: { message } }) => message.kind === 'request' && message.body.kind === 'read',
    );
    expect(new Set(asked.map(({ node }) => node)).size).toBe(2);
    damage = 100;
    expect(await world.run(outcomeOf(topic.read()))).toBe('CRC none');
  });

  test('tail is linearizable, and asked of the leader first', async () => {
    const { world, client, partition } = await scene({ servers: ['n2', 'n1'] });
    fill(partition, [['a', 'b']]);
    expect(await world.run(client.topic('orders').tail())).toMatchObject({
      offset: 2,
      earliest: 0,
      level: 'linearizable',
      node: 'n1',
    });
  });

  test('a question is asked elsewhere when the node is lost, and has outcome none when nobody is left', async () => {
    const { world, cluster, client, partition } = await scene({ requestTimeoutMs: 2_000 });
    fill(partition, [['a']]);
    await world.run(client.topic('orders').tail());
    cluster.node('n1').kill();
    cluster.elect(partition, 'n2');
    expect((await world.run(client.topic('orders').tail())).offset).toBe(1);
    for (const node of cluster.nodes) node.kill();
    expect(await world.run(outcomeOf(client.topic('orders').tail()))).toBe('CONNECTION none');
  });
});

describe('admin', () => {
  test('creates, lists, describes, trims and deletes', async () => {
    const { world, client } = await scene();
    const { admin } = client;
    const created = await world.run(admin.createTopic({ name: 'logs', partitions: 2 }));
    expect(created).toMatchObject({ name: 'logs', partitions: [{ partition: 0 }, { partition: 1 }] });
    expect(await world.run(outcomeOf(admin.createTopic({ name: 'logs' })))).toBe('TOPIC_EXISTS none');
    expect(await world.run(admin.ensureTopic({ name: 'logs' }))).toMatchObject({ id: created.id, created: false });
    expect(await world.run(admin.ensureTopic({ name: 'more' }))).toMatchObject({ created: true });
    const names: string[] = [];
    await world.run(
      (async () => {
        for await (const { name } of admin.listTopics({ prefix: 'lo' })) names.push(name);
      })(),
    );
    expect(names).toEqual(['logs']);
    await world.run(admin.trim('orders', 5));
    expect((await world.run(admin.describeTopic('orders'))).partitions[0]?.earliest).toBe(5);
    await world.run(admin.deleteTopic('logs'));
    expect(await world.run(outcomeOf(admin.describeTopic('logs')))).toBe('TOPIC_NOT_FOUND none');
    expect(await world.run(admin.cluster())).toMatchObject({ clusterId: 'c1', nodeId: 'n1' });
  });

  test.each(['', '.hidden', 'a b', 'a/b', 'x'.repeat(201)])(
    'the topic name %j is refused without asking',
    async (name) => {
      const { world, cluster, client } = await scene();
      const asked = cluster.received.length;
      expect(await world.run(outcomeOf(client.admin.createTopic({ name })))).toBe('INVALID none');
      expect(() => client.topic(name)).toThrow(/topic name/);
      expect(cluster.received).toHaveLength(asked);
    },
  );

  test('an order whose answer is lost is unknown and not given twice; one that is safe to repeat is', async () => {
    const { world, cluster, client } = await scene();
    const given: string[] = [];
    cluster.incoming = (session, frame) => {
      const { message } = frame;
      if (message.kind !== 'request' || given.push(message.body.kind) > 1) return false;
      cluster.outgoing = () => 'drop';
      cluster.handle(session, frame);
      cluster.outgoing = undefined;
      session.socket.cut();
      return true;
    };
    expect(await world.run(outcomeOf(client.admin.deleteTopic('orders')))).toBe('CONNECTION unknown');
    expect(given).toEqual(['delete-topic']);
    given.length = 0;
    cluster.createTopic('orders');
    expect(await world.run(outcomeOf(client.admin.trim('orders', 0)))).toBe('ok');
    expect(given).toEqual(['trim', 'trim']);
  });
});
