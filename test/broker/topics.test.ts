/** Changes of the catalog, as the node that was asked shows them. */
import { afterEach, expect, test } from 'vitest';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const clusters: SimCluster[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0)) {
    for (const [id, node] of cluster.nodes) if (node.broker !== undefined) await cluster.crash(id);
  }
});

test.each(THREE)('who is told by %s of a topic made or deleted finds it so there at once', async (id) => {
  const cluster = new SimCluster(THREE);
  clusters.push(cluster);
  await cluster.startAll();
  await cluster.ready();
  const broker = cluster.broker(id);
  const names = async (): Promise<readonly string[]> => (await broker.listTopics()).map(({ name }) => name);
  const retention = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };
  const made = broker.createTopic({ name: 't', partitions: 1, replicas: 3, retention }).then(names);
  expect(await cluster.wait(made)).toEqual(['t']);
  const deleted = broker.deleteTopic('t').then(names);
  expect(await cluster.wait(deleted)).toEqual([]);
});

test('a change that this node does not hear of in time is told as late, not as undone', async () => {
  const cluster = new SimCluster(THREE);
  clusters.push(cluster);
  await cluster.startAll();
  await cluster.ready();
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
