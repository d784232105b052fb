import { describe, expect, test } from 'vitest';
import { Cluster } from './support/cluster.ts';

describe('a group of one', () => {
  test('leads as soon as its own vote is durable, and commits what its own disk holds', () => {
    const cluster = new Cluster({ ids: ['n1'] }).start();
    const node = cluster.node('n1');
    node.tick();
    expect(node.raft.role).toBe('candidate');
    node.flushHardStates();
    expect(node.raft.role).toBe('leader');
    expect(node.raft.firstIndexOfTerm).toBe(1);
    expect(node.propose(['a', 'b'])).toEqual({ kind: 'accepted', term: 1, first: 2, last: 3 });
    expect(node.raft.commit).toBe(0);
    node.flushWrites();
    expect(node.raft.commit).toBe(3);
  });
});

describe('a group of three', () => {
  test('elects one leader, replicates and commits on every node', () => {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'] }).start();
    cluster.tick(40);
    const leader = cluster.leader()!;
    leader.propose(['a']);
    leader.propose(['b', 'c']);
    cluster.settle();
    for (const node of cluster.nodes.values()) {
      expect(node.raft.commit).toBe(4);
      expect(node.log.map((entry) => entry.payload)).toEqual(['no-op of term 1', 'a', 'b', 'c']);
    }
  });
});
