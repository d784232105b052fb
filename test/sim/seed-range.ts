/**
 * The tests of one range of seeds, and of those that once broke something. Each file that calls it is run beside the
 * others, in a process of its own; the first tens of seeds of a process cost twice as much as those that follow
 * (compilation), so the files are few. They run as `npm run sim` runs them, from one bundle: loaded by the test runner,
 * each call from one file into another goes through an object of the runner's, which costs a tenth more.
 */
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { addTally, NO_TALLY, tallyOf } from './ledger.ts';
import { readSeeds, SEEDS } from './regression-seeds.ts';
import type * as Simulator from './run-seed.ts';
import type { Report, SimulationOptions } from './simulation.ts';

const TIMEOUT_MS = 900_000;
/** Every kind has to have taken effect once in so many seeds. */
const SELDOM = 40;
/** And once in so many, what takes several others together. */
const RARELY = 60;
const RARE: ReadonlySet<string> = new Set([
  'rot-at-rest',
  'asked while deposed',
  'stranded',
  'change cut in two',
  'entry mended anew',
  'entry forged',
  'forged log begun anew',
]);
/** Seeds of a range that are run a second time, for the same trace. */
const TWICE = 25;

let simulator: typeof Simulator;

beforeAll(async () => {
  simulator = await bundled();
});

async function bundled(): Promise<typeof Simulator> {
  // Where the packages it leaves out are found.
  const outfile = resolve(`dist/simulator-${process.pid}.mjs`);
  try {
    await build({
      entryPoints: ['test/sim/run-seed.ts'],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      target: 'node20',
      logLevel: 'warning',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    await rm(outfile, { force: true });
  }
}

export function seedRange(from: number, count: number): void {
  describe(`seeds ${from} to ${from + count - 1}`, () => {
    const reports: Report[] = [];

    test('break no promise, and come back once healed', { timeout: TIMEOUT_MS }, async () => {
      for (let seed = from; seed < from + count; seed += 1) {
        const outcome = await simulator.runSeed({ seed });
        if (outcome.kind !== 'ok')
          throw new Error(`${outcome.kind}; again with: ${simulator.replayCommand({ seed })}`, {
            cause: outcome.error,
          });
        reports.push(outcome.report);
      }
      const { hours, events, crashes, partitions } = reports.map(tallyOf).reduce(addTally, NO_TALLY);
      console.log(
        `simulated: ${count} seeds, ${hours.toFixed(2)} hours, ${events} events, ` +
          `${crashes} crashes, ${partitions} partitions`,
      );
    });

    test('have the same history when run again (R25)', { timeout: TIMEOUT_MS }, async () => {
      for (const report of reports.slice(0, TWICE)) {
        expect(await simulator.runSeed({ seed: report.seed })).toEqual({ kind: 'ok', report });
      }
      expect(new Set(reports.map(({ traceHash }) => traceHash)).size).toBe(reports.length);
    });

    test('see every kind of fault take effect while appends are acknowledged', () => {
      const totals = new Map<string, number>();
      for (const { effects } of reports) {
        for (const [name, times] of Object.entries(effects)) totals.set(name, (totals.get(name) ?? 0) + times);
      }
      const due = (name: string): number => Math.floor(count / (RARE.has(name) ? RARELY : SELDOM));
      const rare = EFFECTS.filter((name) => (totals.get(name) ?? 0) < due(name));
      expect(rare, 'took effect too seldom').toEqual([]);
      const acked = reports.reduce((sum, report) => sum + report.acked, 0);
      expect(acked).toBeGreaterThan(100 * count);
      expect(reports.reduce((sum, { unknown }) => sum + unknown, 0)).toBeGreaterThan(0);
      expect(reports.reduce((sum, { reads }) => sum + reads, 0)).toBeGreaterThan(20 * count);
    });
  });
}

/** @param last Of the ranges, which begin at 1: what they run as it is, is not run again. */
export function seedsOfOld(last: number): void {
  const isElsewhere = ({ seed, ...more }: SimulationOptions): boolean => seed <= last && Object.keys(more).length === 0;
  describe('seeds that once broke something', () => {
    test.each(readSeeds(SEEDS).filter(({ options }) => !isElsewhere(options)))(
      '$options.seed: $story',
      { timeout: TIMEOUT_MS },
      async ({ options }) => {
        const outcome = await simulator.runSeed(options);
        if (outcome.kind !== 'ok')
          throw new Error(`again with: ${simulator.replayCommand(options)}`, { cause: outcome.error });
      },
    );
  });
}

/** What has to have happened. */
const EFFECTS = [
  'kills',
  'power cuts',
  'crash-at-call',
  'restart',
  'pause',
  'stall',
  'clock-jump',
  'clock-drift',
  'cut',
  'one-way',
  'isolate',
  'bridge',
  'partial-mesh',
  'flap',
  'reset',
  'delay',
  'loss',
  'messages lost',
  'disk torn',
  'disk EIO',
  'disk short',
  'disk lie',
  'disk never',
  'disk slow',
  'bit-flip',
  'lost-write',
  'misdirected-write',
  'full-disk',
  'trim',
  'snapshot',
  'snapshot installed',
  'trim past tail',
  'rot-at-rest',
  'disks wound back',
  'member added',
  'member removed',
  'member replaced',
  'read lease',
  'read atLeast',
  'group at rest',
  'transfer',
  'create',
  'delete',
  'plain append',
  'twin append',
  'trims crossed',
  'trim put past the tail',
  'raw change',
  'raw change refused',
  'change cut in two',
  'leader-cut-off',
  'damaged-and-mute',
  'asked while deposed',
  'stranded',
  'compaction pass',
  'compaction given up',
  'compaction cut short',
  'record compacted away',
  'deletion forgotten',
  'entry mended anew',
  'entry forged',
  'forged log begun anew',
] as const;
