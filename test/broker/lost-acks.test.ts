/**
 * A disk that went back to an older state of itself: entries it had acked are gone, and perhaps a vote (R21, F34, F57).
 * The leader finds it by the follower's shrinking log; the follower takes no part until it has rejoined.
 */
import { afterEach, expect, test } from 'vitest';
import { type Disk, MemoryDisk } from '../../storage/index.ts';
import { crashAll, endLater } from './support/endings.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
afterEach(crashAll);

/** What a copy of the whole disk would hold, but for the lock of the process. */
async function copyOf(disk: Disk): Promise<Disk> {
  const copy = new MemoryDisk();
  const copyDirectory = async (path: string): Promise<void> => {
    await copy.makeDirectory(path);
    for (const { name, kind } of await disk.list(path)) {
      const inner = `${path}/${name}`;
      if (kind === 'directory') await copyDirectory(inner);
      else if (name !== 'lock') await copyFile(inner);
    }
  };
  const copyFile = async (path: string): Promise<void> => {
    const from = await disk.open(path, 'read');
    const bytes = new Uint8Array(await from.bytes());
    await from.read(0, bytes);
    await from.close();
    const to = await copy.open(path, 'create');
    await to.write(0, [bytes]);
    await to.flush();
    await to.close();
  };
  await copyDirectory('/data');
  return copy;
}

async function append(cluster: SimCluster, on: string, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const batch = batchOf([`${i}-${'x'.repeat(2_000)}`]);
    const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, batch, producer: undefined };
    await cluster.wait(cluster.broker(on).append({ ...request, redirect: false }));
  }
}

/** n2 was stopped, and its disk is as it was ten records ago; n1 leads. */
async function rolledBack(): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, { segmentBytes: 65_536 });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await append(cluster, 'n1', 10);
  await cluster.stop('n2');
  const old = await copyOf(cluster.node('n2').disk);
  await cluster.start('n2');
  await cluster.ready();
  await append(cluster, 'n1', 10);
  await cluster.time.advance(200);
  await cluster.crash('n2');
  cluster.node('n2').disk = old;
  return cluster;
}

const said = (cluster: SimCluster, id: string, text: string): boolean =>
  cluster.node(id).lines.some(({ message }) => message.includes(text));

test('a follower on an old copy of its disk is found by the leader, named on both, and taken back', async () => {
  const cluster = await rolledBack();
  await cluster.start('n2');
  await cluster.until(() => said(cluster, 'n2', 'a replica has rejoined'), 'n2 has rejoined');
  expect(said(cluster, 'n1', 'n2 acked entries up to')).toBe(true);
  expect(said(cluster, 'n2', 'the disk lost entries this replica had acked to n1')).toBe(true);
  await cluster.until(() => cluster.damageOn('n1') === 'no damage known', 'the leader counts it again');
  await cluster.crash('n3');
  await append(cluster, 'n1', 1);
});

test('until it has rejoined, nothing is acknowledged on its word, and it elects nobody', async () => {
  const cluster = await rolledBack();
  await cluster.crash('n3');
  await cluster.start('n2');
  // Alone with it, the leader commits nothing, so that no marker of n2's is committed either.
  const outcome = append(cluster, 'n1', 1).then(
    () => 'acknowledged',
    () => 'not acknowledged',
  );
  await cluster.until(() => said(cluster, 'n2', 'takes no part until it has rejoined'), 'n2 knows');
  expect(await outcome).toBe('not acknowledged');
  // Also after a restart of everybody: the marker is on disk.
  await cluster.crash('n1');
  await cluster.crash('n2');
  await cluster.start('n2');
  await cluster.start('n1');
  await cluster.time.advance(10_000);
  expect(said(cluster, 'n2', 'a replica has rejoined')).toBe(false);
  expect((await cluster.wait(cluster.broker('n1').describeTopic('t'))).partitions[0]?.leader).toBeUndefined();
  // With the third there is a majority without n2.
  await cluster.start('n3');
  await cluster.until(() => said(cluster, 'n2', 'a replica has rejoined'), 'n2 has rejoined');
  await cluster.ready();
});
