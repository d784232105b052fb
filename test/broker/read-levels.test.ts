/** Reads at the four levels, through whole brokers: what each may answer, and what it refuses rather than answer. */
import { afterEach, describe, expect, test } from 'vitest';
import type { AppendResult, BrokerOptions, ReadResult, WantedLevel } from '../../src/broker/index.ts';
import { LogError, type ReadToken } from '../../src/protocol/index.ts';
import { endLater, killAll } from './support/endings.ts';
import { append } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
afterEach(killAll);

async function started(replicas?: number, overrides: Partial<BrokerOptions> = {}): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, overrides);
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t', replicas === undefined ? {} : { replicas });
  return cluster;
}

function tokenOf({ topicId, baseOffset, term }: AppendResult): ReadToken {
  return { topicId, partition: 0, offset: baseOffset!, term };
}

function read(cluster: SimCluster, on: string, wanted: WantedLevel): Promise<ReadResult> {
  const where = { topic: { name: 't' }, partition: 0, start: { kind: 'earliest' }, bytesMax: 1_000_000 } as const;
  const result = cluster.broker(on).read({ ...where, waitMs: 0, ...wanted });
  result.catch(() => undefined);
  return result;
}

/** What became of it. */
async function fateOf(cluster: SimCluster, asked: Promise<{ readonly tail: number }>): Promise<string> {
  return cluster.wait(
    asked.then(
      ({ tail }) => `tail ${tail}`,
      (error: unknown) => (LogError.is(error) ? error.code : String(error)),
    ),
  );
}

async function leaderOf(cluster: SimCluster): Promise<string> {
  const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
  return partitions[0]!.leader!;
}

/** Raft messages to `id` wait until the returned function is called; questions between brokers go on. */
function holdBack(cluster: SimCluster, id: string): () => void {
  const { handler } = cluster.network.node(id)!;
  const { onMessage } = handler;
  const held: (() => void)[] = [];
  handler.onMessage = (...args) => void held.push(() => onMessage(...args));
  return () => {
    handler.onMessage = onMessage;
    for (const deliver of held) deliver();
  };
}

/** Partitions led by these nodes, as each says of itself; two are all there are: the catalog and the topic. */
function ledBy(cluster: SimCluster, ids: readonly string[]): number {
  const led = (id: string): number =>
    cluster
      .broker(id)
      .cluster()
      .nodes.find((node) => node.id === id)!.partitionsLed;
  return ids.reduce((sum, id) => sum + led(id), 0);
}

function cutOff(cluster: SimCluster, id: string): readonly string[] {
  const others = THREE.filter((other) => other !== id);
  for (const other of others) for (const link of [`${other}>${id}`, `${id}>${other}`]) cluster.cut.add(link);
  return others;
}

describe('a linearizable read', () => {
  test('sees on every node what was acknowledged before it, and says who answered', async () => {
    const cluster = await started();
    for (let count = 1; count <= 3; count += 1) {
      const { term } = await append(cluster, 'n1', `v${count}`);
      for (const id of THREE) {
        const page = await cluster.wait(read(cluster, id, { level: 'linearizable' }));
        expect(page).toMatchObject({ level: 'linearizable', node: id, tail: count, appliedOffset: count, term });
        expect(await cluster.wait(cluster.broker(id).tail({ name: 't' }, 0))).toMatchObject({
          level: 'linearizable',
          tail: count,
          node: id,
        });
      }
    }
  });

  test('on a node without a replica is asked of one that has it', async () => {
    const cluster = await started(2);
    await append(cluster, 'n1', 'a');
    const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
    const outsider = THREE.find((id) => !partitions[0]!.replicas.includes(id))!;
    const found = await cluster.wait(cluster.broker(outsider).tail({ name: 't' }, 0));
    expect(found).toMatchObject({ level: 'linearizable', tail: 1 });
    expect(partitions[0]!.replicas).toContain(found.node);
  });

  test('does not wait for the next heartbeat', async () => {
    const cluster = await started();
    const leader = await leaderOf(cluster);
    await cluster.time.advance(100);
    const beganMs = cluster.time.nowMs;
    await fateOf(cluster, read(cluster, leader, { level: 'linearizable' }));
    // One round trip of 1 ms each way; a heartbeat is 40 ms.
    expect(cluster.time.nowMs - beganMs).toBeLessThanOrEqual(10);
  });

  test('is never answered by a leader that was cut off, before and after it was replaced', async () => {
    const cluster = await started();
    await append(cluster, 'n1', 'a');
    const old = await leaderOf(cluster);
    const others = cutOff(cluster, old);
    const asked = read(cluster, old, { level: 'linearizable' });
    const fate = fateOf(cluster, cluster.broker(old).tail({ name: 't' }, 0));
    expect(await fate).toBe('NO_LEADER');
    expect(await fateOf(cluster, asked)).toBe('NO_LEADER');
    await cluster.until(() => ledBy(cluster, others) === 2, 'other leaders');
    expect((await append(cluster, others[0]!, 'b')).baseOffset).toBe(1);
    expect(await fateOf(cluster, read(cluster, old, { level: 'linearizable' }))).toBe('NO_LEADER');
    expect(await fateOf(cluster, read(cluster, old, { level: 'any' }))).toBe('tail 1');
    expect(await fateOf(cluster, read(cluster, others[1]!, { level: 'linearizable' }))).toBe('tail 2');
    cluster.cut.clear();
    expect(await fateOf(cluster, read(cluster, old, { level: 'linearizable' }))).toBe('tail 2');
  });

  test('on a follower that lags waits until it has caught up, or says how far it is', async () => {
    const cluster = await started();
    const leader = await leaderOf(cluster);
    const late = THREE.find((id) => id !== leader)!;
    const release = holdBack(cluster, late);
    await append(cluster, leader, 'a');
    const failed = read(cluster, late, { level: 'linearizable' });
    await expect(cluster.wait(failed)).rejects.toMatchObject({ code: 'NOT_YET', details: { appliedOffset: 0 } });
    const waiting = read(cluster, late, { level: 'linearizable' });
    await cluster.time.advance(50);
    release();
    expect(await cluster.wait(waiting)).toMatchObject({ tail: 1, node: late });
  });
});

