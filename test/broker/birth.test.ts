/** How a cluster is born once, whatever stops in the middle and whoever takes itself for the founder. */
import { afterEach, describe, expect, test } from 'vitest';
import { MemoryDisk } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { endLater, killAll } from './support/endings.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
afterEach(killAll);

function made(): SimCluster {
  const cluster = new SimCluster(THREE);
  endLater(cluster);
  return cluster;
}

function clusterIds(cluster: SimCluster): (string | undefined)[] {
  return cluster.running().map((broker) => broker.cluster().clusterId);
}

/** It works, and all nodes are of one cluster. */
async function expectBorn(cluster: SimCluster): Promise<void> {
  await cluster.until(() => clusterIds(cluster).every((id) => id !== undefined), 'every node belongs to a cluster');
  await cluster.ready();
  expect(new Set(clusterIds(cluster)).size).toBe(1);
  await cluster.createTopic('t', {}, 'n3');
  const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, producer: undefined };
  const append = cluster.broker('n2').append({ ...request, batch: batchOf(['a']), redirect: false });
  expect((await cluster.wait(append)).baseOffset).toBe(0);
}

/** Disk calls of a node from its first one to the end of the birth. */
async function callsOf(id: string): Promise<{ readonly before: number; readonly born: number }> {
  const cluster = made();
  const disk = new ModelDisk();
  cluster.node(id).disk = disk;
  for (const other of THREE) {
    if (other !== id) await cluster.start(other);
  }
  await cluster.start(id);
  const before = disk.calls;
  await cluster.until(() => cluster.broker(id).cluster().clusterId !== undefined, 'it is born');
  return { before, born: disk.calls };
}

test('a node that is stopped at any call of the disk during the birth is done with its directory then', async () => {
  const { before, born } = await callsOf('n1');
  for (let stopAt = before + 1; stopAt <= born; stopAt += 1) {
    const cluster = made();
    let stopping: Promise<void> | undefined;
    const disk = new ModelDisk({
      onCall: ({ number }) => {
        if (number === stopAt) stopping = cluster.broker('n1').stop();
        return undefined;
      },
    });
    cluster.node('n1').disk = disk;
    for (const other of ['n2', 'n3']) await cluster.start(other);
    await cluster.start('n1');
    await cluster.until(() => stopping !== undefined, `call ${stopAt}`);
    await stopping;
    const { calls } = disk;
    await cluster.time.advance(100);
    expect(disk.calls - calls).toBe(0);
    for (const node of THREE) cluster.kill(node);
  }
});

describe('a power cut at any call of the disk during the birth', () => {
  test.each([
    ['of the founder', 'n1'],
    ['of a member that is told', 'n2'],
  ])('%s leaves one cluster in the end', { timeout: 60_000 }, async (_, id) => {
    const { before, born } = await callsOf(id);
    expect(born - before).toBeGreaterThan(10);
    for (let stopAt = before + 1; stopAt <= born + 1; stopAt += 1) {
      const cluster = made();
      const disk = new ModelDisk({ onCall: ({ number }) => (number === stopAt ? 'stop' : undefined) });
      let isStopped = false;
      void disk.stopped.then(() => {
        isStopped = true;
      });
      cluster.node(id).disk = disk;
      for (const other of THREE) if (other !== id) await cluster.start(other);
      await cluster.start(id);
      await cluster.until(() => isStopped || disk.calls > stopAt, `call ${stopAt} of ${id}`);
      cluster.kill(id);
      // The others may go on without it, or wait.
      await cluster.time.advance(stopAt % 2 === 0 ? 10 : 600);
      cluster.node(id).disk = disk.afterCrash(stopAt);
      await cluster.start(id);
      await expectBorn(cluster);
      for (const node of THREE) cluster.kill(node);
    }
  });
});

describe('two nodes that each take themselves for the first', () => {
  test('found nothing, and say why, until they agree', async () => {
    const cluster = made();
    await cluster.start('n1');
    await cluster.start('n2', { nodeIds: ['n2', 'n1', 'n3'] });
    await cluster.start('n3');
    await cluster.time.advance(3_000);
    expect(clusterIds(cluster)).toEqual([undefined, undefined, undefined]);
    const words = cluster
      .node('n1')
      .lines.map(({ message }) => message)
      .join('\n');
    expect(words).toContain('n2, n1, n3');
    await cluster.stop('n2');
    await cluster.start('n2');
    await expectBorn(cluster);
  });

  test('also when one of them names nodes the others do not', async () => {
    const cluster = made();
    await cluster.start('n1');
    await cluster.start('n2', { nodeIds: ['n1', 'n2'] });
    await cluster.start('n3');
    await cluster.time.advance(3_000);
    expect(clusterIds(cluster)).toEqual([undefined, undefined, undefined]);
  });
});

