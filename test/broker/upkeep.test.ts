import { describe, expect, test } from 'vitest';
import { HOUSEKEEPING_BYTES_MAX, type SegmentView } from '../../src/broker/retention.ts';
import { Upkeep, type UpkeepParts } from '../../src/broker/upkeep.ts';

import { segments } from './support/segments.ts';

const MB = 1_000_000;

interface Bench {
  readonly upkeep: Upkeep;
  readonly transfers: { readonly to: string; readonly atMs: number }[];
  readonly trims: number[];
  readonly seals: number[];
  segments: readonly SegmentView[];
  nowMs: number;
  isWilling: boolean;
  isLeader: boolean;
  run(ms: number): Promise<void>;
}

const topic = {
  retention: { maxBytes: 4 * MB, maxAgeMs: undefined, maxRecords: undefined },
  partitions: [{ groupId: 7, partition: 0, replicas: ['n2', 'n1'] }],
};

/** One partition, led here, that is meant to be led by n2. */
function bench(): Bench {
  const made: Bench = {
    transfers: [],
    trims: [],
    seals: [],
    segments: segments(5),
    nowMs: 1_000,
    isWilling: true,
    isLeader: true,
    run: async (ms) => {
      for (const endMs = made.nowMs + ms; made.nowMs < endMs; made.nowMs += 100) {
        made.upkeep.tick();
        await Promise.resolve();
      }
    },
    upkeep: new Upkeep({
      nodeId: 'n1',
      env: { clock: { monotonicMs: () => made.nowMs, nowMs: () => 1e12 }, logger: { error: () => undefined } },
      metrics: { set: () => undefined },
      host: {
        mendAll: async () => undefined,
        get: () => partition,
        open: () => [partition].values(),
        catalog: {
          topics: () => [topic],
          topicOfGroup: () => topic,
        },
      },
      mayLead: () => made.isWilling,
      scrubber: { tick: () => undefined },
    } as unknown as UpkeepParts),
  };
  const partition = {
    groupId: 7,
    get isReadyLeader() {
      return made.isLeader;
    },
    earliest: 0,
    tail: 8,
    segments: () => made.segments,
    seal: async () => made.seals.push(made.nowMs),
    proposeTrim: async (before: number) => made.trims.push(before),
    isInStep: () => true,
    transferTo: (to: string) => made.transfers.push({ to, atMs: made.nowMs }),
  };
  return made;
}

describe('leaderships', () => {
  test('go back to the preferred node once it has been up for a while', async () => {
    const made = bench();
    await made.run(5_000);
    expect(made.transfers).toEqual([]);
    made.upkeep.peerUp('n2');
    const upMs = made.nowMs;
    await made.run(6_000);
    expect(made.transfers[0]!.to).toBe('n2');
    expect(made.transfers[0]!.atMs - upMs).toBeGreaterThanOrEqual(3_000);
  });

  test('are offered more and more seldom to a node that does not take them', async () => {
    const made = bench();
    made.upkeep.peerUp('n2');
    await made.run(3_600_000);
    const gaps = made.transfers.slice(1).map(({ atMs }, at) => atMs - made.transfers[at]!.atMs);
    expect(gaps[0]).toBeLessThan(10_000);
    expect(made.transfers.length).toBeLessThan(25);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(300_000);
    // It came up anew: whatever it was may be over.
    made.upkeep.peerUp('n2');
    const before = made.transfers.length;
    await made.run(10_000);
    expect(made.transfers.length).toBeGreaterThan(before);
  });

  test('are not offered to a node that wants none, or that is down', async () => {
    const made = bench();
    made.upkeep.peerUp('n2');
    made.isWilling = false;
    await made.run(10_000);
    made.isWilling = true;
    made.upkeep.peerDown('n2');
    await made.run(10_000);
    expect(made.transfers).toEqual([]);
  });
});

describe('retention', () => {
  test('trims what is led here, never past the tail, and nothing that is led elsewhere', async () => {
    const made = bench();
    made.isLeader = false;
    await made.run(2_000);
    expect(made.trims).toEqual([]);
    made.isLeader = true;
    await made.run(1_000);
    expect(made.trims).toEqual([8]);
  });
});

describe('sealing', () => {
  test('of an active segment that holds nothing to read, on any replica, once it is worth it', async () => {
    const made = bench();
    made.isLeader = false;
    const idle = { ...made.segments.at(-1)!, firstOffset: 0, nextOffset: 0 };
    made.segments = [{ ...idle, bytes: HOUSEKEEPING_BYTES_MAX - 1 }];
    await made.run(2_000);
    expect(made.seals).toEqual([]);
    made.segments = [{ ...idle, bytes: HOUSEKEEPING_BYTES_MAX }];
    await made.run(1_000);
    expect(made.seals).toHaveLength(1);
  });
});
