/**
 * npm run mutants -- [--only id,id] [--seeds N] [--minutes M] [--with kind,kind]: hunts every mutant, one after the
 * other, and writes docs/mutants.md anew, row by row. Rows of mutants that were not hunted stay as they are, and
 * without --only that is also who was hunted in this very code: a round that was interrupted goes on. Exit code 1: one
 * of them is not killed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MUTANTS, TESTED_MUTANTS } from './all.ts';
import { CHECKLIST } from './checklist.ts';
import { bundle, hunt } from './hunt.ts';
import { isKilledByTest } from './hunt-by-test.ts';
import type { Mutant } from './mutant.ts';
import { coveredBy, parseTable, powerOf, type Row, renderTable, summaryOf, TABLE_FILE } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seeds: { type: 'string', default: '5000' },
    minutes: { type: 'string', default: '120' },
    with: { type: 'string' },
  },
});
const limits = { firstSeed: 1, seeds: Number(values.seeds), minutes: Number(values.minutes), kinds: values.with };
const wanted = values.only?.split(',');
const unknown = wanted?.filter((id) => ![...MUTANTS, ...TESTED_MUTANTS].some((mutant) => mutant.id === id)) ?? [];
if (unknown.length > 0 || !(limits.seeds >= 1) || !(limits.minutes > 0)) {
  process.stderr.write(`no such mutant, or no such limit: ${[...unknown, values.seeds, values.minutes].join(', ')}\n`);
  process.exit(2);
}

const root = process.cwd();
const at = codeState();
const table = join(root, TABLE_FILE);
const folder = await mkdtemp(join(tmpdir(), 'logdrive-mutants-'));
try {
  // Packages are not bundled; they are found from where the bundle lies.
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await bundle(root, join(folder, 'unchanged.mjs'), undefined);
  for (const mutant of MUTANTS) {
    if (!(await isWanted(mutant.id))) continue;
    const row = await rowOf(mutant);
    process.stdout.write(`${mutant.id}: ${row.killedBy ?? 'SURVIVED'} (${row.seed})\n`);
    await note(row);
  }
  for (const mutant of TESTED_MUTANTS) {
    if (!(await isWanted(mutant.id))) continue;
    const isKilled = await isKilledByTest(root, mutant);
    process.stdout.write(`${mutant.id}: ${isKilled ? mutant.test : 'SURVIVED'}\n`);
    await note({ id: mutant.id, killedBy: isKilled ? mutant.test : undefined, seed: 0, at });
  }
} finally {
  await rm(folder, { recursive: true });
}

const rows = await known();
const { killed, median, worst } = powerOf(rows);
process.stdout.write(`killed ${killed} of ${MUTANTS.length}; seeds: median ${median}, worst ${worst}\n`);
process.stdout.write(`mistakes on the list: ${coveredBy(rows)} of ${CHECKLIST.length}\n`);
const dead = rows.filter(({ killedBy }) => killedBy !== undefined);
process.exitCode = dead.length === MUTANTS.length + TESTED_MUTANTS.length ? 0 : 1;

/** The last commit that changed what is hunted in. */
function codeState(): string {
  const code = ['--', 'src', 'storage', 'test/sim/*.ts', 'test/sim/*/', 'test/support', 'test/raft/support'];
  const git = (...args: string[]): string =>
    execFileSync('git', [...args, ...code], { cwd: root, encoding: 'utf8' }).trim();
  return `${git('log', '-1', '--format=%h')}${git('status', '--porcelain') === '' ? '' : '+'}`;
}

async function isWanted(id: string): Promise<boolean> {
  if (wanted !== undefined) return wanted.includes(id);
  // What was hunted in code with changes on top may have been hunted in any other.
  return at.endsWith('+') || !(await known()).some((row) => row.id === id && row.at === at);
}

async function rowOf(mutant: Mutant): Promise<Row> {
  const verdict = await hunt(root, folder, mutant, limits, (seed, story) => {
    process.stderr.write(`seed ${seed} fails without ${mutant.id}, too: ${story}\n`);
  });
  return verdict.kind === 'killed'
    ? { id: mutant.id, killedBy: summaryOf(verdict.story), seed: verdict.seed, at }
    : { id: mutant.id, killedBy: undefined, seed: verdict.seeds, at };
}

async function known(): Promise<Row[]> {
  const text = await readFile(table, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return parseTable(text).filter(({ id }) => [...MUTANTS, ...TESTED_MUTANTS].some((mutant) => mutant.id === id));
}

/** Written after each mutant: a round takes hours, and what was found is not to be lost with the rest. */
async function note(row: Row): Promise<void> {
  const others = (await known()).filter(({ id }) => id !== row.id);
  await writeFile(table, renderTable([...others, row]));
}
