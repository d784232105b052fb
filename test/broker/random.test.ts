import { describe, expect, test } from 'vitest';
import { Chaos, type ChaosReport } from './support/chaos.ts';

/** More with e.g. BROKER_SEEDS=2000; one with BROKER_SEED=123. */
const SEEDS = Number(process.env.BROKER_SEEDS ?? 40);
const ONLY = process.env.BROKER_SEED;
const CHAOS_MS = 6_000;

function seeds(): number[] {
  return ONLY === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(ONLY)];
}

async function run(seed: number): Promise<ChaosReport> {
  try {
    return await new Chaos(seed).run(CHAOS_MS);
  } catch (error) {
    throw new Error(`seed ${seed}; again with: BROKER_SEED=${seed} npx vitest run test/broker/random.test.ts`, {
      cause: error,
    });
  }
}

describe('brokers under chaos', () => {
  test('lose nothing, duplicate nothing, agree, and take appends again once healed', {
    timeout: 3_600_000,
  }, async () => {
    const sum = { acked: 0, refused: 0, records: 0, trimmed: 0, dropped: 0 };
    for (const seed of seeds()) {
      const report = await run(seed);
      if (ONLY !== undefined) console.log(report);
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += report[key];
    }
    console.log(sum);
    if (ONLY !== undefined) return;
    expect(sum.acked).toBeGreaterThan(SEEDS * 100);
  });
});
