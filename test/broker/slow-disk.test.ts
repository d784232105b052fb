/** Disks that take long, or never answer: who leads then, what producers are told, what nobody notices (F40, F41). */
import { afterEach, describe, expect, test } from 'vitest';
import { DiskWatch } from '../../src/broker/disk-watch.ts';
import type { LogError } from '../../src/protocol/index.ts';
import { endLater, killAll } from './support/endings.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';
import { type LogLine, SimTime, simEnv } from './support/sim-env.ts';
import { SlowDisk } from './support/slow-disk.ts';

const IDS = ['n1', 'n2', 'n3'];
const NEVER = Number.POSITIVE_INFINITY;
const ELECTION_MS = 400;
afterEach(killAll);

interface Slow {
  readonly cluster: SimCluster;
  /** How long flushes of a node take, from now on. */
  readonly flushMs: Map<string, number>;
}

async function slowCluster(): Promise<Slow> {
  const cluster = new SimCluster(IDS);
  endLater(cluster);
  const flushMs = new Map<string, number>();
  for (const id of IDS) {
    const takes = (): Promise<void> =>
      new Promise((resolve) => {
        const ms = flushMs.get(id) ?? 0;
        if (ms === 0) resolve();
        else if (ms !== NEVER) cluster.time.add(ms, undefined, resolve);
      });
    cluster.node(id).disk = new SlowDisk(cluster.node(id).disk, { flushTakes: takes, isTorn: () => false });
  }
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await cluster.time.advance(200);
  return { cluster, flushMs };
}

async function leaderAsSeenBy(cluster: SimCluster, id: string): Promise<string | undefined> {
  return (await cluster.broker(id).listTopics())[0]!.partitions[0]!.leader;
}

function append(cluster: SimCluster, on: string, value: string): Promise<unknown> {
  const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, producer: undefined };
  return cluster.broker(on).append({ ...request, batch: batchOf([value]), redirect: false });
}

/** Appends one after the other for a while; how long each took, undefined for one that failed. */
async function appendFor(cluster: SimCluster, on: string, ms: number): Promise<(number | undefined)[]> {
  const took: (number | undefined)[] = [];
  for (const endMs = cluster.time.nowMs + ms; cluster.time.nowMs < endMs; ) {
    const beganMs = cluster.time.nowMs;
    const isAcked = await cluster.wait(append(cluster, on, 'x')).then(
      () => true,
      () => false,
    );
    took.push(isAcked ? cluster.time.nowMs - beganMs : undefined);
    await cluster.time.advance(20);
  }
  return took;
}

describe('a disk that takes long', () => {
  test.each([300, 1_000, 10_000])('flushes of %i ms on the leader move it to a fast node within 10 s', async (ms) => {
    const { cluster, flushMs } = await slowCluster();
    const leader = (await leaderAsSeenBy(cluster, 'n1'))!;
    const other = IDS.find((id) => id !== leader)!;
    flushMs.set(leader, ms);
    await appendFor(cluster, other, 10_000);
    const successor = await leaderAsSeenBy(cluster, other);
    expect(successor).toBeDefined();
    expect(successor).not.toBe(leader);
    // And it is not given back as long as that disk is slow.
    await appendFor(cluster, other, 10_000);
    expect(await leaderAsSeenBy(cluster, other)).not.toBe(leader);
    const slow = cluster.node(leader);
    expect(slow.lines.filter(({ message }) => message.startsWith('the disk is slow'))).toHaveLength(1);
    const check = slow.broker!.readiness().find(({ name }) => name === 'flushes')!;
    // Slow is said; only a flush that hangs takes the node out of service.
    expect(check.detail).toMatch(/take long|under way for/);
    expect(check.isOk).toBe(!check.detail.includes('under way'));
  });

  test('a slow follower has no visible effect', async () => {
    const { cluster, flushMs } = await slowCluster();
    const leader = (await leaderAsSeenBy(cluster, 'n1'))!;
    flushMs.set(IDS.find((id) => id !== leader)!, 2_000);
    const took = await appendFor(cluster, leader, 8_000);
    expect(took.every((ms) => ms !== undefined && ms <= 20)).toBe(true);
    expect(await leaderAsSeenBy(cluster, leader)).toBe(leader);
  });

  test('two of three that take longer than an election timeout: a vote that is late is waited for, and appends go on', async () => {
    const { cluster, flushMs } = await slowCluster();
    for (const id of IDS.slice(0, 2)) flushMs.set(id, 1_000);
    const took = await appendFor(cluster, 'n3', 30_000);
    // Each waits for a flush of a second, and none for more than one vote beside it.
    for (const ms of took) if (ms !== undefined) expect(ms).toBeGreaterThanOrEqual(1_000);
    expect(took.slice(-5).every((ms) => ms !== undefined && ms <= 2_500)).toBe(true);
    flushMs.clear();
    expect(await appendFor(cluster, 'n3', 5_000)).toContainEqual(expect.toSatisfy((ms) => ms <= 20));
  });

  test('on every node costs time: nothing is acked early, and nobody leads in vain', async () => {
    const { cluster, flushMs } = await slowCluster();
    for (const id of IDS) flushMs.set(id, 1_000);
    const took = await appendFor(cluster, 'n1', 20_000);
    expect(took.length).toBeGreaterThan(5);
    // One flush at least lies between an append and its ack.
    for (const ms of took) if (ms !== undefined) expect(ms).toBeGreaterThanOrEqual(1_000);
    expect(took.filter((ms) => ms !== undefined).length).toBeGreaterThan(took.length / 2);
  });
});

