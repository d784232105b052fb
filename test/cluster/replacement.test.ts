/**
 * A node that is gone for good, replaced by an empty one while clients write: real processes, from the command line.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeAnomalies, judge } from '../sim/oracle/index.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/free-ports.ts';
import { logdriveOk } from './support/command-line.ts';
import { Load, partitionOf, readAll } from './support/load.ts';
import { TestCluster } from './support/test-cluster.ts';
import { TestNode } from './support/test-node.ts';

const TOPIC = 'orders';

interface ClusterAnswer {
  readonly nodes: readonly { readonly id: string; readonly state: string; readonly up: boolean }[];
}

/** An empty node that knows the addresses of the others; they do not know it. */
async function newcomer(cluster: TestCluster, id: string): Promise<TestNode> {
  const [clientPort, peerPort] = (await freePorts(2)) as [number, number];
  const others = cluster.nodes.map((node) => `${node.id}=127.0.0.1:${node.peerPort}`);
  const peers = [...others, `${id}=127.0.0.1:${peerPort}`].join(',');
  return new TestNode({ id, dataDir: join(cluster.dir, id), clientPort, peerPort, peers });
}

async function membersSeenBy(node: TestNode): Promise<string> {
  const { nodes } = (await node.get('/v1/cluster')) as ClusterAnswer;
  const known = nodes.filter(({ state }) => state !== 'unknown');
  return known.map(({ id, state }) => `${id} ${state}`).join(', ');
}

describe('a node that was killed', () => {
  test('is replaced by an empty one under load, and nothing acknowledged is lost', async () => {
    await using cluster = await TestCluster.create();
    const [n1, n2, n3] = cluster.nodes as readonly [TestNode, TestNode, TestNode];
    await logdriveOk(['topic', 'create', TOPIC, '-s', cluster.servers]);
    const load = new Load({ servers: cluster.servers, topic: TOPIC });
    load.start();
    await load.moreAcks(200);
    await n3.kill();
    const n4 = await newcomer(cluster, 'n4');
    try {
      n4.start();
      const address = `127.0.0.1:${n4.peerPort}`;
      const server = ['-s', n1.address, '--timeout', '30s'];
      const replacing = ['cluster', 'replace', 'n3', 'n4', '--peer-address', address, ...server];
      await eventually(async () => n4.log.includes('node started'), { what: 'n4 to run' });
      await logdriveOk(replacing);
      const after = 'n1 member, n2 member, n4 member';
      await eventually(async () => (await membersSeenBy(n2)) === after, { what: `the members to be ${after}` });
      await load.moreAcks(200);
      // With the new node the cluster can spare one of the old ones.
      await n1.kill();
      await load.moreAcks(200);
      await load.stop();
      expect(load.errors).toEqual([]);
      for (const node of [n2, n4]) {
        const records = await readAll(node, TOPIC, 'linearizable');
        const log = { partition: partitionOf(TOPIC), node: node.id, earliest: 0, tail: records.length, records };
        load.history.note({ kind: 'replica', ...log });
      }
      expect(describeAnomalies(judge(load.history.events).anomalies)).toBe('');
    } finally {
      await n4.kill();
    }
  });
});
