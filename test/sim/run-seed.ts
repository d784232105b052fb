/** One seed run to its end, whatever the end is; for the tests and for the command line alike. */
import { Violation } from './invariants/view.ts';
import { LivenessFailure, type Report, type SimulationOptions, simulate } from './simulation.ts';
import { onFreshTurn } from './world/scheduler.ts';

/** How a run can fail: code threw, progress was not made, or a promise was broken. */
export type FailureKind = 'crash' | 'liveness' | 'safety';

/** Exit codes of `npm run sim`, one a kind. */
export const EXIT_CODES: Readonly<Record<FailureKind, number>> = { crash: 127, liveness: 128, safety: 129 };

export type Outcome =
  | { readonly kind: 'ok'; readonly report: Report }
  | { readonly kind: FailureKind; readonly error: unknown };

/** A run that crashed is run again to learn where: the stacks of all errors of all runs would cost too much. */
export async function runSeed(options: SimulationOptions): Promise<Outcome> {
  const hasStacks = options.onTrace !== undefined;
  const outcome = await attempt(options, hasStacks);
  return outcome.kind === 'crash' && !hasStacks ? attempt(options, true) : outcome;
}

function attempt(options: SimulationOptions, hasStacks: boolean): Promise<Outcome> {
  return onFreshTurn(() => {
    const { stackTraceLimit } = Error;
    if (!hasStacks) Error.stackTraceLimit = 0;
    try {
      return { kind: 'ok', report: simulate(options) } as const;
    } catch (error) {
      return { kind: kindOf(error), error };
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  });
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof Violation) return 'safety';
  return error instanceof LivenessFailure ? 'liveness' : 'crash';
}

/** The command that runs exactly this again. */
export function replayCommand({ seed, chaosMs, nodes, without = [] }: SimulationOptions): string {
  const parts = [`npm run sim -- --seed ${seed}`];
  if (nodes !== undefined) parts.push(`--nodes ${nodes}`);
  if (chaosMs !== undefined) parts.push(`--chaos-ms ${chaosMs}`);
  if (without.length > 0) parts.push(`--without ${without.join(',')}`);
  return parts.join(' ');
}
