import { describe, expect, test } from 'vitest';
import { Chaos } from './support/chaos.ts';

/** More with e.g. RAFT_SEEDS=5000; one with RAFT_SEED=123. */
const SEEDS = Number(process.env.RAFT_SEEDS ?? 60);
const ONLY = process.env.RAFT_SEED;
const STEPS = 3000;

function seedsFrom(first: number): number[] {
  return ONLY === undefined ? Array.from({ length: SEEDS }, (_, i) => first + i) : [Number(ONLY)];
}

interface Sum {
  committed: number;
  leaders: number;
  crashes: number;
  installs: number;
  changes: number;
}

function runAll(first: number, nodeCount: number, spareCount: number): Sum {
  const sum: Sum = { committed: 0, leaders: 0, crashes: 0, installs: 0, changes: 0 };
  for (const seed of seedsFrom(first)) {
    try {
      const report = new Chaos(seed, nodeCount, spareCount).run(STEPS);
      sum.committed += report.committed;
      sum.leaders += report.leaders;
      sum.crashes += report.crashes;
      sum.installs += report.installs;
      sum.changes += report.changes;
    } catch (error) {
      throw new Error(`seed ${seed} with ${nodeCount} nodes`, { cause: error });
    }
  }
  return sum;
}

describe.each([
  { nodeCount: 3, spareCount: 2, first: 1 },
  { nodeCount: 5, spareCount: 1, first: 1_000_001 },
])('$nodeCount nodes and $spareCount to join, under chaos', ({ nodeCount, spareCount, first }) => {
  test('keep the safety properties of Figure 3, and make progress once healed', { timeout: 600_000 }, () => {
    const sum = runAll(first, nodeCount, spareCount);
    // The chaos must have been one: elections, crashes and snapshots happened, and entries committed all the same.
    if (ONLY === undefined) {
      expect(sum.committed).toBeGreaterThan(SEEDS * 50);
      expect(sum.leaders).toBeGreaterThan(SEEDS * 2);
      expect(sum.crashes).toBeGreaterThan(0);
      expect(sum.installs).toBeGreaterThan(0);
      expect(sum.changes).toBeGreaterThan(SEEDS);
    }
  });
});

describe('a run under chaos', () => {
  test('is the same for the same seed (R25)', () => {
    const [first, second, other] = [7, 7, 8].map((seed) => new Chaos(seed, 3, 2).run(500));
    expect(second).toEqual(first);
    expect(other!.traceHash).not.toBe(first!.traceHash);
  });
});
