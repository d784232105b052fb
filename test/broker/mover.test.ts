/** What the mover does next, from the catalog and the membership in force alone. */
import { expect, test } from 'vitest';
import { Catalog, type CatalogCommand } from '../../src/broker/catalog.ts';
import type { Host } from '../../src/broker/host.ts';
import { Mover } from '../../src/broker/mover.ts';
import type { Membership, MembershipTarget, Partition } from '../../src/partition/index.ts';
import { SimTime, simEnv } from './support/sim-env.ts';

const members = (voters: string[], votersOutgoing: string[] = [], learners: string[] = []): Membership => ({
  voters,
  votersOutgoing,
  learners,
});

test('a partition is reported as moved only when its new membership is committed, step by step', async () => {
  const catalog = new Catalog();
  let index = 0;
  const apply = (command: unknown): unknown => catalog.apply(command, { index: ++index, appendTimeMs: 1 });
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((id) => ({ id, diskUuid: id }));
  apply({ kind: 'birth', clusterId: 'c', nodes });
  const retention = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };
  apply({ kind: 'create-topic', name: 't', partitions: 1, replicas: 3, retention });
  apply({ kind: 'remove-node', id: 'n3' });
  const asked: MembershipTarget[] = [];
  const said: CatalogCommand[] = [];
  const partition = {
    isReadyLeader: true,
    membership: members(['n1', 'n2', 'n3']),
    committedMembership: members(['n1', 'n2', 'n3']),
    changeMembership: (target: MembershipTarget) => asked.push(target),
  };
  const host = { catalog, get: (groupId: number) => (groupId === 1 ? (partition as unknown as Partition) : undefined) };
  const time = new SimTime();
  const mover = new Mover({
    nodeId: 'n1',
    env: simEnv(time, 1, [], { isOver: false, skewMs: 0 }),
    host: host as unknown as Host,
    change: async (command) => {
      said.push(command);
      return 'done';
    },
    handOver: { attempt: () => undefined },
  });
  const next = async (membership: Membership, committed: Membership): Promise<void> => {
    Object.assign(partition, { membership, committedMembership: committed });
    asked.length = 0;
    await time.advance(200);
    mover.tick();
  };
  const [old, learning] = [members(['n1', 'n2', 'n3']), members(['n1', 'n2', 'n3'], [], ['n4'])];
  const [joint, moved] = [members(['n1', 'n2', 'n4'], ['n1', 'n2', 'n3']), members(['n1', 'n2', 'n4'])];
  await next(old, old);
  expect(asked).toEqual([{ voters: ['n1', 'n2', 'n3'], learners: ['n4'] }]);
  await next(learning, old);
  expect(asked).toEqual([]);
  await next(learning, learning);
  expect(asked).toEqual([{ voters: ['n1', 'n2', 'n4'], learners: [] }]);
  for (const committed of [learning, joint]) {
    await next(joint, committed);
    await next(moved, committed);
    expect([asked, said]).toEqual([[], []]);
  }
  await next(moved, moved);
  expect(said).toEqual([{ kind: 'moved', groupId: 1, from: 'n3', to: 'n4' }]);
});
