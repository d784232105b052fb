/**
 * A log that is found damaged while it is open, and that nobody can mend any more: it is given up, but not before the
 * others have shown that they do without it, and the replica begins anew.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { encodeCall } from '../../src/broker/peer-calls.ts';
import { LogError } from '../../src/protocol/index.ts';
import { crashAll, endLater } from './support/endings.ts';
import { FaultyDisk } from './support/faulty-disk.ts';
import { damageFile, segmentsOf } from './support/files.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const CATALOG_LOG = '/data/logs/0000000000';
const TOPIC_LOG = '/data/logs/0000000001';
const RECORDS = 40;
afterEach(crashAll);

async function append(cluster: SimCluster, on: string, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const batch = batchOf([`${i}-${'x'.repeat(6_000)}`]);
    const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, batch, producer: undefined };
    await cluster.wait(cluster.broker(on).append({ ...request, redirect: false }));
  }
}

function from(offset: number) {
  return { topic: { name: 't' }, partition: 0, start: { kind: 'offset', offset }, level: 'any' } as const;
}

async function filled(replicas?: number): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, { segmentBytes: 65_536, cacheBytesMax: 1 });
  endLater(cluster);
  for (const id of THREE) cluster.node(id).disk = new FaultyDisk();
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t', replicas === undefined ? {} : { replicas });
  await append(cluster, 'n1', RECORDS);
  await cluster.time.advance(500);
  return cluster;
}

const said = (cluster: SimCluster, text: string): boolean =>
  cluster.node('n2').lines.some(({ message }) => message.startsWith(text));
const hasBegunAnew = (cluster: SimCluster): boolean => said(cluster, 'a replica has rejoined');

/** n2, which hears the others and is not heard, finds the end of its log damaged. */
async function damaged(cluster: SimCluster): Promise<void> {
  for (const link of ['n2>n1', 'n2>n3']) cluster.cut.add(link);
  await damageFile(cluster, 'n2', (await segmentsOf(cluster, 'n2', TOPIC_LOG)).at(-1)!, 12_000);
  const read = cluster.broker('n2').read({ ...from(RECORDS - 3), bytesMax: 100_000, waitMs: 0 });
  await expect(cluster.wait(read)).rejects.toThrow('damaged');
}

/** The others trim all that was damaged; n2 hears of that as well, so that its log ends where theirs do. */
async function trimmedElsewhere(cluster: SimCluster): Promise<void> {
  const before = (await segmentsOf(cluster, 'n1', TOPIC_LOG)).at(-1)!;
  await append(cluster, 'n1', RECORDS / 2);
  await cluster.wait(cluster.broker('n1').trim('t', 0, RECORDS + 10));
  for (const id of ['n1', 'n3']) {
    while ((await segmentsOf(cluster, id, TOPIC_LOG))[0]! <= before) await cluster.time.advance(100);
  }
}

