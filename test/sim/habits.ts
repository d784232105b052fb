/** How the nodes of a run are set up: sizes and limits drawn by the seed, and what is switched on for whole runs. */
import type { BrokerOptions } from '../../src/broker/index.ts';
import type { Prng } from '../raft/support/prng.ts';
import { TIMING } from './world/cluster.ts';

export function brokerOptions(random: Prng): Partial<BrokerOptions> {
  return {
    segmentBytes: random.pick([8 * 1024, 32 * 1024, 128 * 1024]),
    cacheBytesMax: random.pick([1, 4 * 1024, 1024 * 1024]),
    appendBytesMax: random.pick([1024, 8 * 1024]),
    inflightBytesMax: random.pick([8 * 1024, 64 * 1024]),
    uncommittedBytesMax: random.pick([32 * 1024, 1024 * 1024]),
  };
}

/** What a run's nodes do that those of others do not. */
export const HABITS = ['leases', 'resting', 'chunked-snapshots', 'members'] as const;
export type Habit = (typeof HABITS)[number];

export function habitOptions(habits: readonly Habit[], random: Prng): Partial<BrokerOptions> {
  const restTicks = random.pick([5, 30]);
  const chunkBytes = random.pick([100, 1_000]);
  return {
    ...(habits.includes('leases') && { lease: { driftPercent: 10 } }),
    ...(habits.includes('resting') && { timing: { ...TIMING, restTicks } }),
    // So that states travel in several chunks, and long enough for something to go wrong meanwhile.
    ...(habits.includes('chunked-snapshots') && { snapshots: { bytesPerSecond: 100 * chunkBytes, chunkBytes } }),
  };
}

/** Topics whose policy is compaction in this run, and nodes that compact often enough for passes to come about. */
export interface CompactionHabit {
  readonly topics: readonly string[];
  readonly tombstoneRetentionMs: number;
  readonly options: Partial<BrokerOptions>;
}

/** Longer than any run lasts and any clock jumps. */
const FOR_GOOD_MS = 24 * 3_600_000;

/** `random`: a stream of its own. */
export function compactionHabit(random: Prng): CompactionHabit | undefined {
  if (!random.chance(0.13)) return undefined;
  const topics = random.pick([['t'], ['t'], ['u'], ['t', 'u']]);
  const tombstoneRetentionMs = random.pick([300, 1_000, FOR_GOOD_MS]);
  const options = {
    segmentBytes: random.pick([8 * 1024, 16 * 1024]),
    compactionBytesPerSecond: random.pick([64 * 1024, 1024 * 1024, 8 * 1024 * 1024]),
    // The smaller one is full after a few passes' worth of keys.
    compactionMapBytes: random.pick([1_536, 64 * 1024]),
    compactionPeriods: { lookMs: random.pick([60, 200]), retryMs: 200, tellMs: random.pick([150, 400]) },
  };
  return { topics, tombstoneRetentionMs, options };
}

/** Whether a tombstone may go before the run is over. */
export function isForgetful({ tombstoneRetentionMs }: { readonly tombstoneRetentionMs: number }): boolean {
  return tombstoneRetentionMs < FOR_GOOD_MS;
}
