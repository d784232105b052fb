/**
 * Disks that fill up under a cluster: who takes the appends then, who waits, and that all of it ends by itself (F38,
 * W23).
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { BrokerOptions } from '../../src/broker/index.ts';
import { LogError } from '../../src/protocol/index.ts';
import { endLater, killAll } from './support/endings.ts';
import { FaultyDisk, type SpaceCall } from './support/faulty-disk.ts';
import { readToTail } from './support/records.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const IDS = ['n1', 'n2', 'n3'];
const MiB = 1024 * 1024;
const SPACE = {
  warnBelowBytes: 8 * MiB,
  warnBelowPercent: 50,
  rejectBelowBytes: 2 * MiB,
  rejectBelowPercent: 20,
};
/** As long as the node may take to find that there is room again (F38). */
const RESUME_MS = 10_000;
afterEach(killAll);

interface Filling {
  readonly cluster: SimCluster;
  readonly disks: ReadonlyMap<string, FaultyDisk>;
  /** Values that were acknowledged. */
  readonly acked: string[];
}

async function start(timing?: BrokerOptions['timing']): Promise<Filling> {
  const changes = timing === undefined ? {} : { timing };
  const cluster = new SimCluster(IDS, { segmentBytes: 65_536, cacheBytesMax: 1, space: SPACE, ...changes });
  endLater(cluster);
  const disks = new Map(IDS.map((id) => [id, new FaultyDisk()]));
  for (const [id, disk] of disks) cluster.node(id).disk = disk;
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await cluster.time.advance(300);
  const filling = { cluster, disks, acked: [] };
  for (let i = 0; i < 5; i += 1) expect(await append(filling, 'n1')).toBe('acked');
  return filling;
}

/** 'acked', or the code and outcome of the failure. */
async function append({ cluster, acked }: Filling, on: string): Promise<string> {
  const value = `${acked.length}-${'x'.repeat(3_000)}`;
  const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, producer: undefined };
  try {
    await cluster.wait(cluster.broker(on).append({ ...request, batch: batchOf([value]), redirect: false }));
    acked.push(value);
    return 'acked';
  } catch (error) {
    if (!LogError.is(error)) throw error;
    return `${error.code} ${error.outcome}`;
  }
}

/** Appends until one is acknowledged; how long that took. */
async function acksAgainWithin(filling: Filling, on: string, ms: number): Promise<number> {
  const { time } = filling.cluster;
  for (const startMs = time.nowMs; time.nowMs - startMs < ms; await time.advance(100)) {
    if ((await append(filling, on)) === 'acked') return time.nowMs - startMs;
  }
  throw new Error(`nothing acknowledged within ${ms} ms`);
}

async function leaderOf({ cluster }: Filling, seenBy: string): Promise<string | undefined> {
  return (await cluster.broker(seenBy).listTopics())[0]!.partitions[0]!.leader;
}

/** Every node holds what was acknowledged, and they agree. */
async function expectWhole(filling: Filling): Promise<void> {
  await filling.cluster.time.advance(3_000);
  const held = await Promise.all(IDS.map((id) => readToTail(filling.cluster, id)));
  expect(new Set(held).size).toBe(1);
  // An append of which the fate was unknown may be there as well.
  expect(held[0]).toBeGreaterThanOrEqual(filling.acked.length);
}

