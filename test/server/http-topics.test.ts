/** Topics, partitions and the members of the cluster over HTTP. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { closeAll } from './support/closing.ts';
import { append, call, door, expectProblem, openUsual } from './support/http-door.ts';

beforeEach(openUsual);
afterEach(closeAll);

describe('topics and the cluster', () => {
  test('a topic is created with its defaults, listed, described and deleted', async () => {
    const created = await call('POST', '/v1/topics', { body: { name: 'new', retention: { maxAgeMs: 5 } } });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({
      name: 'new',
      partitions: [{ partition: 0, leader: 'n1', earliest: 0, tail: 0 }],
    });
    expect(JSON.parse(door.broker.calls[0]?.slice(7) as string)).toEqual({
      name: 'new',
      partitions: 1,
      retention: { maxAgeMs: 5 },
    });
    expectProblem(await call('POST', '/v1/topics', { body: { name: 'new' } }), 409, 'TOPIC_EXISTS');
    const list = await call('GET', '/v1/topics');
    expect(list.json.topics.map(({ name }: { name: string }) => name)).toEqual(['orders', 'new']);
    expect((await call('DELETE', '/v1/topics/new')).status).toBe(204);
    expectProblem(await call('GET', '/v1/topics/new'), 404, 'TOPIC_NOT_FOUND');
  });

  test.each([
    [{ name: 3 }],
    [{}],
    [{ name: 'x', partitions: 0 }],
    [{ name: 'x', partitions: 257 }],
    [{ name: 'x', partitions: '1' }],
    [{ name: 'x', replicas: 1.5 }],
    [{ name: 'x', retention: { maxBytes: -1 } }],
    [{ name: 'x', retention: { maxbytes: 1 } }],
    [{ name: 'x', retention: 5 }],
    [{ name: 'x', retnetion: {} }],
  ])('creating %j is INVALID', async (body) => {
    expectProblem(await call('POST', '/v1/topics', { body }), 400, 'INVALID');
    expect(door.broker.topics.size).toBe(1);
  });

  test('leadership moves, snapshots are taken and logs trimmed by POST', async () => {
    await append([{ value: 'a' }, { value: 'b' }]);
    const moved = await call('POST', '/v1/topics/orders/partitions/0/transfer', { body: { to: 'n2' } });
    expect([moved.status, door.broker.calls.at(-1)]).toEqual([200, 'transfer orders 0 n2']);
    const taken = await call('POST', '/v1/topics/orders/partitions/0/snapshot');
    expect(taken.json).toMatchObject({ index: 7, nextOffset: 2 });
    const trimmed = await call('POST', '/v1/topics/orders/trim', { body: { before: 1 } });
    expect(trimmed.status).toBe(200);
    expect((await call('GET', '/v1/topics/orders')).json.partitions[0].earliest).toBe(1);
    for (const body of [{}, { before: -1 }, { before: '1' }]) {
      expectProblem(await call('POST', '/v1/topics/orders/trim', { body }), 400, 'INVALID');
    }
    expectProblem(await call('POST', '/v1/topics/orders/partitions/x/snapshot'), 400, 'INVALID');
    expectProblem(await call('POST', '/v1/topics/orders/partitions/0/transfer', { body: {} }), 400, 'INVALID');
  });

  test('nodes are added, removed, replaced and drained', async () => {
    const node = { id: 'n4', peerAddress: '127.0.0.1:4468' };
    const orders = [
      await call('POST', '/v1/cluster/nodes', { body: node }),
      await call('DELETE', '/v1/cluster/nodes/n4'),
      await call('POST', '/v1/cluster/nodes/n3/replace', { body: { by: 'n4' } }),
      await call('POST', '/v1/cluster/nodes/n3/replace', { body: { by: 'n4', peerAddress: node.peerAddress } }),
      await call('POST', '/v1/cluster/nodes/n3/drain', { body: {} }),
      await call('POST', '/v1/cluster/nodes/n3/drain', { body: { drained: false } }),
    ];
    expect(orders.map(({ status }) => status)).toEqual([202, 202, 202, 202, 200, 200]);
    expect(door.broker.calls.slice(-6)).toEqual([
      'add n4 127.0.0.1:4468',
      'remove n4',
      'replace n3 n4 -',
      'replace n3 n4 127.0.0.1:4468',
      'drain n3 true',
      'drain n3 false',
    ]);
    expectProblem(await call('POST', '/v1/cluster/nodes', { body: { ...node, id: 'n1' } }), 409, 'NODE_EXISTS');
    expectProblem(await call('DELETE', '/v1/cluster/nodes/n9'), 404, 'NODE_NOT_FOUND');
    for (const body of [{}, { id: 'n4' }, { ...node, port: 1 }, { id: 4, peerAddress: 'x:1' }]) {
      expectProblem(await call('POST', '/v1/cluster/nodes', { body }), 400, 'INVALID');
    }
    expectProblem(await call('POST', '/v1/cluster/nodes/n3/replace', { body: {} }), 400, 'INVALID');
    expectProblem(await call('POST', '/v1/cluster/nodes/n3/drain', { body: { drained: 1 } }), 400, 'INVALID');
  });

  test('the cluster names its nodes', async () => {
    expect((await call('GET', '/v1/cluster')).json).toMatchObject({
      clusterId: 'c1',
      node: 'n1',
      nodes: [{ id: 'n1', up: true, diskUuid: null, version: '9.9.9', partitionsLed: 1 }],
    });
  });

  test.each(['..%2f..%2fetc', '%2e%2e', 'a%00b', 'caf%C3%A9', 'a%2Fb'])(
    'a topic called %s is no topic',
    async (name) => {
      const answer = await call('GET', `/v1/topics/${name}`);
      expect([400, 404]).toContain(answer.status);
      expectProblem(answer, answer.status, answer.json.code);
    },
  );
});
