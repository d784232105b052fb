/**
 * docs/mutants.md: the one place where it stands which mutant was killed by what. Written by main.ts, read by tests.
 */
import { MUTANTS, TESTED_MUTANTS } from './all.ts';
import { CHECKLIST } from './checklist.ts';
import type { Mutant } from './mutant.ts';

export const TABLE_FILE = 'docs/mutants.md';

export interface Row {
  readonly id: string;
  /** What noticed: anomalies of the judge, or the words of an invariant. Undefined: nothing did. */
  readonly killedBy: string | undefined;
  /** The seed it took, counted from 1; without a kill, the seeds tried. 0 for a mutant that a test hunts. */
  readonly seed: number;
  /** Commit of the code it was hunted in; with a '+' when that had changes on top. */
  readonly at: string;
}

export interface Power {
  readonly killed: number;
  readonly median: number;
  readonly worst: number;
}

/** How many seeds a kill takes. */
export function powerOf(rows: readonly Row[]): Power {
  const seeds = rows
    .filter(({ killedBy, seed }) => killedBy !== undefined && seed > 0)
    .map(({ seed }) => seed)
    .sort((a, b) => a - b);
  const median = seeds[Math.floor(seeds.length / 2)] ?? 0;
  return { killed: seeds.length, median, worst: seeds.at(-1) ?? 0 };
}

/** Mistakes of the list that a killed mutant makes. */
export function coveredBy(rows: readonly Row[]): number {
  const killed = new Set(rows.filter(({ killedBy }) => killedBy !== undefined).map(({ id }) => id));
  return CHECKLIST.filter(({ mutants }) => mutants.some((id) => killed.has(id))).length;
}

const INTRODUCTION = `# Mutants

How good is the simulation at finding mistakes? Each mutant is one mistake of a kind that real systems shipped, put into
production code on purpose. It counts as killed when a seed of the simulation fails with it and passes without it. The
changes themselves are in [\`test/sim/mutants/list\`](../test/sim/mutants/list); a test checks that each still fits the code.

\`npm run mutants\` runs them all and writes this page anew, row by row; \`npm run mutants -- --only id,id\` runs some.
\`--seeds N\` and \`--minutes M\` limit what is spent on one mutant; its first kill ends its hunt. \`--with kind,kind\` passes over
seeds that have not these faults and clients switched on, which makes a number an upper bound at worst. A round that was
interrupted goes on where it was: who was hunted in the code as it is now is not hunted again (unless named by \`--only\`).
Nothing in the checkout is changed: the mistake is made while the code is bundled, into a temporary folder. A seed is
another run once the simulation has learned a new fault or operation: the last column says in which commit of the code
each number was found (+: with changes on top).`;

export function renderTable(rows: readonly Row[]): string {
  const known = new Map(rows.map((row) => [row.id, row]));
  const { killed, median, worst } = powerOf(rows);
  const lines = MUTANTS.map((mutant) => rowText(mutant, known.get(mutant.id)));
  const tested = TESTED_MUTANTS.map((mutant) => rowText(mutant, known.get(mutant.id)));
  const checklist = CHECKLIST.map(({ mistake, mutants }) => `| ${mistake} | \`${mutants.join('`, `')}\` |`);
  return `${INTRODUCTION}

Killed by a seed: ${killed} of ${MUTANTS.length}. Seeds it took: median ${median}, worst ${worst}. Mistakes on the list below that a killed
mutant makes: ${coveredBy(rows)} of ${CHECKLIST.length}.

| Mutant | Rule | What it does | Killed by | Seed | Commit |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

## Killed by a test

No seed can show what lies below the simulated disk, or what another rule keeps from doing harm. Each of these is killed
by a test, which passes without the change.

| Mutant | Rule | What it does | Killed by | Seed | Commit |
| --- | --- | --- | --- | --- | --- |
${tested.join('\n')}

## Every mistake on the list

The mistakes to be proof against, as reports of real systems name them, and the mutants that make each.

| Mistake | Mutants |
| --- | --- |
${checklist.join('\n')}
`;
}

function rowText({ id, rule, sentence }: Mutant, row: Row | undefined): string {
  const seed =
    row === undefined || row.seed === 0 ? '-' : row.killedBy === undefined ? `> ${row.seed}` : String(row.seed);
  return `| \`${id}\` | ${rule} | ${sentence} | ${row?.killedBy ?? 'nothing yet'} | ${seed} | ${row?.at ?? '-'} |`;
}

export function parseTable(text: string): Row[] {
  const rows: Row[] = [];
  for (const line of text.split('\n')) {
    const cells = /^\| `([a-z0-9-]+)` \| .* \| ([^|]+) \| (?:> )?(\d+|-) \| (\S+) \|$/.exec(line);
    if (cells === null) continue;
    const [, id, said, seed, at] = cells as unknown as [string, string, string, string, string];
    const killedBy = said === 'nothing yet' ? undefined : said;
    // Of one that was never hunted nothing is known.
    if (at !== '-') rows.push({ id, killedBy, seed: seed === '-' ? 0 : Number(seed), at });
  }
  return rows;
}

const WORDS_MAX = 110;

/** The part of a story that fits a table: the names of the judge's anomalies, or the first line. */
export function summaryOf(story: string): string {
  const anomalies = [...story.matchAll(/^([a-z-]+) in \S+: /gm)].map((match) => match[1]!);
  if (anomalies.length > 0) return `judge: ${[...new Set(anomalies)].slice(0, 3).join(', ')}`;
  // What an assertion compared, and the numbers of this one run, are no part of the name.
  const line = story.split('\n')[0]!.replaceAll('|', '/').trim();
  return line.length <= WORDS_MAX ? line : `${line.slice(0, WORDS_MAX).replace(/\s\S*$/, '')} ...`;
}
