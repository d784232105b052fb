import { describe, expect, test } from 'vitest';
import { Catalog } from '../../src/broker/catalog.ts';
import type { Host } from '../../src/broker/host.ts';
import { Leaders } from '../../src/broker/leaders.ts';
import type { Peers } from '../../src/broker/peers.ts';
import { Routes } from '../../src/broker/routes.ts';
import { LogError } from '../../src/protocol/index.ts';
import { SimTime } from './support/sim-env.ts';

interface Bench {
  readonly routes: Routes;
  readonly leaders: Leaders;
  readonly time: SimTime;
  isMember: boolean;
  hasCaughtUp: boolean;
  up: string[];
}

/** Node n1 of three, and a topic "t" of two partitions: group 1 on n1 and n2, group 2 on n2 and n3. */
function bench(): Bench {
  const catalog = new Catalog();
  const nodes = ['n1', 'n2', 'n3'].map((id) => ({ id, diskUuid: id }));
  catalog.apply({ kind: 'birth', clusterId: 'c', nodes }, { index: 1, appendTimeMs: 1 });
  const create = { kind: 'create-topic', name: 't', partitions: 2, replicas: 2, retention: {} };
  catalog.apply(create, { index: 2, appendTimeMs: 1 });
  const leaders = new Leaders();
  const time = new SimTime();
  const made: Bench = {
    leaders,
    time,
    isMember: true,
    hasCaughtUp: true,
    up: ['n2', 'n3'],
    routes: new Routes(
      'n1',
      {
        catalog,
        get: () => (made.isMember ? { voters: [], status: { hasCaughtUp: made.hasCaughtUp } } : undefined),
      } as unknown as Host,
      leaders,
      {
        isUp: (id: string) => made.up.includes(id),
        list: [{ id: 'n2', clientUrl: 'ws://n2' }],
      } as unknown as Peers,
      {
        after: (ms, fn) => time.add(ms, undefined, fn),
        every: () => ({ cancel: () => undefined }),
        soon: () => undefined,
      },
    ),
  };
  return made;
}

function refused(act: () => unknown): LogError {
  try {
    act();
  } catch (error) {
    if (LogError.is(error)) return error;
  }
  throw new Error('it was not refused');
}

describe('from names to groups', () => {
  test('a topic is found by name and by id', () => {
    const { routes } = bench();
    expect(routes.partition({ name: 't' }, 1).partition.groupId).toBe(2);
    expect(routes.topic({ id: 2 }).name).toBe('t');
  });

  test('a topic that is not known is not said not to exist while the catalog is being caught up', () => {
    const made = bench();
    made.hasCaughtUp = false;
    expect(refused(() => made.routes.topic({ name: 'x' })).code).toBe('NO_LEADER');
    expect(made.routes.topic({ name: 't' }).id).toBe(2);
  });

  test.each([
    [{ name: 'x' }, 0, 'TOPIC_NOT_FOUND'],
    [{ id: 9 }, 0, 'TOPIC_NOT_FOUND'],
    [{ name: 't' }, 2, 'PARTITION_NOT_FOUND'],
    [{ name: 't' }, 0.5, 'PARTITION_NOT_FOUND'],
    [{ name: 't' }, Number.NaN, 'PARTITION_NOT_FOUND'],
  ] as const)('%j partition %d is %s, and nothing was done', (ref, partition, code) => {
    const error = refused(() => bench().routes.partition(ref, partition));
    expect([error.code, error.outcome]).toEqual([code, 'none']);
  });

  test('before there is a catalog to ask, that is what is said', () => {
    const made = bench();
    made.isMember = false;
    expect(refused(() => made.routes.topic({ name: 't' }))).toMatchObject({ code: 'NO_LEADER', retriable: true });
  });
});

describe('whom to ask', () => {
  test('is the leader when it is up, else any replica that is', () => {
    const made = bench();
    const { partition } = made.routes.partition({ name: 't' }, 1);
    made.leaders.learn(2, { term: 1, leader: 'n3' });
    expect(made.routes.replica(partition)).toBe('n3');
    made.up = ['n2'];
    expect(made.routes.replica(partition)).toBe('n2');
    made.up = [];
    expect(made.routes.replica(partition)).toBeUndefined();
    expect([made.routes.isHosted(partition), made.routes.clientUrl('n2')]).toEqual([false, 'ws://n2']);
  });
});

describe('waiting for a leader', () => {
  test('ends with the leader, or with the time', async () => {
    const { routes, leaders, time } = bench();
    const done: string[] = [];
    void routes.waitForLeader(1, 100).then(() => done.push('found'));
    void routes.waitForLeader(2, 100).then(() => done.push('gave up'));
    void routes.waitForLeader(2, 0).then(() => done.push('did not wait'));
    await time.advance(50);
    leaders.learn(1, { term: 1, leader: 'n2' });
    await time.advance(10);
    expect(done).toEqual(['did not wait', 'found']);
    await time.advance(50);
    expect(done).toEqual(['did not wait', 'found', 'gave up']);
  });
});

describe('a question that another leader makes pointless', () => {
  test('is given up with outcome unknown, and its late answer is nobody’s', async () => {
    const { routes, leaders } = bench();
    let fail: (error: Error) => void = () => undefined;
    const asked = new Promise<string>((_, reject) => {
      fail = reject;
    });
    const answer = routes.unlessLedByOther(1, 'n1', asked);
    leaders.learn(1, { term: 1, leader: 'n1' });
    leaders.learn(1, { term: 2, leader: 'n2' });
    await expect(answer).rejects.toMatchObject({ code: 'NOT_LEADER', outcome: 'unknown' });
    fail(new LogError('TIMEOUT'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('is answered otherwise, and a leader that comes later changes nothing', async () => {
    const { routes, leaders } = bench();
    expect(await routes.unlessLedByOther(1, 'n1', Promise.resolve('yes'))).toBe('yes');
    leaders.learn(1, { term: 2, leader: 'n2' });
    await new Promise((resolve) => setImmediate(resolve));
  });
});
