/** Whom leaderships are given to, and that a thousand groups are not gone through where nobody would take any. */
import { describe, expect, test } from 'vitest';
import { HandOver, type HandOverParts } from '../../src/broker/hand-over.ts';

const SLOW = { isHanging: false };
const HANGING = { isHanging: true };

interface Peer {
  readonly isUp: boolean;
  readonly isWilling: boolean;
}

/** Node a, which leads one group of a, b and c, and what it does with it. */
function leading(peers: { readonly b: Peer; readonly c: Peer }): {
  handOver: HandOver;
  did: string[];
  time: { nowMs: number };
} {
  const did: string[] = [];
  const time = { nowMs: 5_000 };
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
    world: {
      env: { clock: { monotonicMs: () => time.nowMs } },
      peers: { list: [{ id: 'b' }, { id: 'c' }], isUp: (id: string) => ofPeer(id)?.isUp === true },
    },
    host: {
      open: () => {
        did.push('goes through its groups');
        return [partition];
      },
    },
    gossip: { isWilling: (id: string) => ofPeer(id)?.isWilling !== false },
  };
  return { handOver: new HandOver(parts as unknown as HandOverParts), did, time };
}

const TAKES: Peer = { isUp: true, isWilling: true };
const UNWILLING: Peer = { isUp: true, isWilling: false };
const DOWN: Peer = { isUp: false, isWilling: true };

describe('a node that should not lead', () => {
  test('does not go through its groups while no other node takes leaderships', () => {
    const { handOver, did } = leading({ b: UNWILLING, c: DOWN });
    handOver.fromSlowDisk(SLOW);
    handOver.fromSlowDisk(HANGING);
    handOver.attempt();
    expect(did).toEqual([]);
  });

  test('gives them to the one that is up and takes them', () => {
    const slow = leading({ b: UNWILLING, c: TAKES });
    slow.handOver.fromSlowDisk(SLOW);
    expect(slow.did).toEqual(['goes through its groups', 'to c']);
    const full = leading({ b: TAKES, c: DOWN });
    full.handOver.attempt();
    expect(full.did).toEqual(['goes through its groups', 'to b']);
  });

  test('leaves time for appends between two attempts: while one is tried, nothing can be appended', () => {
    const { handOver, did, time } = leading({ b: UNWILLING, c: TAKES });
    const offeredAt: number[] = [];
    for (let atMs = 0; atMs < 2_500; atMs += 10) {
      did.length = 0;
      handOver.fromSlowDisk(SLOW);
      if (did.includes('to c')) offeredAt.push(atMs);
      time.nowMs += 10;
    }
    expect(offeredAt).toEqual([0, 1_000, 2_000]);
  });

  test('offers them to one after the other', () => {
    const { handOver, did, time } = leading({ b: TAKES, c: TAKES });
    for (let attempt = 0; attempt < 4; attempt += 1) {
      handOver.fromSlowDisk(SLOW);
      time.nowMs += 1_000;
    }
    expect(did.filter((what) => what.startsWith('to '))).toEqual(['to b', 'to c', 'to b', 'to c']);
  });

  test('steps down when a flush hangs and another node would lead', () => {
    const { handOver, did } = leading({ b: DOWN, c: TAKES });
    handOver.fromSlowDisk(HANGING);
    expect(did).toEqual(['goes through its groups', 'steps down']);
  });
});
