/**
 * A replica whose log is lost or unusable on a node that is otherwise whole: never started empty as if it had promised
 * nothing, no part in anything until it has rejoined, and then a full part again (R19, W26, F50).
 */
import { afterEach, describe, expect, test } from 'vitest';
import { crashAll, endLater } from './support/endings.ts';
import { append, readToTail } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const TOPIC_LOG = '/data/logs/0000000001';
const CATALOG_LOG = '/data/logs/0000000000';
const RECORDS = 20;
afterEach(crashAll);

/** A topic of several segments on three nodes. */
async function filled(): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, { segmentBytes: 65_536, cacheBytesMax: 1 });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  for (let i = 0; i < RECORDS; i += 1) await append(cluster, 'n1', `${i}-${'x'.repeat(6_000)}`);
  await cluster.time.advance(500);
  return cluster;
}

async function files(cluster: SimCluster, id: string, directory: string): Promise<string[]> {
  return (await cluster.node(id).disk.list(directory)).map(({ name }) => name).sort();
}

async function removeFiles(cluster: SimCluster, id: string, directory: string, wanted: RegExp): Promise<void> {
  const { disk } = cluster.node(id);
  for (const name of await files(cluster, id, directory)) {
    if (wanted.test(name)) await disk.remove(`${directory}/${name}`);
  }
  await disk.syncDirectory(directory);
}

/** Every byte of a file turned. */
async function spoil(cluster: SimCluster, id: string, path: string): Promise<void> {
  const file = await cluster.node(id).disk.open(path, 'write');
  const bytes = new Uint8Array(await file.bytes());
  await file.read(0, bytes);
  await file.write(0, [bytes.map((byte) => byte ^ 0xff)]);
  await file.flush();
  await file.close();
}

type Loss = (cluster: SimCluster, id: string, log: string) => Promise<void>;

const LOSSES: readonly { readonly what: string; readonly lose: Loss; readonly named: string }[] = [
  {
    what: 'the whole directory is gone',
    lose: async (cluster, id, log) => {
      await removeFiles(cluster, id, log, /./);
      await cluster.node(id).disk.removeDirectory(log);
    },
    named: 'the directory of a log that took part is missing',
  },
  {
    what: 'all segments are gone, term and vote are there',
    lose: (cluster, id, log) => removeFiles(cluster, id, log, /\.segment$/),
    named: 'missing',
  },
  {
    what: 'term and vote are gone, the segments are there',
    lose: (cluster, id, log) => removeFiles(cluster, id, log, /^hard-state$/),
    named: 'hard-state',
  },
  {
    what: 'both slots of the hard state are damaged',
    lose: (cluster, id, log) => spoil(cluster, id, `${log}/hard-state`),
    named: 'hard-state',
  },
  {
    what: 'the manifest is gone',
    lose: (cluster, id, log) => removeFiles(cluster, id, log, /^manifest$/),
    named: 'manifest',
  },
  {
    what: 'both copies of the manifest are damaged',
    lose: (cluster, id, log) => spoil(cluster, id, `${log}/manifest`),
    named: 'manifest',
  },
  {
    what: 'its standing is gone',
    lose: (cluster, id, log) => removeFiles(cluster, id, '/data/standing', new RegExp(`^${log.slice(-10)}$`)),
    named: 'standing',
  },
  {
    what: 'both copies of its standing are damaged',
    lose: (cluster, id, log) => spoil(cluster, id, `/data/standing/${log.slice(-10)}`),
    named: 'standing',
  },
];

describe.each([
  ['a topic', TOPIC_LOG],
  ['the catalog', CATALOG_LOG],
])('the log of %s', (_, log) => {
  test.each(LOSSES)('is made anew from the others when $what, and takes part again', async ({ lose, named }) => {
    const cluster = await filled();
    await cluster.crash('n2');
    await lose(cluster, 'n2', log);
    await cluster.start('n2');
    await cluster.until(
      () => cluster.node('n2').lines.some(({ message }) => message.startsWith('a replica has rejoined')),
      'rejoined',
    );
    const lost = cluster.node('n2').lines.find(({ message }) => message.startsWith('a log is lost'));
    expect(String((lost?.fields as { err?: Error } | undefined)?.err?.message)).toContain(named);
    await cluster.ready();
    expect(cluster.damageOn('n2')).toBe('no damage known');
    expect(await readToTail(cluster, 'n2')).toBe(RECORDS);
    // Nothing is left of what was set aside.
    expect(await files(cluster, 'n2', '/data/logs')).toEqual(['0000000000', '0000000001']);
    // It is needed for the majority now.
    await cluster.crash('n3');
    expect((await append(cluster, 'n1', 'needs both')).baseOffset).toBe(RECORDS);
  });
});