describe('a read with a token', () => {
  test('waits for its record on a replica that lags, or says how far it is', async () => {
    const cluster = await started();
    const leader = await leaderOf(cluster);
    const late = THREE.find((id) => id !== leader)!;
    const release = holdBack(cluster, late);
    const token = tokenOf(await append(cluster, leader, 'a'));
    const failed = read(cluster, late, { level: 'atLeast', token });
    await expect(cluster.wait(failed)).rejects.toMatchObject({
      code: 'NOT_YET',
      retriable: true,
      details: { appliedOffset: 0, offset: 0 },
    });
    expect(await fateOf(cluster, read(cluster, late, { level: 'any' }))).toBe('tail 0');
    const waiting = read(cluster, late, { level: 'atLeast', token });
    await cluster.time.advance(50);
    release();
    expect(await cluster.wait(waiting)).toMatchObject({ tail: 1, node: late, level: 'atLeast' });
  });

  test('of another topic, partition or history is refused, on every node, at once', async () => {
    const cluster = await started();
    const token = tokenOf(await append(cluster, 'n1', 'a'));
    await cluster.time.advance(100);
    const bad: readonly ReadToken[] = [
      { ...token, topicId: token.topicId + 1 },
      { ...token, partition: 1 },
      { ...token, term: token.term + 1 },
      { ...token, offset: 1 },
      { ...token, offset: Number.MAX_SAFE_INTEGER, term: token.term + 7 },
    ];
    for (const id of THREE) {
      for (const one of bad) {
        const beganMs = cluster.time.nowMs;
        expect(await fateOf(cluster, read(cluster, id, { level: 'atLeast', token: one }))).toBe('STALE_TOKEN');
        expect(cluster.time.nowMs - beganMs).toBeLessThan(100);
      }
      expect(await fateOf(cluster, read(cluster, id, { level: 'atLeast', token }))).toBe('tail 1');
    }
  });

  test('needs the level, and the level the token', async () => {
    const cluster = await started();
    const token = tokenOf(await append(cluster, 'n1', 'a'));
    expect(await fateOf(cluster, read(cluster, 'n1', { level: 'atLeast' }))).toBe('INVALID');
    for (const level of ['any', 'linearizable', 'lease'] as const) {
      expect(await fateOf(cluster, read(cluster, 'n1', { level, token }))).toBe('INVALID');
    }
    const broken = { ...token, offset: -1 };
    expect(await fateOf(cluster, read(cluster, 'n1', { level: 'atLeast', token: broken }))).toBe('INVALID');
  });
});

describe('a subscription', () => {
  test('begins at its level and says so, and then goes on with what the replica has', async () => {
    const cluster = await started();
    const leader = await leaderOf(cluster);
    const follower = THREE.find((id) => id !== leader)!;
    const token = tokenOf(await append(cluster, leader, 'a'));
    const where = { topic: { name: 't' }, partition: 0, start: { kind: 'earliest' } } as const;
    const reader = await cluster.wait(cluster.broker(follower).subscribe({ ...where, level: 'atLeast', token }));
    expect([reader.tail, reader.stamp().level]).toEqual([1, 'atLeast']);
    await cluster.wait(reader.next(1_000));
    expect(reader.stamp()).toMatchObject({ level: 'any', node: follower });
    reader.close();
  });
});

describe('a lease', () => {
  const LEASES = { lease: { driftPercent: 10 } };

  test('is refused where leases are off', async () => {
    const cluster = await started();
    expect(await fateOf(cluster, read(cluster, 'n1', { level: 'lease' }))).toBe('UNSUPPORTED');
  });

  test('serves reads while it is held, on followers too, and a round does where it is not', async () => {
    const cluster = await started(undefined, LEASES);
    await append(cluster, 'n1', 'a');
    await cluster.time.advance(100);
    for (const id of THREE) {
      expect(await cluster.wait(read(cluster, id, { level: 'lease' }))).toMatchObject({ level: 'lease', tail: 1 });
    }
    const leader = await leaderOf(cluster);
    const target = THREE.find((id) => id !== leader)!;
    await cluster.wait(cluster.broker('n1').transferLeader('t', 0, target));
    expect((await cluster.wait(read(cluster, leader, { level: 'lease' }))).tail).toBe(1);
  });

  test('runs out on a leader that is cut off before anybody else can lead', async () => {
    const cluster = await started(undefined, LEASES);
    await append(cluster, 'n1', 'a');
    const old = await leaderOf(cluster);
    await cluster.time.advance(100);
    const others = cutOff(cluster, old);
    // Their sockets break too: without leases they would not wait for anything.
    for (const other of others) cluster.network.node(other)!.handler.onDown(old);
    let answers = 0;
    let isSucceeded = false;
    for (let i = 0; i < 400; i += 1) {
      isSucceeded ||= ledBy(cluster, others) === 2;
      // A successor may commit from here on: the old leader must be silent.
      const isTooLate = isSucceeded;
      read(cluster, old, { level: 'lease' }).then(
        ({ level }) => {
          if (level === 'lease') answers += isTooLate ? 1_000 : 1;
        },
        () => undefined,
      );
      await cluster.time.advance(1);
    }
    expect(isSucceeded).toBe(true);
    expect(answers).toBeGreaterThan(10);
    expect(answers).toBeLessThan(1_000);
  });
});
