/**
 * The crash lab in its short form: a cluster of real processes, faults of each kind that needs no root, and the
 * verdict. Longer runs, with power cuts and full disks: `npm run crash-lab -- --minutes 10`.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { logdrive } from './support/command-line.ts';

const GROUPS = 'kill,pause,partition,corruption';
const EPISODES = 1;

test('nothing acknowledged is lost, doubled or reordered, and everything comes back by itself', {
  timeout: 150_000,
}, async () => {
  const out = await mkdtemp(join(tmpdir(), 'logdrive-lab-report-'));
  try {
    const words = ['crash-lab', '--groups', GROUPS, '--episodes', String(EPISODES), '--seed', '11', '--out', out];
    const run = await logdrive(words, { timeoutMs: 140_000 });
    expect(`${run.stdout}${run.stderr}`).toContain('verdict: every promise was kept');
    expect(run.code).toBe(0);
    const report = JSON.parse(await readFile(join(out, 'report.json'), 'utf8'));
    expect(report).toMatchObject({ episodes: EPISODES, anomalies: [], vacuous: [], failures: [], notRun: {} });
    expect(report.acked).toBeGreaterThanOrEqual(2_000);
    expect(Object.keys(report.events).sort()).toEqual(GROUPS.split(',').sort());
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
