/** Whole brokers over simulated time and network: what clients are promised, through faults. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Reader } from '../../src/broker/index.ts';
import { MemoryDisk } from '../../storage/index.ts';
import { append, failure, leaderOf, PRODUCER, started, THREE, valuesOn } from './support/clients.ts';
import { crashAll, endLater } from './support/endings.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

afterEach(crashAll);

describe('a cluster', () => {
  test('is founded once, when every peer is there and has none, and is the same after a restart', async () => {
    const cluster = new SimCluster(THREE);
    endLater(cluster);
    await cluster.start('n1');
    await cluster.start('n2');
    await cluster.time.advance(5_000);
    expect(cluster.broker('n1').cluster().clusterId).toBeUndefined();
    await cluster.start('n3');
    await cluster.ready();
    const ids = THREE.map((id) => cluster.broker(id).cluster().clusterId);
    expect(new Set(ids).size).toBe(1);
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
    for (const id of THREE) await cluster.crash(id);
    await cluster.startAll();
    await cluster.ready();
    expect(cluster.broker('n2').cluster().clusterId).toBe(ids[0]);
  });

  test('is not founded anew by wiped nodes while one remembers the old one', async () => {
    const cluster = await started(THREE);
    const before = cluster.broker('n3').cluster().clusterId;
    for (const id of THREE) await cluster.crash(id);
    for (const id of ['n1', 'n2']) cluster.node(id).disk = new MemoryDisk();
    await cluster.start('n1');
    await cluster.start('n2');
    await cluster.time.advance(3_000);
    expect(cluster.broker('n1').cluster().clusterId).toBeUndefined();
    await cluster.start('n3');
    await cluster.time.advance(3_000);
    expect(cluster.broker('n1').cluster().clusterId).toBeUndefined();
    expect(cluster.broker('n3').cluster().clusterId).toBe(before);
    expect(cluster.node('n3').lines.some(({ message }) => message.includes('new disk'))).toBe(true);
  });

  test('goes on being born when the founder stops before it told everybody', async () => {
    const cluster = new SimCluster(THREE);
    endLater(cluster);
    await cluster.startAll();
    // Links from the founder break as soon as it has written the first entry.
    await cluster.until(() => cluster.broker('n1').cluster().clusterId !== undefined, 'the founder has a cluster');
    await cluster.crash('n1');
    await cluster.time.advance(500);
    await cluster.start('n1');
    await cluster.ready();
    expect(new Set(THREE.map((id) => cluster.broker(id).cluster().clusterId)).size).toBe(1);
  });

  test('of one node leads and appends without peers', async () => {
    const cluster = await started(['n1']);
    await cluster.createTopic('solo');
    const { baseOffset } = await cluster.wait(append(cluster, 'solo', ['a']));
    expect(baseOffset).toBe(0);
    await cluster.crash('n1');
    await cluster.start('n1');
    await cluster.ready();
    expect(await valuesOn(cluster, 'n1', 'solo')).toEqual(['0:a']);
  });
});

describe('append and read', () => {
  test('records get dense offsets and are read from every node, wherever they were appended', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const first = await cluster.wait(append(cluster, 't', ['a', 'b'], { on: 'n1' }));
    const second = await cluster.wait(append(cluster, 't', ['c'], { on: 'n2' }));
    const third = await cluster.wait(append(cluster, 't', ['d'], { on: 'n3' }));
    expect([first.baseOffset, second.baseOffset, third.baseOffset]).toEqual([0, 2, 3]);
    await cluster.time.advance(200);
    for (const id of THREE) expect(await valuesOn(cluster, id, 't')).toEqual(['0:a', '1:b', '2:c', '3:d']);
  });

  test('a follower that is asked to redirect names the leader instead of forwarding', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const leader = await leaderOf(cluster, 't');
    const follower = THREE.find((id) => id !== leader)!;
    const error = await cluster.wait(failure(append(cluster, 't', ['a'], { on: follower, redirect: true })));
    expect(error.code).toBe('NOT_LEADER');
    expect(error.outcome).toBe('none');
    expect(error.details).toMatchObject({ leader, leaderUrl: `ws://${leader}/v1/ws` });
    expect(await valuesOn(cluster, leader!, 't')).toEqual([]);
  });

  test.each([
    ['an unknown topic', 'nope', 0, 'TOPIC_NOT_FOUND'],
    ['a missing partition', 't', 7, 'PARTITION_NOT_FOUND'],
    ['a partition of -1', 't', -1, 'PARTITION_NOT_FOUND'],
  ])('%s is refused and nothing is done', async (_, topic, partition, code) => {
    const cluster = await started(['n1']);
    await cluster.createTopic('t');
    const request = {
      client: { inflightBytes: 0 },
      topic: { name: topic },
      partition,
      batch: batchOf(['x']),
      producer: undefined,
      redirect: false,
    };
    const error = await cluster.wait(failure(cluster.broker('n1').append(request)));
    expect([error.code, error.outcome]).toEqual([code, 'none']);
  });

  test('reads below the start, past the tail and at the tail are told apart', async () => {
    const cluster = await started(['n1'], { segmentBytes: 65_536 });
    await cluster.createTopic('t');
    for (let i = 0; i < 5; i += 1) await cluster.wait(append(cluster, 't', [`v${i}`]));
    await cluster.wait(cluster.broker('n1').trim('t', 0, 3));
    const read = (offset: number): Promise<unknown> =>
      cluster.broker('n1').read({
        topic: { name: 't' },
        partition: 0,
        start: { kind: 'offset', offset },
        bytesMax: 1,
        waitMs: 0,
        level: 'any',
      });
    const trimmed = await cluster.wait(failure(read(2)));
    expect(trimmed.code).toBe('TRIMMED');
    expect(trimmed.details).toMatchObject({ earliest: 3, tail: 5 });
    const past = await cluster.wait(failure(read(6)));
    expect(past.code).toBe('OUT_OF_RANGE');
    expect(past.details).toMatchObject({ earliest: 3, tail: 5 });
    expect(await cluster.wait(read(5))).toMatchObject({ batches: [], nextOffset: 5, tail: 5 });
    expect(await valuesOn(cluster, 'n1', 't')).toEqual(['3:v3', '4:v4']);
  });

  test('a reader at the tail wakes when a record is committed, not before', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const leader = (await leaderOf(cluster, 't'))!;
    const reader: Reader = await cluster.wait(
      cluster.broker(leader).subscribe({ topic: { name: 't' }, partition: 0, start: { kind: 'latest' }, level: 'any' }),
    );
    let woken = 0;
    const next = reader.next(1_000).then((result) => {
      woken = result.nextOffset;
    });
    for (const id of THREE) if (id !== leader) cluster.cut.add(`${id}>${leader}`);
    void append(cluster, 't', ['a'], { on: leader });
    await cluster.time.advance(100);
    expect(woken).toBe(0);
    cluster.cut.clear();
    await cluster.wait(next);
    expect(woken).toBe(1);
    reader.close();
  });

  test('a node without a replica forwards appends and reads', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t', { replicas: 1 });
    const leader = await leaderOf(cluster, 't');
    const other = THREE.find((id) => id !== leader)!;
    expect((await cluster.wait(append(cluster, 't', ['a'], { on: other }))).baseOffset).toBe(0);
    expect(await valuesOn(cluster, other, 't')).toEqual(['0:a']);
    const reader = await cluster.wait(
      cluster
        .broker(other)
        .subscribe({ topic: { name: 't' }, partition: 0, start: { kind: 'earliest' }, level: 'any' }),
    );
    expect((await cluster.wait(reader.next(1_000))).nextOffset).toBe(1);
    const pending = reader.next(1_000);
    await cluster.wait(append(cluster, 't', ['b'], { on: other }));
    expect((await cluster.wait(pending)).nextOffset).toBe(2);
    reader.close();
  });
});

describe('faults', () => {
  test('what was acknowledged survives any one crash, and all of them, without a hole or a duplicate', async () => {
    const cluster = await started(THREE, { segmentBytes: 65_536 });
    await cluster.createTopic('t');
    const acked: string[] = [];
    const put = async (value: string): Promise<void> => {
      const on = [...cluster.nodes.values()].find(({ broker }) => broker !== undefined)!.id;
      const { baseOffset } = await cluster.wait(append(cluster, 't', [value], { on }));
      acked.push(`${baseOffset}:${value}`);
    };
    for (let round = 0; round < 6; round += 1) {
      for (let i = 0; i < 20; i += 1) await put(`r${round}-${i}-${'p'.repeat(50)}`);
      const victim = THREE[round % 3]!;
      await cluster.crash(victim);
      for (let i = 0; i < 20; i += 1) await put(`r${round}-down-${i}`);
      await cluster.start(victim);
      await cluster.ready();
    }
    for (const id of THREE) await cluster.crash(id);
    await cluster.startAll();
    await cluster.ready();
    await cluster.time.advance(1_000);
    expect(acked.map((line) => Number(line.split(':')[0]))).toEqual(acked.map((_, at) => at));
    for (const id of THREE) expect(await valuesOn(cluster, id, 't')).toEqual(acked);
  });

  test('a leader cut off from its majority acknowledges nothing and says that the outcome is unknown', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const leader = (await leaderOf(cluster, 't'))!;
    for (const id of THREE) if (id !== leader) cluster.cut.add(`${id}>${leader}`);
    const error = await cluster.wait(failure(append(cluster, 't', ['a'], { on: leader, timeoutMs: 3_000 })));
    expect(error.outcome).toBe('unknown');
  });

  test('a follower that was away for longer than the leader keeps records is brought back by a snapshot', async () => {
    const cluster = await started(THREE, { segmentBytes: 65_536 });
    await cluster.createTopic('t');
    const leader = (await leaderOf(cluster, 't'))!;
    const away = THREE.find((id) => id !== leader)!;
    await cluster.crash(away);
    const values = Array.from({ length: 60 }, (_, i) => `value-${i}-${'x'.repeat(3_000)}`);
    for (const value of values)
      await cluster.wait(
        append(cluster, 't', [value], {
          on: leader,
          producer: { id: PRODUCER, epoch: 0, sequence: values.indexOf(value) },
        }),
      );
    await cluster.wait(cluster.broker(leader).takeSnapshot('t', 0));
    await cluster.wait(cluster.broker(leader).trim('t', 0, 40));
    await cluster.time.advance(500);
    await cluster.start(away);
    await cluster.ready();
    await cluster.until(
      () =>
        cluster
          .broker(away)
          .readiness()
          .every(({ isOk }) => isOk),
      'the follower is ready',
    );
    const expected = values.slice(40).map((value, at) => `${40 + at}:${value}`);
    await cluster.time.advance(1_000);
    expect(await valuesOn(cluster, away, 't')).toEqual(expected);
    // The producer table came with the snapshot: the last batch is still known.
    await cluster.wait(cluster.broker(leader).transferLeader('t', 0, away));
    const again = await cluster.wait(
      append(cluster, 't', [values[59]!], { on: away, producer: { id: PRODUCER, epoch: 0, sequence: 59 } }),
    );
    expect(again).toMatchObject({ baseOffset: 59, isDuplicate: true });
  });
});

describe('draining', () => {
  test('hands every leadership over before it is done, and refuses appends meanwhile', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t', { partitions: 3 });
    const draining = cluster.broker('n2').drain();
    const refused = await cluster.wait(failure(append(cluster, 't', ['x'], { on: 'n2' })));
    expect([refused.code, refused.outcome]).toEqual(['DRAINING', 'none']);
    await cluster.wait(draining);
    const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
    expect(partitions.map(({ leader }) => leader)).not.toContain('n2');
  });

  test('is for good: no other node hands leaderships back to a node that is about to go', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t', { partitions: 3 });
    await cluster.time.advance(5_000);
    const terms = async (): Promise<number[]> => {
      const { partitions } = await cluster.wait(cluster.broker('n1').describeTopic('t'));
      expect(partitions.map(({ leader }) => leader)).not.toContain('n2');
      return partitions.map(({ term }) => term);
    };
    await cluster.wait(cluster.broker('n2').drain());
    const after = await terms();
    await cluster.time.advance(20_000);
    // Nobody tried either: a transfer that comes to nothing holds appends up.
    expect(await terms()).toEqual(after);
  });
});