describe('a founder', () => {
  test('waits for every peer, and does nothing without being told that it may', async () => {
    const cluster = made();
    await cluster.start('n1', { bootstrap: false });
    for (const id of ['n2', 'n3']) await cluster.start(id);
    await cluster.time.advance(3_000);
    expect(clusterIds(cluster)).toEqual([undefined, undefined, undefined]);
    await cluster.stop('n1');
    await cluster.start('n1');
    await expectBorn(cluster);
  });

  test('whose links break before it told anybody goes on telling when they are back', async () => {
    const cluster = made();
    for (const id of THREE) await cluster.start(id);
    await cluster.until(() => cluster.broker('n1').cluster().clusterId !== undefined, 'the founder has a cluster');
    for (const id of ['n2', 'n3']) cluster.disconnect('n1', id);
    await cluster.time.advance(1_000);
    for (const id of ['n2', 'n3']) cluster.connect('n1', id);
    await expectBorn(cluster);
  });

  test('that is gone for good after it told one member leaves a cluster all the same', async () => {
    const cluster = made();
    for (const id of THREE) await cluster.start(id);
    while (cluster.broker('n1').cluster().clusterId === undefined) await cluster.time.advance(1);
    cluster.disconnect('n1', 'n3');
    await cluster.until(() => cluster.broker('n2').cluster().clusterId !== undefined, 'one of them is told');
    cluster.kill('n1');
    await cluster.until(() => clusterIds(cluster).every((id) => id !== undefined), 'the other one is told');
    await cluster.ready();
    await cluster.createTopic('t', {}, 'n3');
  });
});

describe('two of three nodes whose disks were emptied', () => {
  const ORDERS = [
    ['n1', 'n2', 'n3'],
    ['n1', 'n3', 'n2'],
    ['n2', 'n1', 'n3'],
    ['n2', 'n3', 'n1'],
    ['n3', 'n1', 'n2'],
    ['n3', 'n2', 'n1'],
  ] as const;
  const cases = THREE.flatMap((survivor) => ORDERS.map((order) => ({ survivor, order: order.join(', ') })));

  test.each(cases)('form no new cluster: $survivor is left, started $order', async ({ survivor, order }) => {
    const cluster = made();
    for (const id of THREE) await cluster.start(id);
    await expectBorn(cluster);
    const [born] = clusterIds(cluster);
    for (const id of THREE) await cluster.stop(id);
    const wiped = THREE.filter((id) => id !== survivor);
    for (const id of wiped) {
      cluster.node(id).disk = new MemoryDisk();
      cluster.node(id).lines.length = 0;
    }
    for (const id of order.split(', ')) {
      await cluster.start(id);
      await cluster.time.advance(3_000);
      for (const other of wiped) expect(cluster.nodes.get(other)?.broker?.cluster().clusterId).toBeUndefined();
    }
    expect(cluster.broker(survivor).cluster().clusterId).toBe(born);
    // Whichever end of a link is told, what to do about each of them is said.
    const words = [...cluster.nodes.values()].flatMap(({ lines }) => lines.map(({ message }) => message));
    for (const id of wiped) {
      expect(words).toContainEqual(
        expect.stringMatching(new RegExp(`node ${id} has a new disk.*logdrive cluster replace`)),
      );
    }
  });
});

test('three nodes whose disks were emptied are a new cluster, which nobody can take for the old one', async () => {
  const cluster = made();
  for (const id of THREE) await cluster.start(id);
  await expectBorn(cluster);
  const [before] = clusterIds(cluster);
  for (const id of THREE) await cluster.stop(id);
  for (const id of THREE) {
    cluster.node(id).disk = new MemoryDisk();
    await cluster.start(id);
  }
  await expectBorn(cluster);
  expect(clusterIds(cluster)).not.toContain(before);
});