describe('free space below the rung', () => {
  test('on the leader moves its leaderships to nodes with room, and appends go on there', async () => {
    const filling = await start();
    const leader = (await leaderOf(filling, 'n1'))!;
    const other = IDS.find((id) => id !== leader)!;
    filling.disks.get(leader)!.freeBytes = MiB;
    await filling.cluster.time.advance(2_500);
    expect(await leaderOf(filling, other)).not.toBe(leader);
    expect(await append(filling, other)).toBe('acked');
    expect(await append(filling, leader)).toBe('acked');
    // It does not campaign for them as long as others have room.
    await filling.cluster.time.advance(10_000);
    expect(await leaderOf(filling, other)).not.toBe(leader);
    filling.disks.get(leader)!.freeBytes = 100 * MiB;
    await expectWhole(filling);
  });

  test('on a majority acknowledges nothing, whoever leads, serves reads, and ends by itself', async () => {
    const filling = await start();
    const [roomy, ...full] = IDS as [string, string, string];
    for (const id of full) filling.disks.get(id)!.freeBytes = MiB;
    await filling.cluster.time.advance(2_500);
    // It has room and leads, but the others take no entries.
    expect(await leaderOf(filling, roomy)).toBe(roomy);
    for (const id of IDS) expect(await append(filling, id)).toMatch(/^(TIMEOUT unknown|STORAGE_FULL none)$/);
    for (const id of IDS) expect(await readToTail(filling.cluster, id)).toBe(5);
    for (const id of full) filling.disks.get(id)!.freeBytes = 100 * MiB;
    expect(await acksAgainWithin(filling, roomy, RESUME_MS)).toBeLessThan(RESUME_MS);
    await expectWhole(filling);
  });

  test('on every node refuses appends and nothing else, and ends by itself', async () => {
    const filling = await start();
    const { cluster, disks } = filling;
    for (const disk of disks.values()) disk.freeBytes = MiB;
    await cluster.time.advance(2_500);
    expect(await append(filling, 'n1')).toBe('STORAGE_FULL none');
    expect(await readToTail(filling.cluster, 'n2')).toBe(5);
    const request = { topic: { name: 't' }, partition: 0, bytesMax: 1, waitMs: 0, level: 'linearizable' } as const;
    const read = cluster.broker('n3').read({ ...request, start: { kind: 'offset', offset: 0 } });
    expect((await cluster.wait(read)).nextOffset).toBeGreaterThan(0);
    // Trims are what makes room: they are taken.
    await cluster.wait(cluster.broker('n1').trim('t', 0, 2));
    for (const disk of disks.values()) disk.freeBytes = 100 * MiB;
    expect(await acksAgainWithin(filling, 'n1', RESUME_MS)).toBeLessThan(RESUME_MS);
  });

  test('on every node does not leave a partition without a leader when its leader dies', async () => {
    const filling = await start();
    const { cluster, disks } = filling;
    for (const disk of disks.values()) disk.freeBytes = MiB;
    await cluster.time.advance(2_500);
    const leader = (await leaderOf(filling, 'n1'))!;
    const [one, two] = IDS.filter((id) => id !== leader) as [string, string];
    cluster.kill(leader);
    await cluster.time.advance(5_000);
    expect([one, two]).toContain(await leaderOf(filling, one));
    expect(await append(filling, one)).toBe('STORAGE_FULL none');
    for (const id of [one, two]) disks.get(id)!.freeBytes = 100 * MiB;
    await acksAgainWithin(filling, two, RESUME_MS);
  });

  test('on a follower does not stop the group, and it catches up afterwards', async () => {
    const filling = await start();
    const leader = (await leaderOf(filling, 'n1'))!;
    const follower = IDS.find((id) => id !== leader)!;
    filling.disks.get(follower)!.freeBytes = MiB;
    await filling.cluster.time.advance(2_500);
    for (let i = 0; i < 40; i += 1) expect(await append(filling, leader)).toBe('acked');
    expect(await leaderOf(filling, leader)).toBe(leader);
    expect(await readToTail(filling.cluster, follower)).toBeLessThan(filling.acked.length);
    filling.disks.get(follower)!.freeBytes = 100 * MiB;
    await filling.cluster.time.advance(RESUME_MS);
    expect(await readToTail(filling.cluster, follower)).toBe(filling.acked.length);
  });
});

const CALLS: readonly (readonly [string, (call: SpaceCall, path: string) => boolean])[] = [
  ['a write of entries', (call, path) => call === 'write' && path.endsWith('.segment')],
  ['growing a segment', (call, path) => call === 'setBytes' && path.endsWith('.segment')],
  ['making a segment', (call, path) => call === 'create' && path.endsWith('.segment')],
  ['the rename of a manifest', (call, path) => call === 'rename' && path.endsWith('/manifest')],
  ['writing a manifest', (call, path) => call === 'write' && path.endsWith('/manifest.new')],
  ['a snapshot', (call, path) => call !== 'rename' && path.includes('/snapshot-')],
];

test('a full node knows the leaders of its idle groups all the time', async () => {
  const filling = await start({ electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4, restTicks: 50 });
  const { cluster } = filling;
  const leader = (await leaderOf(filling, 'n1'))!;
  const follower = IDS.find((id) => id !== leader)!;
  // Its looks at the disk fall between what the others say once a second of what they lead.
  await cluster.stop(follower);
  await cluster.time.advance(700);
  await cluster.start(follower);
  filling.disks.get(follower)!.freeBytes = MiB;
  await cluster.time.advance(5_000);
  const said = new Set<string>();
  for (let i = 0; i < 300; i += 1) {
    await cluster.time.advance(10);
    const checks = cluster.broker(follower).readiness();
    said.add(checks.find(({ name }) => name === 'leaders')!.detail);
  }
  expect([...said]).toEqual(['0 of 2 hosted partitions have no leader']);
});

