/**
 * Makes a failing run smaller: fewer kinds of fault and operation, a shorter chaos, fewer nodes, as long as it fails in
 * the same way. Greedy, one thing at a time; each kind lives by its own chance, so leaving one out moves nothing else.
 */
import { type FailureKind, runSeed } from './run-seed.ts';
import type { SimulationOptions } from './simulation.ts';

export interface Shrunk {
  readonly options: SimulationOptions;
  readonly error: unknown;
  readonly runs: number;
}

const CHAOS_MS_MIN = 100;
/** Halving the chaos stops here: what is left is about as short as it gets. */
const SHORTER = [0.25, 0.5, 0.75] as const;

/** @param kinds What the seed had switched on. */
export async function shrink(
  first: SimulationOptions,
  kind: FailureKind,
  kinds: readonly string[],
  chaosMs: number,
  runsMax = 60,
): Promise<Shrunk> {
  let best: Shrunk = { options: first, error: undefined, runs: 0 };
  let runs = 0;
  const attempt = async (options: SimulationOptions): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs += 1;
    const outcome = await runSeed(options);
    if (outcome.kind !== kind) return false;
    best = { options, error: outcome.error, runs };
    return true;
  };
  if (first.nodes === undefined) await attempt({ ...first, nodes: 3 });
  for (const name of kinds) {
    await attempt({ ...best.options, without: [...(best.options.without ?? []), name] });
  }
  for (let length = chaosMs; length > CHAOS_MS_MIN; ) {
    const shorter = await firstThat(SHORTER, (share) =>
      attempt({ ...best.options, chaosMs: Math.ceil(length * share) }),
    );
    if (shorter === undefined) break;
    length = Math.ceil(length * shorter);
  }
  return { ...best, runs };
}

async function firstThat<T>(items: readonly T[], holds: (item: T) => Promise<boolean>): Promise<T | undefined> {
  for (const item of items) if (await holds(item)) return item;
  return undefined;
}
