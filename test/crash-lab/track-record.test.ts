/** What the documents say of the lab is what its ledger says, and no bad run is passed over. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectPart } from '../support/document-part.ts';
import { LEDGER, readLedger, resultOf, troublesOf } from './ledger.ts';
import type { LabReport } from './report.ts';
import { labText } from './track-record.ts';

const DOCUMENT = 'docs/track-record.md';

const GOOD: LabReport = {
  ...{ commit: 'abc1234', machine: 'a machine', seed: 1, minutes: 1, episodes: 1, acked: 9, delivered: 9 },
  ...{ events: { kill: 3 }, runs: { 'SIGKILL of the leader': 3 }, notRun: {}, recoveredMs: { median: 1, most: 2 } },
  ...{ anomalies: [], vacuous: [], failures: [] },
};

describe('the track record of the lab', () => {
  test('shows what is in the ledger', () => {
    expectPart(
      { document: DOCUMENT, name: 'lab', writer: 'test/crash-lab/track-record.ts' },
      labText(readLedger(LEDGER)),
    );
  });

  test('tells of every seed that was not good', () => {
    // The simulator's seeds are other ones.
    const lab = readFileSync(DOCUMENT, 'utf8').split('## The crash lab')[1];
    const told = [...lab!.matchAll(/^\| ([\d, ]+) \|/gm)].flatMap(([, seeds]) => seeds!.split(', '));
    const untold = readLedger(LEDGER)
      .flatMap(troublesOf)
      .filter((line) => !told.includes(/^seed (\d+)/.exec(line)?.[1] ?? ''));
    expect(untold, `${DOCUMENT} says what broke and how it was fixed, in a row with the seed`).toEqual([]);
  });

  test('does not show a bad run as a good one', () => {
    const bad = { ...GOOD, commit: 'bad1234', anomalies: ['seed 4: an acknowledged record is lost'] };
    const text = labText([GOOD, bad]);
    expect(text).toMatch(/\| abc1234 .* every promise was kept \|/);
    expect(text).toMatch(/\| bad1234 .* \*\*not good\*\*: 1 broken promises, 0 failed, 0 did not count \|/);
    expect(text).toContain('18 records acknowledged, 1 lost, doubled');
    expect(resultOf('SIGKILL of the leader', [GOOD, bad])).toEqual({ runs: 6, troubles: 1 });
    expect(resultOf('SIGKILL of a follower', [GOOD, bad])).toEqual({ runs: 0, troubles: 0 });
  });

  test('charges what failed to the fault it failed at', () => {
    const failed = { ...GOOD, failures: ['seed 4 (ext4) failed at SIGKILL of the leader: not ready'] };
    expect(resultOf('SIGKILL of the leader', [failed])).toEqual({ runs: 3, troubles: 1 });
    expect(resultOf('SIGKILL of a follower', [failed])).toEqual({ runs: 0, troubles: 0 });
  });
});
