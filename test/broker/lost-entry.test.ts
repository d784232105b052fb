/**
 * The same committed entry damaged on every replica: its partition stops, by name, on every node, no end of the log is
 * invented behind or before it, the other partitions live on, and one good copy that comes back heals it.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { LogError } from '../../src/protocol/index.ts';
import { crashAll, endLater } from './support/endings.ts';
import { damageFile, fileBytes, putFile, segmentsOf } from './support/files.ts';
import { append, readToTail } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const RECORDS = 40;
const LOG = '/data/logs/0000000001';
afterEach(crashAll);

async function filled(): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, { segmentBytes: 65_536, cacheBytesMax: 1 });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await cluster.createTopic('other');
  for (let i = 0; i < RECORDS; i += 1) await append(cluster, 'n1', `${i}-${'x'.repeat(6_000)}`);
  await cluster.time.advance(500);
  return cluster;
}

async function failureOf(work: Promise<unknown>): Promise<LogError> {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!LogError.is(failure)) throw new Error(`no LogError, but ${String(failure)}`);
  return failure;
}

/** Everything that is to be seen of a partition that is stopped, on every node, and of one that is not. */
async function expectStopped(cluster: SimCluster, file: string): Promise<void> {
  await cluster.until(
    () => THREE.every((id) => /stopped groups: 1 \(entry \d+ /.test(cluster.damageOn(id))),
    'every node names the partition that is stopped',
    60_000,
  );
  for (const id of THREE) {
    expect(cluster.damageOn(id)).toContain(file);
    expect(cluster.node(id).metrics.get('logdrive_partitions_stopped')).toBe(1);
    const failure = await failureOf(append(cluster, id, 'behind the hole'));
    expect([failure.code, failure.outcome]).toEqual(['STORAGE_CORRUPT', 'none']);
    expect(failure.details).toMatchObject({ topic: 't', partition: 0, file });
    expect(failure.message).toMatch(/entry \d+ \(byte \d+ of .*\) is damaged or missing on every replica/);
    // A damaged partition does not take a node out of service.
    const broken = cluster
      .broker(id)
      .readiness()
      .filter(({ isOk }) => !isOk);
    expect(broken.map(({ name }) => name).filter((name) => name !== 'leaders')).toEqual([]);
    expect((await append(cluster, id, 'lives on', 'other')).baseOffset).toBeDefined();
  }
  const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
  expect(partitions[0]).toMatchObject({ leader: undefined, state: 'damaged' });
}

async function expectHealed(cluster: SimCluster): Promise<void> {
  await cluster.until(
    () => THREE.every((id) => cluster.damageOn(id) === 'no damage known'),
    'no damage is left',
    60_000,
  );
  await cluster.ready();
  for (const id of THREE) {
    expect(cluster.node(id).metrics.get('logdrive_partitions_stopped')).toBe(0);
    expect(await readToTail(cluster, id)).toBe(RECORDS);
  }
  expect((await append(cluster, 'n2', 'goes on')).baseOffset).toBe(RECORDS);
}

describe('the same entry damaged on every replica', () => {
  test('in a sealed segment stops the partition when it is read, and one good file heals all', async () => {
    const cluster = await filled();
    const [path] = await segmentsOf(cluster, 'n3', LOG);
    const good = await fileBytes(cluster, 'n3', path!);
    for (const id of THREE) await damageFile(cluster, id, (await segmentsOf(cluster, id, LOG))[0]!, 20_000);
    const failure = await failureOf(readToTail(cluster, 'n2'));
    expect(failure.code).toBe('STORAGE_CORRUPT');
    await expectStopped(cluster, path!);
    // What is sound is served as before.
    expect(await readToTail(cluster, 'n2', 20)).toBe(RECORDS);

    await cluster.crash('n3');
    await putFile(cluster, 'n3', path!, good);
    await cluster.start('n3');
    await expectHealed(cluster);
  });

  test('in the end of the log stops it from the start on, with all ends where they were, until one is back', async () => {
    const cluster = await filled();
    for (const id of THREE) await cluster.crash(id);
    const path = (await segmentsOf(cluster, 'n3', LOG)).at(-1)!;
    const good = await fileBytes(cluster, 'n3', path);
    for (const id of THREE) await damageFile(cluster, id, (await segmentsOf(cluster, id, LOG)).at(-1)!, 6_000);
    await cluster.startAll();
    await expectStopped(cluster, path);
    for (const id of THREE) expect((await failureOf(readToTail(cluster, id))).code).toBe('STORAGE_CORRUPT');

    // Over restarts of all it stays what it is.
    for (const id of THREE) await cluster.stop(id);
    await cluster.startAll();
    await expectStopped(cluster, path);

    await cluster.stop('n3');
    await putFile(cluster, 'n3', path, good);
    await cluster.start('n3');
    await expectHealed(cluster);
  });

  test('as far as is known is waited for while a replica is down, which is named, and not called lost', async () => {
    const cluster = await filled();
    const path = (await segmentsOf(cluster, 'n1', LOG))[0]!;
    await cluster.crash('n3');
    for (const id of ['n1', 'n2']) await damageFile(cluster, id, (await segmentsOf(cluster, id, LOG))[0]!, 20_000);
    expect((await failureOf(readToTail(cluster, 'n2'))).code).toBe('STORAGE_CORRUPT');
    expect(cluster.damageOn('n2')).toMatch(/waiting groups: 1 \(entry \d+ \(byte \d+ of .*n3 cannot be asked/);
    expect(cluster.damageOn('n2')).toContain(path);
    expect((await append(cluster, 'n1', 'two of three are a majority')).baseOffset).toBe(RECORDS);
    await cluster.start('n3');
    await cluster.until(
      () => THREE.every((id) => cluster.damageOn(id) === 'no damage known'),
      'mended from n3',
      60_000,
    );
    for (const id of THREE) expect(await readToTail(cluster, id)).toBe(RECORDS + 1);
  });
});
