/** Nodes that come, go and are replaced: whole brokers in simulated time, under appends, with crashes in between. */
import { afterEach, describe, expect, test } from 'vitest';
import { MemoryDisk } from '../../storage/index.ts';
import { endLater, killAll } from './support/endings.ts';
import { damageFile, fileBytes, segmentsOf } from './support/files.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
afterEach(killAll);

/** A cluster that works, with a topic of four partitions. */
async function born(ids: readonly string[] = THREE): Promise<SimCluster> {
  const cluster = new SimCluster(ids, { nodeIds: ids });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t', { partitions: 4, replicas: 3 });
  return cluster;
}

/** Starts an empty node that knows the others. */
async function newcomer(cluster: SimCluster, id: string): Promise<void> {
  cluster.addMachine(id);
  cluster.network.ids.push(id);
  await cluster.start(id, { bootstrap: false, nodeIds: [...cluster.nodes.keys()] });
}

function statesSeenBy(cluster: SimCluster, id: string): Record<string, string> {
  return Object.fromEntries(
    cluster
      .broker(id)
      .cluster()
      .nodes.map((node) => [node.id, node.state]),
  );
}

async function settledAs(cluster: SimCluster, on: string, members: readonly string[]): Promise<void> {
  const isSettled = (): boolean => {
    const seen = Object.entries(statesSeenBy(cluster, on)).filter(([, state]) => state !== 'unknown');
    return seen.length === members.length && seen.every(([id, state]) => state === 'member' && members.includes(id));
  };
  await cluster.until(isSettled, `the members are ${members.join(', ')}`, 60_000);
}

/** Appends and remembers; every answered record must be read in the end. */
class Load {
  readonly #cluster: SimCluster;
  readonly acked: { readonly partition: number; readonly offset: number; readonly value: string }[] = [];
  #count = 0;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  async append(on: string, times = 1): Promise<void> {
    for (let i = 0; i < times; i += 1) {
      const value = `v${this.#count++}`;
      const partition = this.#count % 4;
      const append = this.#cluster.broker(on).append({
        client: { inflightBytes: 0 },
        topic: { name: 't' },
        partition,
        batch: batchOf([value]),
        producer: undefined,
        redirect: false,
      });
      const offset = await this.#cluster.wait(append.then(({ baseOffset }) => baseOffset).catch(() => undefined));
      if (offset !== undefined) this.acked.push({ partition, offset, value });
    }
  }

  async expectAllThere(on: string): Promise<void> {
    for (const { partition, offset, value } of this.acked) {
      const read = this.#cluster.broker(on).read({
        topic: { name: 't' },
        partition,
        start: { kind: 'offset', offset },
        bytesMax: 1,
        waitMs: 5_000,
        level: 'any',
      });
      const { batches } = await this.#cluster.wait(read);
      expect(Buffer.from(batches[0]!).includes(value), `${value} at ${offset} of partition ${partition}`).toBe(true);
    }
  }
}

async function replicasOf(cluster: SimCluster, on: string): Promise<string[][]> {
  const topic = await cluster.wait(cluster.broker(on).describeTopic('t'));
  return topic.partitions.map(({ replicas }) => [...replicas].sort());
}

async function codeOf(cluster: SimCluster, verb: Promise<unknown>): Promise<string> {
  return cluster.wait(
    verb.then(
      () => 'done',
      (error: { code: string }) => error.code,
    ),
  );
}

describe('a node that slept while another was added', () => {
  test('is told by the others where to find it, though that one alone can tell what happened', async () => {
    const cluster = await born();
    await cluster.crash('n1');
    await newcomer(cluster, 'n4');
    // Neither is n4 in the --peers of n1.
    cluster.network.ids.splice(cluster.network.ids.indexOf('n4'), 1);
    await cluster.wait(cluster.broker('n2').addNode({ id: 'n4', peerAddress: 'n4:1' }));
    await settledAs(cluster, 'n2', ['n1', 'n2', 'n3', 'n4']);
    for (const id of ['n2', 'n3']) await cluster.wait(cluster.broker('n4').drainNode(id, true));
    await cluster.until(() => cluster.broker('n4').cluster().catalogLeader === 'n4', 'n4 leads the catalog');
    await cluster.start('n1');
    await cluster.ready();
    expect(cluster.broker('n1').cluster().catalogLeader).toBe('n4');
  });
});