describe('a disk that runs out of room although it told of free space, as with a quota', () => {
  test.each(CALLS)('in %s on the leader: appends go on, nothing is lost, and it comes back', async (_, isMeant) => {
    const filling = await start();
    const { cluster, disks } = filling;
    const leader = (await leaderOf(filling, 'n1'))!;
    const other = IDS.find((id) => id !== leader)!;
    const full = disks.get(leader)!;
    let failed = 0;
    full.isOutOfRoom = (call, path) => {
      const isNow = path.includes('/logs/0000000001') && isMeant(call, path);
      if (isNow) failed += 1;
      return isNow;
    };
    // Rolls and snapshots come by with the bytes.
    for (let i = 0; i < 60; i += 1) await acksAgainWithin(filling, other, RESUME_MS);
    expect(failed).toBeGreaterThan(0);
    expect(await readToTail(filling.cluster, leader)).toBeGreaterThanOrEqual(5);
    full.isOutOfRoom = () => false;
    await cluster.time.advance(RESUME_MS);
    expect(await append(filling, leader)).toBe('acked');
    await expectWhole(filling);
    expect(
      cluster
        .broker(leader)
        .readiness()
        .find(({ name }) => name === 'disk')?.isOk,
    ).toBe(true);
  });

  test.each([
    ['a majority', IDS.slice(0, 2)],
    ['every node', IDS],
  ])('on %s: appends are refused, reads go on, and appends do by themselves when there is room', async (_, full) => {
    const filling = await start();
    const { cluster, disks } = filling;
    for (const id of full) {
      disks.get(id)!.isOutOfRoom = (call, path) => path.includes('/logs/0000000001') && call !== 'create';
    }
    const first = await append(filling, 'n1');
    await cluster.time.advance(3_000);
    expect(first === 'acked').toBe(false);
    // With one that has room it is that one's turn to lead, and it finds no majority for it.
    expect(await append(filling, 'n1')).toBe(full.length < IDS.length ? 'NO_LEADER none' : 'STORAGE_FULL none');
    for (const id of IDS) expect(await readToTail(filling.cluster, id)).toBe(5);
    for (const disk of disks.values()) disk.isOutOfRoom = () => false;
    expect(await acksAgainWithin(filling, 'n1', RESUME_MS)).toBeLessThan(RESUME_MS);
    await expectWhole(filling);
  });
});

describe('a file system that becomes read-only', () => {
  test('on the leader: leaderships move, its reads go on, and it takes part again by itself', async () => {
    const filling = await start();
    const { cluster, disks } = filling;
    const leader = (await leaderOf(filling, 'n1'))!;
    const other = IDS.find((id) => id !== leader)!;
    disks.get(leader)!.isReadOnly = true;
    for (let i = 0; i < 5; i += 1) await acksAgainWithin(filling, other, RESUME_MS);
    expect(await leaderOf(filling, other)).not.toBe(leader);
    expect(await readToTail(filling.cluster, leader)).toBeGreaterThanOrEqual(5);
    const refused = cluster.node(leader).lines.find(({ message }) => message.startsWith('nothing can be written'));
    expect(
      JSON.stringify(refused?.fields, (_key, value) => (value instanceof Error ? value.message : value)),
    ).toContain('EROFS');
    // A long time, in which it can keep no word and so gives none.
    await cluster.time.advance(60_000);
    disks.get(leader)!.isReadOnly = false;
    await cluster.time.advance(RESUME_MS);
    expect(await append(filling, leader)).toBe('acked');
    await expectWhole(filling);
  });

  test.each([
    ['a majority', IDS.slice(0, 2)],
    ['every node', IDS],
  ])('on %s: appends are refused, reads go on, and all of it ends by itself', async (_, struck) => {
    const filling = await start();
    const { cluster, disks } = filling;
    for (const id of struck) disks.get(id)!.isReadOnly = true;
    expect(await append(filling, 'n1')).not.toBe('acked');
    await cluster.time.advance(10_000);
    expect(await append(filling, 'n1')).toMatch(/STORAGE_FULL none|NO_LEADER none/);
    for (const id of IDS) expect(await readToTail(filling.cluster, id)).toBe(5);
    for (const disk of disks.values()) disk.isReadOnly = false;
    expect(await acksAgainWithin(filling, 'n1', RESUME_MS)).toBeLessThan(RESUME_MS);
    await expectWhole(filling);
  });

  test('does not keep the node from stopping, nor what was acknowledged from being there at the next start', async () => {
    const filling = await start();
    const { cluster, disks } = filling;
    for (const disk of disks.values()) disk.isReadOnly = true;
    expect(await append(filling, 'n1')).not.toBe('acked');
    await cluster.time.advance(2_000);
    for (const id of IDS) await cluster.crash(id);
    for (const disk of disks.values()) disk.isReadOnly = false;
    await cluster.startAll();
    expect(await acksAgainWithin(filling, 'n1', RESUME_MS)).toBeLessThan(RESUME_MS);
    await expectWhole(filling);
  });
});
