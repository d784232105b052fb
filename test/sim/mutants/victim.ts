/**
 * What is bundled with a mutant in it and run in a process of its own: the simulation, one seed after the other, one
 * JSON object a line about each, until a seed fails or there are no more.
 *
 *   node victim.js <first seed> <seeds> [kind,kind]     exit 0: all passed; 1: one failed; anything else: it broke down
 *
 * With kinds of faults or clients, seeds that have not all of them switched on are passed over.
 */
import { writeSync } from 'node:fs';
import { Plan } from '../plan.ts';
import { runSeed } from '../run-seed.ts';

/** One line about one seed; `failure` is the whole story. */
export interface SeedReport {
  readonly seed: number;
  readonly failure?: string;
}

/** To the descriptor itself: what process.exit() would drop must be out before it (N11). */
function report(line: SeedReport): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** The error and what it was caused by. */
function storyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${storyOf(error.cause)}`;
  return `${error.name}: ${error.message}${cause}`;
}

const [first, count] = process.argv.slice(2).map(Number) as [number, number];
const needed = process.argv[4]?.split(',') ?? [];
for (let seed = first; seed < first + count; seed += 1) {
  const { kinds } = new Plan({ seed });
  const outcome = needed.every((kind) => kinds.includes(kind)) ? await runSeed({ seed }) : undefined;
  if (outcome !== undefined && outcome.kind !== 'ok') {
    report({ seed, failure: `${outcome.kind}: ${storyOf(outcome.error)}` });
    process.exit(1);
  }
  report({ seed });
}
// A run may leave handles of its own behind; they are no part of the answer.
process.exit(0);