describe('a node whose --peers names only nodes that have left', () => {
  // It waited for ever otherwise, not ready, and asked again and again for what only those could have who left.
  test('has its damaged catalog mended by a member that the sound part of it names', async () => {
    const cluster = await born();
    await newcomer(cluster, 'n4');
    await cluster.wait(cluster.broker('n2').addNode({ id: 'n4', peerAddress: 'n4:1' }));
    await settledAs(cluster, 'n1', ['n1', 'n2', 'n3', 'n4']);
    await cluster.createTopic('rotten', {}, 'n4');
    for (const [leaver, left] of [
      ['n3', ['n1', 'n2', 'n4']],
      ['n2', ['n1', 'n4']],
    ] as const) {
      await cluster.wait(cluster.broker('n4').removeNode(leaver));
      await settledAs(cluster, 'n1', left);
      await cluster.crash(leaver);
    }
    await cluster.crash('n1');
    const [segment] = await segmentsOf(cluster, 'n1', '/data/logs/0000000000');
    const before = await fileBytes(cluster, 'n1', segment!);
    await damageFile(cluster, 'n1', segment!, Buffer.from(before).indexOf('"rotten"'));
    cluster.network.ids.splice(cluster.network.ids.indexOf('n4'), 1);
    await cluster.start('n1');
    await cluster.ready();
    expect((await fileBytes(cluster, 'n1', segment!)).subarray(0, before.length)).toEqual(before);
    expect(statesSeenBy(cluster, 'n1')).toEqual({ n1: 'member', n4: 'member' });
  });
});

describe('a node that is added', () => {
  test('follows, catches up and votes; a cluster grows from three to five', async () => {
    const cluster = await born();
    const load = new Load(cluster);
    await load.append('n1', 8);
    for (const id of ['n4', 'n5']) {
      await newcomer(cluster, id);
      await cluster.wait(cluster.broker('n2').addNode({ id, peerAddress: `${id}:1` }));
      await load.append('n3', 4);
      await settledAs(cluster, 'n1', [...THREE, ...(id === 'n4' ? ['n4'] : ['n4', 'n5'])]);
    }
    // Two of five may go.
    for (const id of ['n1', 'n2']) await cluster.crash(id);
    await cluster.until(() => cluster.broker('n4').cluster().catalogLeader !== undefined, 'a catalog leader');
    await cluster.createTopic('u', { replicas: 3 }, 'n5').catch((error: { code: string }) => {
      // Its replicas may lie on nodes that are down: the catalog has taken it all the same.
      expect(error.code).toBe('TIMEOUT');
    });
    expect(cluster.broker('n5').cluster().clusterId).toBe(cluster.broker('n3').cluster().clusterId);
  });

  test('must be there, be new, be empty, and come alone', async () => {
    const cluster = await born();
    const { broker } = { broker: cluster.broker('n1') };
    expect(await codeOf(cluster, broker.addNode({ id: 'n4', peerAddress: 'n4:1' }))).toBe('NODE_DOWN');
    expect(await codeOf(cluster, broker.addNode({ id: 'n2', peerAddress: 'n2:1' }))).toBe('NODE_EXISTS');
    expect(await codeOf(cluster, broker.addNode({ id: '../n', peerAddress: 'n:1' }))).toBe('INVALID');
    expect(await codeOf(cluster, broker.addNode({ id: 'n4', peerAddress: 'nowhere' }))).toBe('INVALID');
    expect(await codeOf(cluster, broker.addNode({ id: 'n4', peerAddress: 'n4:99999' }))).toBe('INVALID');
    expect(await codeOf(cluster, broker.addNode({ id: 'n4', peerAddress: 'n4:0' }))).toBe('INVALID');
    expect(statesSeenBy(cluster, 'n1')).toEqual({ n1: 'member', n2: 'member', n3: 'member' });
    await newcomer(cluster, 'n4');
    await newcomer(cluster, 'n5');
    await cluster.wait(broker.addNode({ id: 'n4', peerAddress: 'n4:1' }));
    expect(await codeOf(cluster, broker.addNode({ id: 'n5', peerAddress: 'n5:1' }))).toBe('CHANGE_IN_FLIGHT');
    expect(await codeOf(cluster, broker.removeNode('n2'))).toBe('CHANGE_IN_FLIGHT');
    await settledAs(cluster, 'n1', [...THREE, 'n4']);
  });

  test('of another cluster is refused, and told why', async () => {
    const cluster = await born();
    cluster.addMachine('n4');
    const { ids } = cluster.network;
    ids.splice(0);
    await cluster.start('n4', { nodeIds: ['n4'] });
    await cluster.until(() => cluster.broker('n4').cluster().clusterId !== undefined, 'n4 is a cluster of its own');
    ids.push(...cluster.nodes.keys());
    cluster.network.node('n4')!.learn('n1');
    const adding = cluster.wait(cluster.broker('n1').addNode({ id: 'n4', peerAddress: 'n4:1' }));
    await expect(adding).rejects.toMatchObject({ code: 'NODE_DOWN', message: expect.stringContaining('belongs to') });
  });
});

