/** Damaged bytes on one replica, on all, and in the end of a log: never served, never cut, mended from a peer (P10). */
import { afterEach, describe, expect, test } from 'vitest';
import { LogError } from '../../src/protocol/index.ts';
import { crashAll, endLater } from './support/endings.ts';
import { append, readToTail } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const RECORDS = 40;
afterEach(crashAll);

/** A topic of several sealed segments, on brokers whose caches hold next to nothing. */
async function filled(): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, { segmentBytes: 65_536, cacheBytesMax: 1 });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await fill(cluster);
  await cluster.time.advance(500);
  return cluster;
}

async function fill(cluster: SimCluster): Promise<void> {
  for (let i = 0; i < RECORDS; i += 1) {
    await append(cluster, 'n1', `${i}-${'x'.repeat(6_000)}`);
  }
}

function hasBegunAnew(cluster: SimCluster): boolean {
  return cluster.node('n2').lines.some(({ message }) => message.startsWith('a replica has rejoined'));
}

/** The first segment file of the topic's log on a node. */
async function firstSegment(cluster: SimCluster, id: string): Promise<string> {
  const directory = '/data/logs/0000000001';
  const items = await cluster.node(id).disk.list(directory);
  return `${directory}/${items.find(({ name }) => name.endsWith('.segment'))!.name}`;
}

async function flip(cluster: SimCluster, id: string, path: string, position: number): Promise<void> {
  const file = await cluster.node(id).disk.open(path, 'write');
  const byte = new Uint8Array(1);
  await file.read(position, byte);
  byte[0]! ^= 0x10;
  await file.write(position, [byte]);
  await file.close();
}

async function contents(cluster: SimCluster, id: string, path: string): Promise<Uint8Array> {
  const file = await cluster.node(id).disk.open(path, 'read');
  const bytes = new Uint8Array(await file.bytes());
  await file.read(0, bytes);
  await file.close();
  return bytes;
}

describe('damage in a sealed segment', () => {
  test.each([
    ['a payload', 20_000],
    ['another payload', 50_001],
  ])('of %s on one replica is mended from a peer when it is read, and the file is as it was', async (_, position) => {
    const cluster = await filled();
    const path = await firstSegment(cluster, 'n2');
    const before = await contents(cluster, 'n2', path);
    await flip(cluster, 'n2', path, position);
    expect(await contents(cluster, 'n2', path)).not.toEqual(before);
    expect(await readToTail(cluster, 'n2')).toBe(RECORDS);
    expect(await contents(cluster, 'n2', path)).toEqual(before);
    expect(cluster.node('n2').lines.some(({ message }) => message.includes('damaged'))).toBe(true);
  });

  test.each([
    ['two replicas', THREE.slice(1)],
    ['every replica', THREE],
  ])('at different places on %s still heals', async (_, struck) => {
    const cluster = await filled();
    const before = new Map<string, Uint8Array>();
    for (const [at, id] of struck.entries()) {
      const path = await firstSegment(cluster, id);
      before.set(id, await contents(cluster, id, path));
      await flip(cluster, id, path, 10_000 + at * 13_000);
    }
    for (const id of THREE) expect(await readToTail(cluster, id)).toBe(RECORDS);
    for (const [id, bytes] of before)
      expect(await contents(cluster, id, await firstSegment(cluster, id))).toEqual(bytes);
  });

  test('of the same entry on every replica is named, not skipped, and everything else is served', async () => {
    const cluster = await filled();
    for (const id of THREE) await flip(cluster, id, await firstSegment(cluster, id), 20_000);
    const failure = await cluster.wait(
      readToTail(cluster, 'n2').then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
    expect(LogError.is(failure) && failure.code).toBe('STORAGE_CORRUPT');
    expect((failure as LogError).details.file).toContain('.segment');
    const start = { kind: 'offset', offset: 20 } as const;
    const later = { topic: { name: 't' }, partition: 0, start, bytesMax: 1, waitMs: 0, level: 'any' } as const;
    expect((await cluster.wait(cluster.broker('n2').read(later))).nextOffset).toBeGreaterThan(20);
  });

  test('does not make the node unready, nor stop it from following', async () => {
    const cluster = await filled();
    await flip(cluster, 'n2', await firstSegment(cluster, 'n2'), 20_000);
    await cluster.crash('n2');
    await cluster.start('n2');
    await cluster.ready();
    expect(await readToTail(cluster, 'n2')).toBe(RECORDS);
  });
});

describe('damage in the end of a log, which a replica must know to take part', () => {
  async function lastSegment(cluster: SimCluster, id: string): Promise<{ path: string; bytes: number }> {
    const directory = '/data/logs/0000000001';
    const items = await cluster.node(id).disk.list(directory);
    const path = `${directory}/${items.findLast(({ name }) => name.endsWith('.segment'))!.name}`;
    return { path, bytes: (await cluster.node(id).disk.stat(path))!.bytes };
  }

  test('on one replica is mended from its peers before it takes part', async () => {
    const cluster = await filled();
    await cluster.crash('n2');
    const { path } = await lastSegment(cluster, 'n2');
    const before = await contents(cluster, 'n2', path);
    await flip(cluster, 'n2', path, 8_000);
    await cluster.start('n2');
    await cluster.ready();
    await cluster.time.advance(2_000);
    expect(await readToTail(cluster, 'n2')).toBe(RECORDS);
    expect((await contents(cluster, 'n2', path)).subarray(0, before.length - 4_096)).toEqual(
      before.subarray(0, before.length - 4_096),
    );
  });

  test('that all others have trimmed is not waited for: the replica begins anew from what they hold', async () => {
    const cluster = await filled();
    await cluster.crash('n2');
    await flip(cluster, 'n2', (await lastSegment(cluster, 'n2')).path, 8_000);
    await fill(cluster);
    await cluster.wait(cluster.broker('n1').trim('t', 0, 2 * RECORDS - 3));
    for (const id of ['n1', 'n3']) {
      while ((await firstSegment(cluster, id)) < '/data/logs/0000000001/0000000000000005')
        await cluster.time.advance(100);
    }
    await cluster.crash('n3');
    await cluster.start('n2');
    await cluster.time.advance(3_000);
    // The one that is away may be the one that still has it.
    expect(hasBegunAnew(cluster)).toBe(false);
    await cluster.start('n3');
    await cluster.until(() => hasBegunAnew(cluster), 'begun anew', 30_000);
    await cluster.ready();
    // It is needed for the majority now.
    await cluster.crash('n3');
    await fill(cluster);
  });

  test('at different places on every replica heals although none of them can lead at first', async () => {
    const cluster = await filled();
    for (const id of THREE) await cluster.crash(id);
    for (const [at, id] of THREE.entries())
      await flip(cluster, id, (await lastSegment(cluster, id)).path, 6_000 + at * 7_000);
    await cluster.startAll();
    await cluster.until(
      () =>
        THREE.every((id) =>
          cluster
            .broker(id)
            .readiness()
            .every(({ isOk }) => isOk),
        ),
      'all ready',
      60_000,
    );
    await cluster.time.advance(2_000);
    for (const id of THREE) expect(await readToTail(cluster, id)).toBe(RECORDS);
  });
});
