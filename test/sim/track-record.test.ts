import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readLedger } from './ledger.ts';
import { readSeeds, SEEDS } from './regression-seeds.ts';
import { withTotals } from './track-record.ts';

const DOCUMENT = 'docs/track-record.md';
const LEDGER = 'test/sim/ledger.jsonl';

describe('the track record', () => {
  test('shows the totals of the ledger', () => {
    const shown = readFileSync(DOCUMENT, 'utf8');
    const due = withTotals(shown, readLedger(LEDGER));
    if (process.env.UPDATE_DOCS === '1') writeFileSync(DOCUMENT, due);
    else expect(shown, `npm run sim has added to the ledger; UPDATE_DOCS=1 brings ${DOCUMENT} up to date`).toBe(due);
  });

  test('names every seed that broke something', () => {
    const shown = readFileSync(DOCUMENT, 'utf8');
    const missing = readSeeds(SEEDS).filter(({ options }) => !shown.includes(`| ${options.seed} |`));
    expect(missing.map(({ options }) => options.seed)).toEqual([]);
  });
});
