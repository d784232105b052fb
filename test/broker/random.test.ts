import { describe, expect, test } from 'vitest';
import { Chaos, type ChaosReport } from './support/chaos.ts';

/** More with e.g. BROKER_SEEDS=2000; one, with its report, with BROKER_SEED=123. */
const SEEDS = Number(process.env.BROKER_SEEDS ?? 40);
const ONLY = process.env.BROKER_SEED;
const CHAOS_MS = 6_000;

async function run(seed: number, chaosMs: number): Promise<ChaosReport> {
  try {
    return await new Chaos(seed).run(chaosMs);
  } catch (error) {
    const again = `BROKER_SEED=${seed} npx vitest run --project unit test/broker/random.test.ts`;
    throw new Error(`seed ${seed} broke a promise; again with: ${again}`, { cause: error });
  }
}

describe('brokers under chaos', () => {
  test('lose nothing, duplicate nothing, agree, and take appends again once healed', {
    timeout: 3_600_000,
  }, async () => {
    const reports: ChaosReport[] = [];
    for (let seed = 1; seed <= SEEDS && ONLY === undefined; seed += 1) reports.push(await run(seed, CHAOS_MS));
    if (ONLY !== undefined) {
      console.log(await run(Number(ONLY), CHAOS_MS));
      return;
    }
    const sum = (of: (report: ChaosReport) => number): number =>
      reports.reduce((total, report) => total + of(report), 0);
    // The chaos must have been one, and work must have been done in it all the same.
    expect(sum(({ acked }) => acked)).toBeGreaterThan(SEEDS * 500);
    expect(sum(({ refused }) => refused)).toBeGreaterThan(SEEDS * 10);
    expect(sum(({ records }) => records)).toBeGreaterThan(SEEDS * 200);
    expect(sum(({ trimmed }) => trimmed)).toBeGreaterThan(SEEDS * 200);
    expect(sum(({ dropped }) => dropped)).toBeGreaterThan(SEEDS);
    expect(sum(({ faults }) => Object.values(faults).reduce((total, count) => total + count, 0))).toBeGreaterThan(
      SEEDS * 5,
    );
  });
});

describe('a run under chaos', () => {
  test('is the same for the same seed (R25)', { timeout: 120_000 }, async () => {
    if (ONLY !== undefined) return;
    const [first, second, other] = [await run(7, 1_500), await run(7, 1_500), await run(8, 1_500)];
    expect(second).toEqual(first);
    expect(other.traceHash).not.toBe(first.traceHash);
  });
});
