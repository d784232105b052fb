/** Logs that are not on the disk of a node that starts (R18, decision 0015). */
import { afterEach, expect, test } from 'vitest';
import { type Disk, MemoryDisk } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { crashAll, endLater } from './support/endings.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
afterEach(crashAll);

async function started(disk: Disk = new MemoryDisk()): Promise<SimCluster> {
  const cluster = new SimCluster(THREE);
  cluster.node('n1').disk = disk;
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  return cluster;
}

function groups(cluster: SimCluster, id: string): Promise<readonly number[]> {
  return cluster.wait(cluster.node(id).directory!.groups());
}

function logsCheck(cluster: SimCluster, id: string): object | undefined {
  return cluster
    .broker(id)
    .readiness()
    .find(({ name }) => name === 'logs');
}

test('a node that starts without its peers makes no log that it removed, though its catalog still places it there', async () => {
  const disk = new ModelDisk();
  const cluster = await started(disk);
  await cluster.createTopic('kept');
  await cluster.createTopic('gone');
  await cluster.wait(cluster.broker('n1').deleteTopic('gone'));
  expect(await groups(cluster, 'n1')).toEqual([0, 1]);
  for (const id of THREE) cluster.kill(id);
  cluster.node('n1').disk = disk.copy();
  await cluster.start('n1');
  await cluster.time.advance(2_000);
  // The end of the topic lies in its log, and nothing there says that it was committed.
  expect((await cluster.broker('n1').listTopics()).map(({ name }) => name)).toEqual(['kept', 'gone']);
  expect(await groups(cluster, 'n1')).toEqual([0, 1]);
  expect(logsCheck(cluster, 'n1')).toMatchObject({ isOk: false, detail: expect.stringContaining('to be current') });
});

test('what was placed on a node while it was away is made once its catalog is current', async () => {
  const cluster = await started();
  await cluster.crash('n3');
  await cluster.createTopic('new');
  await cluster.start('n3');
  await cluster.ready();
  expect(await groups(cluster, 'n3')).toEqual([0, 1]);
  expect(logsCheck(cluster, 'n3')).toMatchObject({ isOk: true });
});

test('logs that are on the disk are opened at once: two nodes of three go on while nobody leads the catalog yet', async () => {
  const cluster = await started();
  await cluster.createTopic('t');
  for (const id of THREE) await cluster.crash(id);
  await cluster.start('n2');
  await cluster.time.advance(2_000);
  // Alone, so that nothing is current; its replica campaigns all the same.
  expect(logsCheck(cluster, 'n2')).toMatchObject({ isOk: false, detail: expect.stringContaining('0 partitions') });
  await cluster.start('n3');
  await cluster.ready();
});
