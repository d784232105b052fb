/** Readers and waits of the read verbs, through whole brokers. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Reader, ReadResult, StartAt } from '../../src/broker/index.ts';
import { LogError } from '../../src/protocol/index.ts';
import { endLater, killAll } from './support/endings.ts';
import { append } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
afterEach(killAll);

async function started(ids: readonly string[], replicas?: number): Promise<SimCluster> {
  const cluster = new SimCluster(ids);
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t', replicas === undefined ? {} : { replicas });
  return cluster;
}

function subscribe(cluster: SimCluster, on: string, offset: number): Promise<Reader> {
  const start = { kind: 'offset', offset } as const;
  return cluster.wait(cluster.broker(on).subscribe({ topic: { name: 't' }, partition: 0, start, level: 'any' }));
}

function read(
  cluster: SimCluster,
  on: string,
  offset: number,
  waitMs: number,
  signal?: AbortSignal,
): Promise<ReadResult> {
  const start = { kind: 'offset', offset } as const;
  const request = { topic: { name: 't' }, partition: 0, start, bytesMax: 1_000, waitMs, level: 'any' } as const;
  const result = cluster.broker(on).read(signal === undefined ? request : { ...request, signal });
  result.catch(() => undefined);
  return result;
}

/** A promise's failure, as it is known by now. */
function failureOf(promise: Promise<unknown>): { code?: string } {
  const failure: { code?: string } = {};
  promise.catch((error: unknown) => {
    failure.code = LogError.is(error) ? error.code : `no LogError: ${String(error)}`;
  });
  return failure;
}

/** The node without a replica of a topic of two. */
function outsider(cluster: SimCluster): Promise<string> {
  return cluster
    .wait(cluster.broker('n1').describeTopic('t'))
    .then(({ partitions }) => THREE.find((id) => !partitions[0]!.replicas.includes(id))!);
}

describe('a reader at the tail', () => {
  test('of a node that stops ends, and does not keep the node from stopping', async () => {
    const cluster = await started(['n1']);
    const reader = await subscribe(cluster, 'n1', 0);
    const failure = failureOf(reader.next(1_000));
    const late = failureOf(read(cluster, 'n1', 0, 30_000));
    await cluster.time.advance(10);
    expect([failure, late]).toEqual([{}, {}]);
    await cluster.stop('n1');
    expect([failure.code, late.code]).toEqual(['NO_LEADER', 'NO_LEADER']);
  });

  test('of a topic that is deleted hears that', async () => {
    const cluster = await started(['n1']);
    const reader = await subscribe(cluster, 'n1', 0);
    const failure = failureOf(reader.next(1_000));
    const late = failureOf(read(cluster, 'n1', 0, 30_000));
    await cluster.wait(cluster.broker('n1').deleteTopic('t'));
    await cluster.time.advance(100);
    expect([failure.code, late.code]).toEqual(['TOPIC_NOT_FOUND', 'TOPIC_NOT_FOUND']);
  });

  test.each([
    ['with a replica', undefined],
    ['without a replica', 2],
  ])('on a node %s is ended by close(), once and for all', async (_, replicas) => {
    const cluster = await started(THREE, replicas);
    const on = replicas === undefined ? 'n1' : await outsider(cluster);
    const reader = await subscribe(cluster, on, 0);
    const failure = failureOf(reader.next(1_000));
    await cluster.time.advance(50);
    reader.close();
    await cluster.time.advance(5);
    expect(failure.code).toBe('CLOSED');
    const again = failureOf(reader.next(1_000));
    await cluster.time.advance(5);
    expect(again.code).toBe('CLOSED');
    // Nothing is left that a second close could make fail unheard.
    reader.close();
    await cluster.time.advance(15_000);
  });

  test('on a node without a replica gets what is appended, in order and without a hole', async () => {
    const cluster = await started(THREE, 2);
    const on = await outsider(cluster);
    const reader = await subscribe(cluster, on, 0);
    for (let i = 0; i < 5; i += 1) {
      const next = reader.next(1_000);
      await append(cluster, on, `v${i}`);
      const result = await cluster.wait(next);
      expect([result.fromOffset, result.nextOffset]).toEqual([i, i + 1]);
    }
    reader.close();
  });
});

