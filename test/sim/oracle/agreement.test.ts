import { describe, expect, test } from 'vitest';
import { Prng } from '../../raft/support/prng.ts';
import { describeAnomalies, encodeHistory, type HistoryEvent, judge } from './index.ts';
import { goodHistory, mutatedHistory } from './random-history.ts';
import { isExplained } from './search.ts';

const GOOD = 1_500;
const MUTATED = 4_000;

function compare(seed: number, history: readonly HistoryEvent[]): boolean {
  const found = describeAnomalies(judge(history).anomalies);
  const isGood = isExplained(history);
  const story = `seed ${seed}: the search finds it ${isGood ? 'good' : 'bad'}\n${encodeHistory(history)}`;
  expect(found === '', `${story}${found}`).toBe(isGood);
  return isGood;
}

describe('judge and brute-force search', () => {
  test('find nothing wrong with what a true log answered', { timeout: 60_000 }, () => {
    for (let seed = 1; seed <= GOOD; seed += 1) expect(compare(seed, goodHistory(new Prng(seed)))).toBe(true);
  });

  test('agree on histories of up to twelve calls in which something was changed', { timeout: 60_000 }, () => {
    let bad = 0;
    for (let seed = 1; seed <= MUTATED; seed += 1) if (!compare(seed, mutatedHistory(new Prng(seed)))) bad += 1;
    // Both kinds came up often, or agreeing would mean little.
    expect(bad).toBeGreaterThan(MUTATED * 0.3);
    expect(bad).toBeLessThan(MUTATED * 0.9);
  });
});