describe('a damaged end that all others have trimmed', () => {
  test('is found while the log is open: it is set aside, and the replica begins anew and takes part', async () => {
    const cluster = await filled();
    await damaged(cluster);
    await trimmedElsewhere(cluster);
    const tail = RECORDS + RECORDS / 2;
    const reader = await cluster.wait(cluster.broker('n2').subscribe(from(tail - 1)));
    await cluster.wait(reader.next(1));
    const codes = new Set<string>();
    const noted = (error: unknown): void => void codes.add(LogError.is(error) ? error.code : String(error));
    cluster.cut.clear();
    while (!hasBegunAnew(cluster)) {
      cluster
        .broker('n2')
        .read({ ...from(tail), bytesMax: 1, waitMs: 0 })
        .catch(noted);
      if (said(cluster, 'a log is lost')) reader.next(1).catch(noted);
      await cluster.time.advance(5);
    }
    // Who had read further than a log that is begun anew goes is not told that there are no such records.
    expect([...codes]).toEqual(['NOT_YET']);
    await cluster.ready();
    expect(cluster.damageOn('n2')).toBe('no damage known');
    // It is needed for the majority now.
    await cluster.crash('n3');
    await append(cluster, 'n1', 1);
  });

  test('is kept until the others have committed without this replica', async () => {
    const cluster = await filled();
    await damaged(cluster);
    await trimmedElsewhere(cluster);
    // It hears both, which do not hear each other: they know what they trimmed, and commit nothing.
    cluster.cut.clear();
    for (const link of ['n1>n3', 'n3>n1']) cluster.cut.add(link);
    await cluster.until(() => cluster.damageOn('n2').includes('every other replica has trimmed it'), 'known', 60_000);
    await cluster.time.advance(20_000);
    expect(said(cluster, 'a log is lost')).toBe(false);
    cluster.cut.clear();
    await cluster.until(() => hasBegunAnew(cluster), 'begun anew', 60_000);
    await cluster.ready();
  });

  test('goes on after a start at any moment of it', async () => {
    for (let ms = 0; ; ms += 300) {
      const cluster = await filled();
      await damaged(cluster);
      await trimmedElsewhere(cluster);
      cluster.cut.clear();
      await cluster.time.advance(ms);
      const isOver = hasBegunAnew(cluster);
      await cluster.crash('n2');
      await cluster.start('n2');
      await cluster.until(() => hasBegunAnew(cluster), 'begun anew', 60_000);
      await cluster.ready();
      expect(cluster.damageOn('n2')).toBe('no damage known');
      if (isOver) return;
    }
  });
});

test('a catalog that is begun anew leaves the node with what it knew until then, and with its partitions', async () => {
  const cluster = new SimCluster(THREE, { segmentBytes: 16_384, cacheBytesMax: 1 });
  endLater(cluster);
  const disk = new FaultyDisk();
  cluster.node('n2').disk = disk;
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t', { partitions: 3 });
  await append(cluster, 'n1', 1);
  const busy = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      await cluster.createTopic('passing');
      await cluster.wait(cluster.broker('n1').deleteTopic('passing'));
    }
  };
  await busy(10);
  for (const link of ['n2>n1', 'n2>n3']) cluster.cut.add(link);
  const log = CATALOG_LOG;
  // Two bytes, further apart than the header of a frame is long: that alone would be mended from its entries.
  for (const at of [8_000, 8_100]) {
    await damageFile(cluster, 'n2', (await segmentsOf(cluster, 'n2', log)).at(-1)!, at);
  }
  // Somebody asks for entries, and so the damage is found.
  for (let index = 1; !cluster.damageOn('n2').includes('damaged groups: 0'); index += 1) {
    const wanted = encodeCall({ groupId: 0, index, witness: { index, term: 1 } });
    await cluster.wait(cluster.network.node('n2')!.handler.onCall('n1', 'fetch-entry', Buffer.concat(wanted)));
  }
  const before = (await segmentsOf(cluster, 'n1', log)).at(-1)!;
  while ((await segmentsOf(cluster, 'n3', log))[0]! <= before || (await segmentsOf(cluster, 'n1', log))[0]! <= before)
    await busy(5);
  const renamed: string[] = [];
  disk.isOutOfRoom = (call, path) => {
    if (call === 'rename') renamed.push(path);
    return false;
  };
  cluster.cut.clear();
  while (!hasBegunAnew(cluster)) {
    await cluster.time.advance(5);
    const { partitions } = await cluster.wait(
      cluster
        .broker('n2')
        .describeTopic('t')
        .catch(() => ({ partitions: [] })),
    );
    if (partitions.length > 0) expect(partitions).toHaveLength(3);
    expect(
      cluster
        .broker('n2')
        .cluster()
        .nodes.map(({ state }) => state),
    ).toEqual(['member', 'member', 'member']);
  }
  await cluster.ready();
  expect(cluster.damageOn('n2')).toBe('no damage known');
  expect(renamed.filter((path) => /logs.0000000001/.test(path) && !path.includes('/logs/0000000001/'))).toEqual([]);
});