describe('a flush that never returns', () => {
  test('takes leadership from its node within two election timeouts, by name', async () => {
    const { cluster, flushMs } = await slowCluster();
    const leader = (await leaderAsSeenBy(cluster, 'n1'))!;
    const others = IDS.filter((id) => id !== leader);
    flushMs.set(leader, NEVER);
    const stuck = append(cluster, leader, 'stuck').catch((error: LogError) => error);
    await cluster.time.advance(2 * ELECTION_MS);
    expect(await leaderAsSeenBy(cluster, leader)).not.toBe(leader);
    const check = cluster
      .broker(leader)
      .readiness()
      .find(({ name }) => name === 'flushes');
    expect(check).toMatchObject({ isOk: false, detail: expect.stringMatching(/under way for \d+ ms/) });
    await cluster.time.advance(ELECTION_MS);
    expect(others).toContain(await leaderAsSeenBy(cluster, others[0]!));
    // A majority of the others had it before: acked, and rightly so.
    expect(await stuck).toMatchObject({ baseOffset: 0 });
    expect(await cluster.wait(append(cluster, others[0]!, 'after'))).toMatchObject({ baseOffset: 1 });
  });

  test.each([
    ['a majority', IDS.slice(0, 2)],
    ['every node', IDS],
  ])('on %s: nothing is acknowledged', async (_, stuck) => {
    const { cluster, flushMs } = await slowCluster();
    for (const id of stuck) flushMs.set(id, NEVER);
    const took = await appendFor(cluster, 'n3', 5_000);
    expect(took.length).toBeGreaterThan(0);
    expect(took.filter((ms) => ms !== undefined)).toEqual([]);
  });

  test('leaves appends that no majority had in time with an unknown outcome', async () => {
    const { cluster, flushMs } = await slowCluster();
    const leader = (await leaderAsSeenBy(cluster, 'n1'))!;
    const others = IDS.filter((id) => id !== leader);
    flushMs.set(leader, NEVER);
    await cluster.wait(append(cluster, leader, 'acked'));
    await cluster.time.advance(250);
    // The others are willing to lead, and have not flushed the second entry when they are to take over.
    for (const id of others) flushMs.set(id, 1_000);
    const stuck = append(cluster, leader, 'stuck').catch((error: LogError) => error);
    await cluster.time.advance(20);
    for (const id of others) flushMs.set(id, 0);
    const outcome = await cluster.wait(stuck, 2 * ELECTION_MS);
    expect(outcome).toMatchObject({ outcome: 'unknown' });
  });

  test('does not keep the node from voting where its hard state can still be written', async () => {
    const { cluster, flushMs } = await slowCluster();
    const leader = (await leaderAsSeenBy(cluster, 'n1'))!;
    const [voter, candidate] = IDS.filter((id) => id !== leader) as [string, string];
    flushMs.set(voter, NEVER);
    // Its flush of this entry hangs from here on; the disk is well again for whatever comes later.
    await cluster.wait(append(cluster, leader, 'x'));
    flushMs.set(voter, 0);
    cluster.kill(leader);
    await cluster.until(() => cluster.broker(candidate).cluster().catalogLeader === candidate, 'a new leader', 3_000);
  });
});

describe('the watch over flushes', () => {
  async function watched(
    step: (flushing: { oldestFlush: number | undefined }, ms: number) => void,
    forMs: number,
    everyMs = 10,
  ) {
    const time = new SimTime();
    const lines: LogLine[] = [];
    const metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };
    const flushing: { oldestFlush: number | undefined } = { oldestFlush: undefined };
    const told: string[] = [];
    const options = { tickMs: 10, timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 } };
    const watch = new DiskWatch(options, { env: simEnv(time, 1, lines), metrics }, flushing, (isSlow) =>
      told.push(`${isSlow ? 'slow' : 'well'} ${time.nowMs - startMs}`),
    );
    const startMs = time.nowMs;
    for (let ms = 0; ms < forMs; ms += everyMs) {
      step(flushing, ms);
      watch.tick();
      await time.advance(everyMs);
    }
    return told;
  }

  test('is content with many quick flushes, however busy the disk is', async () => {
    const told = await watched((flushing, ms) => {
      flushing.oldestFlush = ms / 10;
    }, 5_000);
    expect(told).toEqual([]);
  });

  test('does not mind two long flushes, and minds the third', async () => {
    const told = await watched((flushing, ms) => {
      flushing.oldestFlush = ms < 600 ? Math.floor(ms / 300) : undefined;
    }, 5_000);
    expect(told).toEqual([]);
    const third = await watched((flushing, ms) => {
      flushing.oldestFlush = ms < 900 ? Math.floor(ms / 300) : undefined;
    }, 50_000);
    expect(third).toEqual(['slow 900', expect.stringMatching(/^well/)]);
  });

  test('does not take for the disk what passes while the process does not come to look', async () => {
    const seldom = await watched(
      (flushing, ms) => {
        flushing.oldestFlush = Math.floor(ms / 600);
      },
      5_000,
      150,
    );
    expect(seldom).toEqual([]);
    const never = await watched(
      (flushing) => {
        flushing.oldestFlush = 1;
      },
      6_000,
      150,
    );
    expect(never).toEqual(['slow 3000']);
  });

  test('speaks up about one that does not return after an election timeout', async () => {
    const told = await watched((flushing) => {
      flushing.oldestFlush = 1;
    }, 2_000);
    expect(told).toEqual(['slow 400']);
  });
});
