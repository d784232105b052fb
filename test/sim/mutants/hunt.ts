/**
 * Hunts one mutant: bundles the simulation with the change in it and runs seeds in a process of its own, until one
 * fails or the limits are reached. The seed that killed it must pass without the change, or it proves nothing.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { build, type Plugin } from 'esbuild';
import { type Mutant, patch } from './mutant.ts';
import type { SeedReport } from './victim.ts';

export interface Limits {
  readonly firstSeed: number;
  readonly seeds: number;
  readonly minutes: number;
  /** Only seeds that have these kinds of faults and clients switched on; undefined: all. */
  readonly kinds?: string | undefined;
}

export type Verdict =
  | { readonly kind: 'killed'; readonly seed: number; readonly story: string }
  /** Not killed by that many seeds. */
  | { readonly kind: 'survived'; readonly seeds: number };

/** A seed takes seconds. One that takes this long hangs, which is a way to fail too: with a mutant in it. */
const HANG_MS = 90_000;

/** Bundles the victim with the mutant, or with the code as it is, into `outfile`. */
export async function bundle(root: string, outfile: string, mutant: Mutant | undefined): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: ['test/sim/mutants/victim.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
    plugins: [patching(root, mutant)],
  });
}

function patching(root: string, mutant: Mutant | undefined): Plugin {
  const files = new Set(mutant?.edits.map(({ file }) => file));
  return {
    name: 'mutant',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const file = relative(root, path);
        if (!files.has(file)) return undefined;
        return { contents: patch(await readFile(path, 'utf8'), file, mutant), loader: 'ts' };
      });
    },
  };
}

/**
 * A seed that fails without the mutant too says nothing about it (and is a finding of its own, told to `onSuspect`).
 */
export async function hunt(
  root: string,
  folder: string,
  mutant: Mutant,
  limits: Limits,
  onSuspect: (seed: number, story: string) => void,
): Promise<Verdict> {
  const outfile = join(folder, `${mutant.id}.mjs`);
  await bundle(root, outfile, mutant);
  const end = limits.firstSeed + limits.seeds;
  for (let firstSeed = limits.firstSeed; firstSeed < end; ) {
    const verdict = await run(outfile, { ...limits, firstSeed, seeds: end - firstSeed });
    if (verdict.kind === 'survived') return { kind: 'survived', seeds: firstSeed + verdict.seeds - limits.firstSeed };
    const innocent = join(folder, 'unchanged.mjs');
    const without = await run(innocent, { ...limits, firstSeed: verdict.seed, seeds: 1 });
    if (without.kind === 'survived') return verdict;
    onSuspect(verdict.seed, without.story);
    firstSeed = verdict.seed + 1;
  }
  return { kind: 'survived', seeds: limits.seeds };
}

/** Runs a bundle over seeds, at low priority: it shares the machine with whoever waits for an answer. */
export function run(bundleFile: string, { firstSeed, seeds, minutes, kinds }: Limits): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const args = [
      '-n',
      '10',
      process.execPath,
      bundleFile,
      String(firstSeed),
      String(seeds),
      ...(kinds === undefined ? [] : [kinds]),
    ];
    const child = spawn('nice', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let last: SeedReport | undefined;
    let complaint = '';
    let isOutOfTime = false;
    const startedMs = Date.now();
    const nextSeed = (): number => (last === undefined ? firstSeed : last.seed + 1);
    const hanging = setTimeout(() => child.kill('SIGKILL'), HANG_MS);
    createInterface({ input: child.stdout }).on('line', (line) => {
      last = JSON.parse(line) as SeedReport;
      hanging.refresh();
      if (last.failure !== undefined || Date.now() - startedMs < minutes * 60_000) return;
      isOutOfTime = true;
      child.kill('SIGKILL');
    });
    child.stderr.on('data', (bytes: Buffer) => {
      complaint = `${complaint}${bytes}`.slice(-8_000);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(hanging);
      if (last?.failure !== undefined) resolve({ kind: 'killed', seed: last.seed, story: last.failure });
      else if (code === 0 || isOutOfTime) resolve({ kind: 'survived', seeds: nextSeed() - firstSeed });
      else if (code === null) resolve({ kind: 'killed', seed: nextSeed(), story: 'liveness: the run does not end' });
      else resolve({ kind: 'killed', seed: nextSeed(), story: `crash: ${errorIn(complaint)}` });
    });
  });
}

/** The line of a dying process's last words that names the error. */
function errorIn(complaint: string): string {
  const lines = complaint.split('\n').map((line) => line.trim());
  return lines.find((line) => /^\w*(Error|Violation)\b/.test(line)) ?? `the process ended: ${lines.join(' ').trim()}`;
}