describe('while it rejoins, a replica', () => {
  async function rejoiningAlone(): Promise<SimCluster> {
    const cluster = await filled();
    for (const id of THREE) await cluster.crash(id);
    await removeFiles(cluster, 'n2', TOPIC_LOG, /^hard-state$/);
    return cluster;
  }

  test('helps to elect nobody: without a majority of the others there is no leader, and no end is invented', async () => {
    const cluster = await rejoiningAlone();
    await cluster.start('n1');
    await cluster.start('n2');
    await cluster.time.advance(10_000);
    const status = cluster.broker('n1').describeTopic('t');
    expect((await cluster.wait(status)).partitions[0]?.leader).toBeUndefined();
    expect(cluster.damageOn('n2')).toContain('rejoining groups: 1 (');
    // The third comes, the two others elect, and the lost one is taken back.
    await cluster.start('n3');
    await cluster.ready();
    await cluster.until(() => cluster.damageOn('n2') === 'no damage known', 'n2 has rejoined');
    expect(await readToTail(cluster, 'n2')).toBe(RECORDS);
  });

  test('stays marked over restarts, and what was set aside is kept until it is back', async () => {
    const cluster = await rejoiningAlone();
    await cluster.start('n2');
    await cluster.time.advance(1_000);
    const aside = await files(cluster, 'n2', `${TOPIC_LOG}.lost`);
    expect(aside).toContain('manifest');
    for (let i = 0; i < 3; i += 1) {
      await cluster.crash('n2');
      await cluster.start('n2');
      await cluster.time.advance(500);
      expect(await files(cluster, 'n2', `${TOPIC_LOG}.lost`)).toEqual(aside);
    }
    await cluster.start('n1');
    await cluster.start('n3');
    await cluster.ready();
    await cluster.until(() => cluster.damageOn('n2') === 'no damage known', 'n2 has rejoined');
    expect(await readToTail(cluster, 'n2')).toBe(RECORDS);
  });

  test('acks nothing that counts: with one other node up, no append is acknowledged', async () => {
    const cluster = await filled();
    await cluster.crash('n2');
    await removeFiles(cluster, 'n2', TOPIC_LOG, /./);
    await cluster.node('n2').disk.removeDirectory(TOPIC_LOG);
    await cluster.crash('n3');
    await cluster.start('n2');
    const outcome = append(cluster, 'n1', 'only on one disk').then(
      () => 'acknowledged',
      () => 'not acknowledged',
    );
    expect(await outcome).toBe('not acknowledged');
  });
});

test.each([{ lostBy: ['n1', 'n2'] }, { lostBy: ['n1', 'n2', 'n3'] }])(
  'lost by $lostBy the group waits, invents nothing, and what was lost lies untouched',
  async ({ lostBy }) => {
    const cluster = await filled();
    for (const id of THREE) await cluster.crash(id);
    for (const id of lostBy) await removeFiles(cluster, id, TOPIC_LOG, /^hard-state$/);
    const segments = new Map<string, string[]>();
    for (const id of lostBy) segments.set(id, await files(cluster, id, TOPIC_LOG));
    await cluster.startAll();
    const failed = append(cluster, 'n1', 'on no majority').catch((error: unknown) => error);
    await cluster.time.advance(30_000);
    expect(await failed).toBeInstanceOf(Error);
    const { partitions } = await cluster.wait(cluster.broker('n3').describeTopic('t'));
    expect(partitions[0]?.leader).toBeUndefined();
    for (const id of lostBy) {
      expect(cluster.damageOn(id)).toContain('rejoining groups: 1 (');
      expect(await files(cluster, id, `${TOPIC_LOG}.lost`)).toEqual(expect.arrayContaining(segments.get(id)!));
    }
    // The other groups of these nodes go on.
    await cluster.createTopic('other');
  },
);

test('a replica that is alone in its group is never started empty: it is stopped, by name', async () => {
  const cluster = new SimCluster(['n1']);
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await append(cluster, 'n1', 'the only copy');
  await cluster.crash('n1');
  await removeFiles(cluster, 'n1', TOPIC_LOG, /^manifest$/);
  const before = await files(cluster, 'n1', TOPIC_LOG);
  await cluster.start('n1');
  await cluster.time.advance(1_000);
  expect(cluster.damageOn('n1')).toMatch(/stopped groups: 1 \(.*manifest/);
  await expect(append(cluster, 'n1', 'more')).rejects.toThrow();
  expect(await files(cluster, 'n1', TOPIC_LOG)).toEqual(before);
});

test('one that became alone, since the others left, is not either', async () => {
  const cluster = new SimCluster(['n1', 'n2']);
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await append(cluster, 'n1', 'two copies');
  await cluster.wait(cluster.broker('n1').removeNode('n2'));
  await cluster.until(() => cluster.broker('n1').cluster().nodes.length === 1, 'n2 is gone');
  await cluster.crash('n2');
  await cluster.crash('n1');
  await removeFiles(cluster, 'n1', TOPIC_LOG, /^manifest$/);
  const before = await files(cluster, 'n1', TOPIC_LOG);
  await cluster.start('n1');
  await cluster.time.advance(1_000);
  expect(cluster.damageOn('n1')).toMatch(/stopped groups: 1 \(.*manifest/);
  expect(await files(cluster, 'n1', TOPIC_LOG)).toEqual(before);
});
