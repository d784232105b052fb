/** docs/mutants.md: the one place where it stands which mutant was killed by what. Written by main.ts, read by tests. */
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

const INTRODUCTION = `# Mutants

How good is the simulation at finding mistakes? Each mutant is one mistake of a kind that real systems shipped, put into
production code on purpose. It counts as killed when a seed of the simulation fails with it and passes without it. The
changes themselves are in [\`test/sim/mutants/list\`](../test/sim/mutants/list); a test checks that each still fits the code.

\`npm run mutants\` runs them all and writes this page anew; \`npm run mutants -- --only id,id\` runs some.
\`--seeds N\` and \`--minutes M\` limit what is spent on one mutant. Nothing in the checkout is changed: the mistake is
made while the code is bundled, into a temporary folder. A seed is another run once the simulation has learned a new
fault or operation: each number is that of the last hunt.`;

export function renderTable(rows: readonly Row[]): string {
  const known = new Map(rows.map((row) => [row.id, row]));
  const { killed, median, worst } = powerOf(rows);
  const lines = MUTANTS.map((mutant) => rowText(mutant, known.get(mutant.id)));
  const tested = TESTED_MUTANTS.map((mutant) => rowText(mutant, known.get(mutant.id)));
  const checklist = CHECKLIST.map(({ mistake, mutants }) => `| ${mistake} | \`${mutants.join('`, `')}\` |`);
  return `${INTRODUCTION}

Killed: ${killed} of ${MUTANTS.length}. Seeds it took: median ${median}, worst ${worst}.

| Mutant | Rule | What it does | Killed by | Seed |
| --- | --- | --- | --- | --- |
${lines.join('\n')}

## Killed by a test

No seed can show what lies below the simulated disk, or what another rule keeps from doing harm. Each of these is killed
by a test, which passes without the change.

| Mutant | Rule | What it does | Killed by | Seed |
| --- | --- | --- | --- | --- |
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
  return `| \`${id}\` | ${rule} | ${sentence} | ${row?.killedBy ?? 'nothing yet'} | ${seed} |`;
}

export function parseTable(text: string): Row[] {
  const rows: Row[] = [];
  for (const line of text.split('\n')) {
    const cells = /^\| `([a-z0-9-]+)` \| .* \| ([^|]+) \| (?:> )?(\d+|-) \|$/.exec(line);
    if (cells === null) continue;
    const [, id, said, seed] = cells as unknown as [string, string, string, string];
    const killedBy = said === 'nothing yet' ? undefined : said;
    // Of one that was never hunted nothing is known.
    if (killedBy !== undefined || seed !== '-') rows.push({ id, killedBy, seed: seed === '-' ? 0 : Number(seed) });
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
