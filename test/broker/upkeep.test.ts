import { describe, expect, test } from 'vitest';
import { trimTarget, Upkeep, type UpkeepParts } from '../../src/broker/upkeep.ts';

const MB = 1_000_000;

/** Sealed segments of ten offsets each, one a minute, and an active one. */
function segments(count: number, bytes = MB): Parameters<typeof trimTarget>[0] {
  return Array.from({ length: count }, (_, at) => ({
    nextOffset: 10 * (at + 1),
    bytes,
    lastAppendTimeMs: 60_000 * (at + 1),
    isSealed: at < count - 1,
  }));
}

const NONE = { maxBytes: undefined, maxAgeMs: undefined };

describe('what retention asks for', () => {
  test.each([
    ['no bound', NONE, 1e12, 0],
    ['bytes that are not reached', { ...NONE, maxBytes: 5 * MB }, 0, 0],
    ['bytes that one segment is over', { ...NONE, maxBytes: 4 * MB }, 0, 10],
    ['bytes that hold without a segment, but not without two', { ...NONE, maxBytes: 3 * MB + 1 }, 0, 10],
    ['no bytes to speak of: never the active segment', { ...NONE, maxBytes: 1 }, 0, 40],
    ['an age nothing has', { ...NONE, maxAgeMs: 60_000 }, 120_000, 0],
    ['an age the first one is past', { ...NONE, maxAgeMs: 60_000 }, 120_001, 10],
    ['an age all are past', { ...NONE, maxAgeMs: 60_000 }, 1e12, 40],
    ['both: whichever asks for more', { maxBytes: 4 * MB, maxAgeMs: 60_000 }, 240_001, 30],
  ] as const)('%s', (_, retention, nowMs, before) => {
    expect(trimTarget(segments(5), retention, nowMs)).toBe(before);
  });

  test('of a log without a sealed segment is nothing', () => {
    expect(trimTarget(segments(1), { maxBytes: 1, maxAgeMs: 1 }, 1e12)).toBe(0);
    expect(trimTarget([], { maxBytes: 1, maxAgeMs: 1 }, 1e12)).toBe(0);
  });

  test('stops at the first segment that is to stay: a hole would be no prefix', () => {
    const [old, young, older] = segments(4);
    const list = [old!, { ...young!, lastAppendTimeMs: 1e12 }, older!];
    expect(trimTarget(list, { ...NONE, maxAgeMs: 60_000 }, 1e12)).toBe(10);
  });
});

interface Bench {
  readonly upkeep: Upkeep;
  readonly transfers: { readonly to: string; readonly atMs: number }[];
  readonly trims: number[];
  nowMs: number;
  isWilling: boolean;
  isLeader: boolean;
  isFull: boolean | undefined;
  freeBytes: number;
  run(ms: number): Promise<void>;
}

/** One partition, led here, that is meant to be led by n2. */
function bench(): Bench {
  const made: Bench = {
    transfers: [],
    trims: [],
    nowMs: 1_000,
    isWilling: true,
    isLeader: true,
    isFull: undefined,
    freeBytes: 1e12,
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
      directory: { space: async () => ({ freeBytes: made.freeBytes, totalBytes: 1e12 }) },
      host: {
        mendAll: async () => undefined,
        get: () => partition,
        catalog: {
          topics: () => [
            {
              retention: { maxBytes: 4 * MB, maxAgeMs: undefined },
              partitions: [{ groupId: 7, partition: 0, replicas: ['n2', 'n1'] }],
            },
          ],
        },
      },
      mayLead: () => made.isWilling,
      onFull: (isFull: boolean) => {
        made.isFull = isFull;
      },
    } as unknown as UpkeepParts),
  };
  const partition = {
    groupId: 7,
    get isReadyLeader() {
      return made.isLeader;
    },
    earliest: 0,
    tail: 8,
    segments: () => segments(5),
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

describe('the disk', () => {
  test('counts as full below its floor, and as having room above', async () => {
    const made = bench();
    await made.run(200);
    expect(made.isFull).toBe(false);
    made.freeBytes = 1024 ** 3 - 1;
    await made.run(2_000);
    expect(made.isFull).toBe(true);
    made.freeBytes = 1024 ** 3;
    await made.run(2_000);
    expect(made.isFull).toBe(false);
  });
});