describe('a node that is removed', () => {
  test('leaves its replicas to the others and is gone; a cluster shrinks from five to three', async () => {
    const cluster = await born(['n1', 'n2', 'n3', 'n4', 'n5']);
    const load = new Load(cluster);
    await load.append('n1', 12);
    for (const [id, left] of [
      ['n1', ['n2', 'n3', 'n4', 'n5']],
      ['n4', ['n2', 'n3', 'n5']],
    ] as const) {
      await cluster.wait(cluster.broker('n3').removeNode(id));
      await load.append('n3', 4);
      await settledAs(cluster, 'n3', left);
      await cluster.crash(id);
    }
    for (const replicas of await replicasOf(cluster, 'n3')) expect(replicas).toEqual(['n2', 'n3', 'n5']);
    await load.append('n5', 8);
    expect(load.acked.length).toBeGreaterThan(24);
    await load.expectAllThere('n2');
  });

  test('may be the leader of everything', async () => {
    const cluster = await born();
    const load = new Load(cluster);
    const { catalogLeader } = cluster.broker('n1').cluster();
    const others = THREE.filter((id) => id !== catalogLeader);
    await cluster.wait(cluster.broker(catalogLeader!).removeNode(catalogLeader!));
    await settledAs(cluster, others[0]!, others);
    await load.append(others[1]!, 8);
    expect(load.acked).toHaveLength(8);
    // With nobody to take its place, there is a replica less.
    expect(await replicasOf(cluster, others[0]!)).toEqual([others, others, others, others]);
  });

  test('never comes back: neither its process nor its id', async () => {
    const cluster = await born();
    await cluster.wait(cluster.broker('n1').removeNode('n3'));
    await settledAs(cluster, 'n1', ['n1', 'n2']);
    await cluster.crash('n3');
    await cluster.start('n3');
    await cluster.time.advance(2_000);
    expect(
      cluster
        .broker('n1')
        .cluster()
        .nodes.find(({ id }) => id === 'n3')?.isUp ?? false,
    ).toBe(false);
    expect(await codeOf(cluster, cluster.broker('n1').addNode({ id: 'n3', peerAddress: 'n3:1' }))).toBe('NODE_EXISTS');
  });

  test('must be known, must not be the last, and must leave a majority that is up', async () => {
    const cluster = await born();
    const broker = cluster.broker('n1');
    expect(await codeOf(cluster, broker.removeNode('n7'))).toBe('NODE_NOT_FOUND');
    await cluster.crash('n3');
    await cluster.until(() => broker.cluster().nodes.some(({ isUp }) => !isUp), 'n3 is seen to be down');
    expect(await codeOf(cluster, broker.removeNode('n2'))).toBe('NODE_DOWN');
    expect(statesSeenBy(cluster, 'n1')).toEqual({ n1: 'member', n2: 'member', n3: 'member' });
    const alone = new SimCluster(['m1']);
    endLater(alone);
    await alone.startAll();
    await alone.ready();
    expect(await codeOf(alone, alone.broker('m1').removeNode('m1'))).toBe('INVALID');
  });
});

