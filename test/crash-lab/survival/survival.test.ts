/** The table "What survives what": it names tests, faults and results that exist, and none of them is left out. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readSource } from '../../house/sources.ts';
import { ALL_FAULTS, LATER_FAULTS, LATEST_FAULTS } from '../../sim/faults/all.ts';
import { expectPart } from '../../support/document-part.ts';
import { LEDGER, readLedger } from '../ledger.ts';
import { FAULTS } from '../plan.ts';
import type { LabReport } from '../report.ts';
import { type Cell, held } from './cell.ts';
import { ROWS, survivalText } from './table.ts';
import { hasTest } from './test-titles.ts';

const CELLS: readonly Cell[] = ROWS.flatMap(({ cells }) => Object.values(cells));
const SIM_FAULTS = [...ALL_FAULTS, ...LATER_FAULTS, ...LATEST_FAULTS].map(({ name }) => name);

describe('what survives what', () => {
  test('is told by the document as the cells and the ledger have it', () => {
    const part = { document: 'docs/guarantees.md', name: 'survival', writer: 'test/crash-lab/survival/table.ts' };
    expectPart(part, survivalText(ROWS, readLedger(LEDGER)));
  });

  test('names only tests that exist', () => {
    const named = CELLS.flatMap(({ tests }) => ('none' in tests ? [] : tests));
    const gone = named.filter(({ file, title }) => !existsSync(file) || !hasTest(readSource(file).code, title));
    expect(gone).toEqual([]);
  });

  test('has a test in every cell, or says why there is none', () => {
    const empty = CELLS.filter(({ tests }) => ('none' in tests ? tests.none === '' : tests.length === 0));
    expect(empty).toEqual([]);
  });

  test('has every fault of the lab in exactly one cell, and no others', () => {
    const named = CELLS.flatMap(({ lab = [] }) => lab);
    expect(named.toSorted()).toEqual(FAULTS.map(({ name }) => name).sort());
  });

  test('names only faults of the simulator that exist', () => {
    expect(CELLS.flatMap(({ sim = [] }) => sim).filter((name) => !SIM_FAULTS.includes(name))).toEqual([]);
  });
});

describe('a cell', () => {
  const kept = { kept: 'kept', tests: held('test/a.test.ts', 'is kept'), lab: ['a fault', 'another'] };
  const cells = { 'one of three': kept, 'a majority': { kept: '?', tests: { none: 'why' } }, all: kept };
  const good: LabReport = {
    ...{ commit: 'abc1234', machine: 'a machine', seed: 1, minutes: 1, episodes: 1, acked: 9, delivered: 9 },
    ...{ events: {}, runs: { 'a fault': 2 }, notRun: {}, recoveredMs: { median: 1, most: 2 } },
    ...{ anomalies: [], vacuous: [], failures: [] },
  };

  test('shows how often its faults were run, and never shows a bad run as a good one', () => {
    const bad = { ...good, anomalies: ['seed 1: lost'] };
    const rows = [{ fault: 'f', cells }];
    expect(survivalText(rows, [good])).toContain('2 ×, 0 lost: 2 × a fault; 0 × another');
    expect(survivalText(rows, [good, bad])).toContain('4 ×, **1 not good**: 4 × a fault; 0 × another');
  });

  test('without a test says so', () => {
    expect(survivalText([{ fault: 'f', cells }], [good])).toContain('| a majority | ? | **no test**: why | - | - |');
  });
});
