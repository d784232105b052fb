/** What `logdrive doctor` says: one finding a check, in words that an operator can act on. */

/** 'failure': a node must not live here. 'warning': it can, at a price or a risk that is named. */
export type Level = 'ok' | 'warning' | 'failure';

export interface Finding {
  readonly check: string;
  readonly level: Level;
  /** What was measured or read. */
  readonly found: string;
  /** Why it matters and what to do; undefined when all is well. */
  readonly advice: string | undefined;
}

const LEVELS: readonly Level[] = ['ok', 'warning', 'failure'];

export function ok(check: string, found: string): Finding {
  return { check, level: 'ok', found, advice: undefined };
}

export function warning(check: string, found: string, advice: string): Finding {
  return { check, level: 'warning', found, advice };
}

export function failure(check: string, found: string, advice: string): Finding {
  return { check, level: 'failure', found, advice };
}

export function worstOf(findings: readonly Finding[]): Level {
  return LEVELS[findings.reduce((worst, { level }) => Math.max(worst, LEVELS.indexOf(level)), 0)]!;
}