describe('a node whose disk was lost', () => {
  test('is a stranger under its old id, founds nothing, and is replaced by a new one', async () => {
    const cluster = await born();
    const load = new Load(cluster);
    await load.append('n1', 12);
    const { clusterId } = cluster.broker('n1').cluster();
    await cluster.crash('n3');
    cluster.node('n3').disk = new MemoryDisk();
    await cluster.start('n3');
    await cluster.time.advance(3_000);
    expect(cluster.broker('n3').cluster().clusterId).toBeUndefined();
    expect(
      cluster
        .node('n1')
        .lines.concat(cluster.node('n3').lines)
        .map(({ message }) => message),
    ).toContainEqual(expect.stringContaining('logdrive cluster replace'));
    await cluster.crash('n3');
    await newcomer(cluster, 'n4');
    expect(await codeOf(cluster, cluster.broker('n1').replaceNode('n3', 'n3', 'n3:1'))).toBe('INVALID');
    await cluster.wait(cluster.broker('n1').replaceNode('n3', 'n4', 'n4:1'));
    await load.append('n2', 4);
    await settledAs(cluster, 'n1', ['n1', 'n2', 'n4']);
    for (const replicas of await replicasOf(cluster, 'n1')) expect(replicas).toEqual(['n1', 'n2', 'n4']);
    // The new one alone with one of the old: nothing is missing.
    await cluster.crash('n1');
    await cluster.ready();
    await load.append('n4', 4);
    expect(cluster.broker('n4').cluster().clusterId).toBe(clusterId);
    expect(load.acked.length).toBeGreaterThanOrEqual(16);
    await load.expectAllThere('n4');
  });

  test('and a majority of such nodes, started before the survivor, form no new cluster', async () => {
    const cluster = await born();
    const { clusterId } = cluster.broker('n3').cluster();
    for (const id of THREE) await cluster.crash(id);
    for (const id of ['n1', 'n2']) {
      cluster.node(id).disk = new MemoryDisk();
      await cluster.start(id, { bootstrap: true });
    }
    await cluster.time.advance(5_000);
    await cluster.start('n3');
    await cluster.time.advance(5_000);
    expect(['n1', 'n2', 'n3'].map((id) => cluster.broker(id).cluster().clusterId)).toEqual([
      undefined,
      undefined,
      clusterId,
    ]);
  });
});

describe('a replacement', () => {
  test('survives the crash of anybody at any step', async () => {
    for (let step = 1; step <= 8; step += 1) {
      const cluster = await born();
      const load = new Load(cluster);
      await load.append('n1', 8);
      await cluster.crash('n3');
      await newcomer(cluster, 'n4');
      await cluster.wait(cluster.broker('n2').replaceNode('n3', 'n4', 'n4:1'));
      // Whoever it hits at this moment: each node once, at a later moment each time.
      for (const victim of ['n4', 'n1', 'n2']) {
        await cluster.time.advance(step * 15);
        await cluster.crash(victim);
        await cluster.time.advance(100);
        await cluster.start(victim, victim === 'n4' ? { bootstrap: false, nodeIds: [...cluster.nodes.keys()] } : {});
        await cluster.until(() => cluster.broker('n1').cluster().catalogLeader !== undefined, 'a leader', 30_000);
      }
      await settledAs(cluster, 'n1', ['n1', 'n2', 'n4']);
      await load.append('n1', 4);
      await load.expectAllThere('n4');
      for (const id of cluster.nodes.keys()) cluster.kill(id);
    }
  });
});

describe('a node that is drained', () => {
  test('leads nothing and is given nothing, until it is drained no more', async () => {
    const cluster = await born();
    const led = (id: string): number =>
      cluster
        .broker('n2')
        .cluster()
        .nodes.find((node) => node.id === id)!.partitionsLed;
    await cluster.until(() => led('n1') > 0, 'n1 leads something');
    await cluster.wait(cluster.broker('n2').drainNode('n1', true));
    await cluster.until(() => led('n1') === 0, 'n1 leads nothing', 30_000);
    expect(statesSeenBy(cluster, 'n2').n1).toBe('drained');
    await cluster.createTopic('u', { partitions: 3, replicas: 2 }, 'n2');
    const { partitions } = await cluster.wait(cluster.broker('n2').describeTopic('u'));
    expect(partitions.flatMap(({ replicas }) => replicas)).not.toContain('n1');
    await cluster.time.advance(10_000);
    expect(led('n1')).toBe(0);
    expect(await codeOf(cluster, cluster.broker('n2').drainNode('n7', true))).toBe('NODE_NOT_FOUND');
    await cluster.wait(cluster.broker('n2').drainNode('n2', true));
    expect(await codeOf(cluster, cluster.broker('n2').drainNode('n3', true))).toBe('INVALID');
    await cluster.wait(cluster.broker('n2').drainNode('n1', false));
    await cluster.until(() => led('n1') > 0, 'n1 is given its leaderships back', 30_000);
  });
});
