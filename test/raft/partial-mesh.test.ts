/** F17: networks in which some pairs cannot talk, for ever. A stable leader must come all the same, and stay. */
import { describe, expect, test } from 'vitest';
import { Cluster } from './support/cluster.ts';

function linksOnly(cluster: Cluster, links: readonly string[]): void {
  const ids = [...cluster.nodes.keys()];
  for (const a of ids) {
    const strangers = ids.filter((b) => a !== b && !links.includes(`${a}-${b}`) && !links.includes(`${b}-${a}`));
    cluster.cut([a], strangers);
  }
}

const MESHES = [
  { name: 'three nodes, one link down', ids: ['n1', 'n2', 'n3'], links: ['n1-n2', 'n2-n3'] },
  {
    name: 'a core of three, two nodes that reach one of them each',
    ids: ['n1', 'n2', 'n3', 'n4', 'n5'],
    links: ['n1-n2', 'n1-n3', 'n2-n3', 'n4-n2', 'n5-n3'],
  },
  {
    name: 'a bridge between two pairs',
    ids: ['n1', 'n2', 'n3', 'n4', 'n5'],
    links: ['n1-n2', 'n4-n5', 'n1-n3', 'n2-n3', 'n3-n4', 'n3-n5'],
  },
  {
    name: 'a ring',
    ids: ['n1', 'n2', 'n3', 'n4', 'n5'],
    links: ['n1-n2', 'n2-n3', 'n3-n4', 'n4-n5', 'n5-n1'],
  },
];

describe.each(MESHES)('$name', ({ ids, links }) => {
  test.each(ids)('has a stable leader that commits, whoever led before: %s', (first) => {
    const cluster = new Cluster({ ids }).start();
    const before = cluster.elect(first).raft.term;
    linksOnly(cluster, links);
    // The entries written meanwhile make logs differ in length.
    for (let i = 0; i < 50; i += 1) {
      cluster.leader()?.propose([`early ${i}`]);
      cluster.tick(10);
    }
    const leader = cluster.leader()!;
    const { term } = leader.raft;
    expect(term - before).toBeLessThanOrEqual(3);
    cluster.tick(500);
    expect(leader.propose(['late']).kind).toBe('accepted');
    cluster.tick(8);
    expect(leader.raft).toMatchObject({ role: 'leader', term, commit: leader.raft.lastIndex });
  });
});
