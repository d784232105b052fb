/**
 * What is bundled with a mutant in it and run in a process of its own: the simulation, one seed after the other, one
 * JSON object a line about each, until a seed fails or there are no more.
 *
 *   node victim.js <first seed> <seeds>     exit 0: all passed; 1: one failed; anything else: the process broke down
 */
import { Chaos } from '../../broker/support/chaos.ts';

const CHAOS_MS = 6_000;

/** One line about one seed; `failure` is the whole story. */
export interface SeedReport {
  readonly seed: number;
  readonly failure?: string;
}

function report(line: SeedReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The error and what it was caused by. */
function storyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${storyOf(error.cause)}`;
  return `${error.name}: ${error.message}${cause}`;
}

const [first, count] = process.argv.slice(2).map(Number) as [number, number];
let seed = first;

function fail(error: unknown): never {
  report({ seed, failure: storyOf(error) });
  process.exit(1);
}

// A broken invariant of a timer or a dropped promise ends a real process too (N9).
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

for (; seed < first + count; seed += 1) {
  try {
    await new Chaos(seed).run(CHAOS_MS);
  } catch (error) {
    fail(error);
  }
  report({ seed });
}
// A run leaves timers of its own behind; they are no part of the next question.
process.exit(0);
