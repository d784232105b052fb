/** Topics over their lives, and changes of the catalog as the node that was asked shows them. */
import { afterEach, describe, expect, test } from 'vitest';
import { append, failure, started, THREE, valuesOn } from './support/clients.ts';
import { crashAll } from './support/endings.ts';

afterEach(crashAll);

describe('topics', () => {
  test('one name is one topic; made again after deletion it is another one', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const exists = await cluster.wait(
      failure(
        cluster.broker('n2').createTopic({
          name: 't',
          partitions: 1,
          replicas: undefined,
          retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined },
        }),
      ),
    );
    expect(exists.code).toBe('TOPIC_EXISTS');
    await cluster.wait(append(cluster, 't', ['old']));
    const { id } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
    await cluster.wait(cluster.broker('n3').deleteTopic('t'));
    await cluster.time.advance(200);
    await cluster.createTopic('t', {}, 'n2');
    await cluster.time.advance(200);
    expect(await valuesOn(cluster, 'n1', 't')).toEqual([]);
    const stale = cluster
      .broker('n1')
      .read({ topic: { id }, partition: 0, start: { kind: 'earliest' }, bytesMax: 1, waitMs: 0, level: 'any' });
    expect((await cluster.wait(failure(stale))).code).toBe('TOPIC_NOT_FOUND');
    for (const node of THREE) expect((await cluster.wait(cluster.node(node).directory!.groups())).length).toBe(2);
  });

  test.each([
    ['no partitions', { name: 'x', partitions: 0, replicas: undefined }],
    ['more replicas than nodes', { name: 'x', partitions: 1, replicas: 4 }],
    ['a leading dot', { name: '.x', partitions: 1, replicas: undefined }],
    ['a slash', { name: 'a/b', partitions: 1, replicas: undefined }],
    ['no name', { name: '', partitions: 1, replicas: undefined }],
  ])('%s is refused', async (_, request) => {
    const cluster = await started(THREE);
    const error = await cluster.wait(
      failure(
        cluster
          .broker('n1')
          .createTopic({ ...request, retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined } }),
      ),
    );
    expect(error.code).toBe('INVALID');
  });

  test('leaders are spread over the nodes and return there after a restart', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t', { partitions: 6 });
    const spread = async (): Promise<number[]> => {
      const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
      return THREE.map((id) => partitions.filter(({ leader }) => leader === id).length);
    };
    expect(await spread()).toEqual([2, 2, 2]);
    await cluster.crash('n2');
    await cluster.time.advance(2_000);
    expect((await spread())[1]).toBe(0);
    await cluster.start('n2');
    await cluster.ready();
    await cluster.time.advance(10_000);
    expect(await spread()).toEqual([2, 2, 2]);
  });

  test('retention by bytes removes whole segments on every replica, and earliest moves', async () => {
    const cluster = await started(THREE, { segmentBytes: 65_536 });
    await cluster.wait(
      cluster.broker('n1').createTopic({
        name: 't',
        partitions: 1,
        replicas: undefined,
        retention: { maxBytes: 150_000, maxAgeMs: undefined, maxRecords: undefined },
      }),
    );
    for (let i = 0; i < 100; i += 1) await cluster.wait(append(cluster, 't', [`${i}-${'x'.repeat(6_000)}`]));
    await cluster.time.advance(5_000);
    for (const id of THREE) {
      const { partitions } = await cluster.wait(cluster.broker(id).describeTopic('t'));
      expect(partitions[0]!.earliest).toBeGreaterThan(50);
      const values = await valuesOn(cluster, id, 't');
      expect(values.at(-1)).toMatch(/^99:99-/);
      expect(values[0]).toMatch(new RegExp(`^${partitions[0]!.earliest}:`));
    }
  });

  test('retention by age removes what is older, as append times say', async () => {
    const cluster = await started(['n1'], { segmentBytes: 65_536 });
    await cluster.wait(
      cluster.broker('n1').createTopic({
        name: 't',
        partitions: 1,
        replicas: undefined,
        retention: { maxBytes: undefined, maxAgeMs: 60_000, maxRecords: undefined },
      }),
    );
    for (let i = 0; i < 30; i += 1) await cluster.wait(append(cluster, 't', [`${i}-${'x'.repeat(6_000)}`]));
    await cluster.time.advance(120_000);
    for (let i = 30; i < 60; i += 1) await cluster.wait(append(cluster, 't', [`${i}-${'x'.repeat(6_000)}`]));
    await cluster.time.advance(5_000);
    const values = await valuesOn(cluster, 'n1', 't');
    expect(Number(values[0]!.split(':')[0])).toBeGreaterThan(20);
    expect(values.at(-1)).toMatch(/^59:59-/);
  });
});

describe('a change of the catalog', () => {
  test.each(THREE)('who is told by %s of a topic made or deleted finds it so there at once', async (id) => {
    const cluster = await started(THREE);
    const broker = cluster.broker(id);
    const names = async (): Promise<readonly string[]> => (await broker.listTopics()).map(({ name }) => name);
    const retention = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };
    const made = broker.createTopic({ name: 't', partitions: 1, replicas: 3, retention }).then(names);
    expect(await cluster.wait(made)).toEqual(['t']);
    const deleted = broker.deleteTopic('t').then(names);
    expect(await cluster.wait(deleted)).toEqual([]);
  });

  test('a change that this node does not hear of in time is told as late, not as undone', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const leader = cluster.broker('n2').cluster().catalogLeader!;
    const asked = THREE.find((id) => id !== leader)!;
    // Asks and is answered, and hears nothing of the log.
    const { handler } = cluster.network.node(asked)!;
    handler.onMessage = () => undefined;
    const deleting = cluster.wait(cluster.broker(asked).deleteTopic('t'));
    await expect(deleting).rejects.toMatchObject({ code: 'TIMEOUT', outcome: 'unknown' });
    expect((await cluster.broker(leader).listTopics()).map(({ name }) => name)).toEqual([]);
  });
});
