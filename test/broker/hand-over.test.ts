/** Whom leaderships are given to, and that a thousand groups are not gone through where nobody would take any. */
import { describe, expect, test } from 'vitest';
import type { DiskWatch } from '../../src/broker/disk-watch.ts';
import { HandOver, type HandOverParts } from '../../src/broker/hand-over.ts';
import type { SpaceWatch } from '../../src/broker/space-watch.ts';

const SLOW = { flushMs: 500, isHanging: false } as DiskWatch;
const HANGING = { flushMs: 700, isHanging: true } as DiskWatch;
const FULL = { fullMs: 500 } as SpaceWatch;

interface Peer {
  readonly isUp: boolean;
  readonly isWilling: boolean;
}

/** Node a, which leads one group of a, b and c, and what it does with it. */
function leading(peers: { readonly b: Peer; readonly c: Peer }): { handOver: HandOver; did: string[] } {
  const did: string[] = [];
  const partition = {
    role: 'leader',
    voters: ['a', 'b', 'c'],
    isInStep: () => true,
    transferTo: (node: string) => did.push(`to ${node}`),
    stepDown: () => did.push('steps down'),
  };
  const ofPeer = (id: string): Peer | undefined => Object.entries(peers).find(([name]) => name === id)?.[1];
  const parts = {
    options: { nodeId: 'a', tickMs: 10, timing: { electionTicksMax: 40 } },
    world: { peers: { list: [{ id: 'b' }, { id: 'c' }], isUp: (id: string) => ofPeer(id)?.isUp === true } },
    host: {
      open: () => {
        did.push('goes through its groups');
        return [partition];
      },
    },
    gossip: { isWilling: (id: string) => ofPeer(id)?.isWilling !== false },
  };
  return { handOver: new HandOver(parts as unknown as HandOverParts), did };
}

const TAKES: Peer = { isUp: true, isWilling: true };
const UNWILLING: Peer = { isUp: true, isWilling: false };
const DOWN: Peer = { isUp: false, isWilling: true };

describe('a node that should not lead', () => {
  test('does not go through its groups while no other node takes leaderships', () => {
    const { handOver, did } = leading({ b: UNWILLING, c: DOWN });
    handOver.fromSlowDisk(SLOW);
    handOver.fromSlowDisk(HANGING);
    handOver.fromFullDisk(FULL);
    expect(did).toEqual([]);
  });

  test('gives them to the one that is up and takes them', () => {
    const slow = leading({ b: UNWILLING, c: TAKES });
    slow.handOver.fromSlowDisk(SLOW);
    expect(slow.did).toEqual(['goes through its groups', 'to c']);
    const full = leading({ b: TAKES, c: DOWN });
    full.handOver.fromFullDisk(FULL);
    expect(full.did).toEqual(['goes through its groups', 'to b']);
  });

  test('steps down when a flush hangs and another node would lead', () => {
    const { handOver, did } = leading({ b: DOWN, c: TAKES });
    handOver.fromSlowDisk(HANGING);
    expect(did).toEqual(['goes through its groups', 'steps down']);
  });
});
