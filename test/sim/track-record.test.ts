import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectPart } from '../support/document-part.ts';
import { readLedger } from './ledger.ts';
import { readSeeds, SEEDS } from './regression-seeds.ts';
import { totalsText } from './track-record.ts';

const DOCUMENT = 'docs/track-record.md';
const LEDGER = 'test/sim/ledger.jsonl';

describe('the track record', () => {
  test('shows the totals of the ledger', () => {
    const part = { document: DOCUMENT, name: 'totals', writer: 'test/sim/track-record.ts' };
    expectPart(part, totalsText(readLedger(LEDGER)));
  });

  test('names every seed that broke something', () => {
    const shown = readFileSync(DOCUMENT, 'utf8');
    const missing = readSeeds(SEEDS).filter(({ options }) => !shown.includes(`| ${options.seed} |`));
    expect(missing.map(({ options }) => options.seed)).toEqual([]);
  });
});
