/** Damage that no client reads is found by the scrub and mended from a peer, at a bounded rate (W24). */
import { afterEach, describe, expect, test } from 'vitest';
import { endLater, killAll } from './support/endings.ts';
import { FaultyDisk } from './support/faulty-disk.ts';
import { append } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const IDS = ['n1', 'n2', 'n3'];
const LOG = '/data/logs/0000000001';
const SPACE = { warnBelowBytes: 0, warnBelowPercent: 0, rejectBelowBytes: 0, rejectBelowPercent: 0 };
const PERIOD_MS = 10_000;
const BYTES_PER_SECOND = 100_000;
afterEach(killAll);

async function filled(): Promise<{ cluster: SimCluster; disks: Map<string, FaultyDisk> }> {
  const scrub = { periodMs: PERIOD_MS, bytesPerSecond: BYTES_PER_SECOND };
  const cluster = new SimCluster(IDS, { segmentBytes: 65_536, cacheBytesMax: 1, scrub, space: SPACE });
  endLater(cluster);
  const disks = new Map(IDS.map((id) => [id, new FaultyDisk()]));
  for (const [id, disk] of disks) cluster.node(id).disk = disk;
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  for (let i = 0; i < 30; i += 1) {
    await append(cluster, 'n1', `${i}-${'x'.repeat(6_000)}`);
  }
  await cluster.time.advance(500);
  return { cluster, disks };
}

async function firstSegment(disk: FaultyDisk): Promise<string> {
  const items = await disk.list(LOG);
  return `${LOG}/${items.find(({ name }) => name.endsWith('.segment'))!.name}`;
}

async function contents(disk: FaultyDisk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  const bytes = new Uint8Array(await file.bytes());
  await file.read(0, bytes);
  await file.close();
  return bytes;
}

async function flip(disk: FaultyDisk, path: string, position: number): Promise<void> {
  const file = await disk.open(path, 'write');
  const byte = new Uint8Array(1);
  await file.read(position, byte);
  byte[0]! ^= 0x10;
  await file.write(position, [byte]);
  await file.close();
}

describe('the scrub', () => {
  test('finds a flipped bit that nobody reads, names topic, file, byte and index, and has it mended', async () => {
    const { cluster, disks } = await filled();
    const disk = disks.get('n2')!;
    const path = await firstSegment(disk);
    const before = await contents(disk, path);
    await flip(disk, path, 20_000);
    await cluster.time.advance(2 * PERIOD_MS);
    expect(await contents(disk, path)).toEqual(before);
    const line = cluster.node('n2').lines.find(({ message }) => message.startsWith('stored bytes are damaged'));
    expect(line?.fields).toMatchObject({ topic: 't', partition: 0, file: path, index: expect.any(Number) });
    expect((line!.fields as { position: number }).position).toBeLessThanOrEqual(20_000);
    expect(cluster.node('n2').lines.some(({ message }) => message === 'all sealed segments were scrubbed')).toBe(true);
  });

  test('finds pages that the disk cannot read, and their segment is written anew elsewhere', async () => {
    const { cluster, disks } = await filled();
    const disk = disks.get('n3')!;
    const path = await firstSegment(disk);
    const bad = 5 * 4096;
    disk.isUnreadable = (other, from, to) => other === path && from < bad + 4096 && to > bad;
    await cluster.time.advance(2 * PERIOD_MS);
    expect(await disk.stat(path)).toBeUndefined();
    expect(cluster.node('n3').lines.some(({ message }) => message.startsWith('stored bytes are damaged'))).toBe(true);
    const start = { kind: 'offset', offset: 0 } as const;
    const request = {
      topic: { name: 't' },
      partition: 0,
      start,
      bytesMax: 1_000_000,
      waitMs: 0,
      level: 'any',
    } as const;
    expect((await cluster.wait(cluster.broker('n3').read(request))).nextOffset).toBeGreaterThan(5);
    expect(cluster.damageOn('n3')).toBe('no damage known');
  });

  test('reads no faster than it may, and begins one round a period', async () => {
    const { cluster } = await filled();
    const rounds = (): number =>
      cluster.node('n1').lines.filter(({ message }) => message === 'all sealed segments were scrubbed').length;
    const before = rounds();
    await cluster.time.advance(6 * PERIOD_MS);
    expect(rounds() - before).toBeGreaterThanOrEqual(5);
    expect(rounds() - before).toBeLessThanOrEqual(7);
    const { tookMs } = cluster.node('n1').lines.findLast(({ message }) => message.startsWith('all sealed'))!.fields as {
      tookMs: number;
    };
    let bytes = 0;
    const disk = cluster.node('n1').disk;
    for (const { name } of (await disk.list(LOG)).filter((item) => item.name.endsWith('.segment')).slice(0, -1)) {
      bytes += (await disk.stat(`${LOG}/${name}`))!.bytes;
    }
    expect(bytes).toBeGreaterThan(100_000);
    expect(tookMs).toBeGreaterThanOrEqual((1_000 * bytes) / BYTES_PER_SECOND);
  });
});