describe('a read that waits', () => {
  test('ends with the first record, with its time, or with whoever asked', async () => {
    const cluster = await started(THREE);
    const soon = read(cluster, 'n1', 0, 5_000);
    await cluster.time.advance(20);
    await append(cluster, 'n1', 'a');
    expect(await cluster.wait(soon)).toMatchObject({ nextOffset: 1, tail: 1 });
    expect(await cluster.wait(read(cluster, 'n1', 1, 300))).toMatchObject({ batches: [], nextOffset: 1 });
    const giveUp = new AbortController();
    const aborted = read(cluster, 'n1', 1, 30_000, giveUp.signal);
    await cluster.time.advance(20);
    giveUp.abort();
    expect(await cluster.wait(aborted, 100)).toMatchObject({ batches: [] });
    expect(await cluster.wait(read(cluster, 'n1', 1, 30_000, giveUp.signal), 100)).toMatchObject({ batches: [] });
  });

  test('for an offset that the leader has and this replica not yet waits for it, or says so', async () => {
    const cluster = await started(THREE);
    const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
    const leader = partitions[0]!.leader!;
    const late = THREE.find((id) => id !== leader)!;
    // The follower hears the leader's answers, and nothing it replicates.
    const onMessage = cluster.network.node(late)!.handler.onMessage;
    const held: (() => void)[] = [];
    cluster.network.node(late)!.handler.onMessage = (...args) => void held.push(() => onMessage(...args));
    await append(cluster, leader, 'a');
    const failure = failureOf(read(cluster, late, 1, 30));
    await cluster.time.advance(50);
    expect(failure.code).toBe('NOT_YET');
    const waiting = read(cluster, late, 1, 5_000);
    await cluster.time.advance(20);
    for (const deliver of held.splice(0)) deliver();
    cluster.network.node(late)!.handler.onMessage = onMessage;
    expect(await cluster.wait(waiting)).toMatchObject({ batches: [], nextOffset: 1, node: late });
    const past = failureOf(read(cluster, late, 7, 5_000));
    await cluster.time.advance(200);
    expect(past.code).toBe('OUT_OF_RANGE');
  });
});

describe('an offset past the tail', () => {
  test('is not called that by a leader that was replaced and does not know it yet', async () => {
    const cluster = await started(THREE);
    await append(cluster, 'n1', 'a');
    const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
    const old = partitions[0]!.leader!;
    const others = THREE.filter((id) => id !== old);
    for (const id of others) for (const link of [`${id}>${old}`, `${old}>${id}`]) cluster.cut.add(link);
    const led = (id: string): number =>
      cluster
        .broker(id)
        .cluster()
        .nodes.find((node) => node.id === id)!.partitionsLed;
    // The catalog and the topic.
    await cluster.until(() => others.reduce((sum, id) => sum + led(id), 0) === 2, 'other leaders');
    expect((await append(cluster, others[0]!, 'b')).baseOffset).toBe(1);
    // A client that read offset 1 there comes here.
    const failure = failureOf(read(cluster, old, 2, 0));
    await cluster.time.advance(2_000);
    expect(failure.code).toBe('NOT_LEADER');
    expect((await cluster.wait(read(cluster, others[0]!, 2, 0))).batches).toEqual([]);
  });

  test('is called that by a leader that can show it leads, and by its followers', async () => {
    const cluster = await started(THREE);
    await append(cluster, 'n1', 'a');
    await cluster.time.advance(100);
    const failures = THREE.map((id) => failureOf(read(cluster, id, 2, 0)));
    await cluster.time.advance(200);
    expect(failures.map(({ code }) => code)).toEqual(['OUT_OF_RANGE', 'OUT_OF_RANGE', 'OUT_OF_RANGE']);
  });
});

describe('start positions', () => {
  test('earliest, latest, last and times mean what is there', async () => {
    const cluster = await started(['n1']);
    const times: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      await cluster.time.advance(1_000);
      times.push((await append(cluster, 'n1', `v${i}`)).appendTimeMs);
    }
    await cluster.wait(cluster.broker('n1').trim('t', 0, 1));
    const from = async (start: StartAt): Promise<number> => {
      const request = { topic: { name: 't' }, partition: 0, start, bytesMax: 1, waitMs: 0, level: 'any' } as const;
      return (await cluster.wait(cluster.broker('n1').read(request))).fromOffset;
    };
    expect(await from({ kind: 'earliest' })).toBe(1);
    expect(await from({ kind: 'latest' })).toBe(4);
    expect(await from({ kind: 'last', count: 2 })).toBe(2);
    expect(await from({ kind: 'last', count: 99 })).toBe(1);
    expect(await from({ kind: 'timestamp', timestampMs: times[2]! })).toBe(2);
    expect(await from({ kind: 'timestamp', timestampMs: times[2]! + 1 })).toBe(3);
    expect(await from({ kind: 'timestamp', timestampMs: 0 })).toBe(1);
    expect(await from({ kind: 'timestamp', timestampMs: times[3]! + 1 })).toBe(4);
  });
});
