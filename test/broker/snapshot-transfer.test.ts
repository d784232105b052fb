/**
 * States that travel in chunks: paced, resumed after crashes on either side, and never used before they are whole (F6).
 */
import { afterEach, describe, expect, test } from 'vitest';
import { endLater, killAll } from './support/endings.ts';
import { damageFile } from './support/files.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const IDS = ['n1', 'n2', 'n3'];
const PRODUCERS = 60;
const CHUNK_BYTES = 100;
/** Two chunks a tenth of a second: a transfer takes seconds, and can be cut short anywhere. */
const BYTES_PER_SECOND = 2_000;
const INCOMING = '/data/logs/0000000001/incoming-snapshot';
afterEach(killAll);

function append(cluster: SimCluster, on: string, at: number): Promise<unknown> {
  const producer = { id: at.toString(16).padStart(32, '0'), epoch: 0, sequence: 0 };
  const batch = batchOf([`${at}-${'x'.repeat(3_000)}`]);
  const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, batch, producer };
  return cluster.wait(cluster.broker(on).append({ ...request, redirect: false }));
}

async function leaderOf(cluster: SimCluster): Promise<string> {
  for (;;) {
    for (const { nodeId, ...seen } of cluster.running().map((broker) => ({ nodeId: broker.nodeId, broker }))) {
      const leader = (await seen.broker.listTopics())[0]?.partitions[0]?.leader;
      if (leader === nodeId) return leader;
    }
    await cluster.time.advance(10);
  }
}

/** A cluster whose node `away` lacks what the others have trimmed; it is down. */
async function behind(): Promise<{ cluster: SimCluster; away: string }> {
  const snapshots = { bytesPerSecond: BYTES_PER_SECOND, chunkBytes: CHUNK_BYTES };
  const cluster = new SimCluster(IDS, { segmentBytes: 65_536, snapshots });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  const leader = await leaderOf(cluster);
  const away = IDS.find((id) => id !== leader)!;
  await cluster.crash(away);
  for (let at = 0; at < PRODUCERS; at += 1) await append(cluster, leader, at);
  await cluster.wait(cluster.broker(leader).takeSnapshot('t', 0));
  await cluster.wait(cluster.broker(leader).trim('t', 0, PRODUCERS - 5));
  await cluster.time.advance(500);
  return { cluster, away };
}

async function collected(cluster: SimCluster, id: string): Promise<number> {
  return (await cluster.node(id).disk.stat(INCOMING))?.bytes ?? 0;
}

/** The node holds what the others hold, and knows all producers. */
async function untilRestored(cluster: SimCluster, id: string): Promise<void> {
  const status = async (): Promise<number | undefined> =>
    (await cluster.broker(id).listTopics())[0]?.partitions[0]?.tail;
  for (let waited = 0; (await status()) !== PRODUCERS; waited += 50) {
    if (waited > 30_000) throw new Error(`${id} is not restored: tail ${await status()}`);
    await cluster.time.advance(50);
  }
  await cluster.time.advance(200);
  expect(await cluster.node(id).disk.stat(INCOMING)).toBeUndefined();
  await cluster.wait(cluster.broker(id).transferLeader('t', 0, id));
  for (const at of [0, 30, PRODUCERS - 1]) {
    expect(await append(cluster, id, at)).toMatchObject({ baseOffset: at, isDuplicate: true });
  }
}

describe('a state that travels in chunks', () => {
  test('arrives at the pace of its sender, and not faster', async () => {
    const { cluster, away } = await behind();
    await cluster.start(away);
    const beganMs = cluster.time.nowMs;
    await cluster.until(() => true, 'a moment');
    await cluster.time.advance(1_000);
    const first = await collected(cluster, away);
    expect(first).toBeGreaterThan(4_096);
    expect(first).toBeLessThan(4_096 + 1.5 * BYTES_PER_SECOND);
    await untilRestored(cluster, away);
    expect(cluster.time.nowMs - beganMs).toBeGreaterThan(1_000);
  });

  test('goes on where it was, however often the follower crashes', async () => {
    const { cluster, away } = await behind();
    const seen: number[] = [];
    for (let crashes = 0; crashes < 10; crashes += 1) {
      await cluster.start(away);
      await cluster.time.advance(130);
      seen.push(await collected(cluster, away));
      await cluster.crash(away);
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)!).toBeGreaterThan(seen[0]!);
    await cluster.start(away);
    await untilRestored(cluster, away);
  });

  test('comes from whoever leads, however often the leader crashes', async () => {
    const { cluster, away } = await behind();
    await cluster.start(away);
    for (let crashes = 0; crashes < 10; crashes += 1) {
      const leader = await leaderOf(cluster);
      await cluster.time.advance(170);
      if (leader === away) break;
      await cluster.crash(leader);
      await cluster.time.advance(60);
      await cluster.start(leader);
      await cluster.ready();
    }
    await untilRestored(cluster, away);
  });

  test('comes from another replica when it has rotted on the leader', async () => {
    const { cluster, away } = await behind();
    const leader = await leaderOf(cluster);
    // With a later one the leader reads the state at its log's start from disk.
    await cluster.wait(cluster.broker(leader).takeSnapshot('t', 0));
    const log = INCOMING.slice(0, INCOMING.lastIndexOf('/'));
    const names = (await cluster.node(leader).disk.list(log)).map(({ name }) => name);
    const stored = names.filter((name) => name.startsWith('snapshot-')).sort();
    expect(stored.length).toBeGreaterThan(1);
    await damageFile(cluster, leader, `${log}/${stored[0]}`, 100);
    await cluster.start(away);
    await untilRestored(cluster, away);
  });

  test('goes on when the link comes back', async () => {
    const { cluster, away } = await behind();
    await cluster.start(away);
    for (let cuts = 0; cuts < 5; cuts += 1) {
      await cluster.time.advance(200);
      const before = await collected(cluster, away);
      const leader = await leaderOf(cluster);
      cluster.disconnect(leader, away);
      await cluster.time.advance(30);
      cluster.connect(leader, away);
      await cluster.time.advance(60);
      const after = await collected(cluster, away);
      if (after === 0) break;
      expect(after).toBeGreaterThanOrEqual(before);
    }
    await untilRestored(cluster, away);
  });
});
