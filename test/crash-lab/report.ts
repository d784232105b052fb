/** What a run of the lab says at its end: verdict, counts, and what was not run and why. */
import type { FaultGroup } from './faults/fault.ts';

export interface EpisodeReport {
  readonly seed: number;
  readonly disk: string;
  readonly acked: number;
  readonly unknown: number;
  readonly delivered: number;
  readonly faults: readonly {
    readonly name: string;
    readonly group: FaultGroup;
    readonly events: number;
    readonly tookEffect: boolean;
    readonly detail: string;
    /** From the end of the harm until appends went on and every node was ready. */
    readonly recoveredMs: number;
  }[];
  /** Broken promises; none in a good run. */
  readonly anomalies: readonly string[];
  /** Why the episode does not count. */
  readonly vacuous: readonly string[];
}

export interface LabReport {
  readonly commit: string;
  readonly machine: string;
  readonly seed: number;
  readonly minutes: number;
  readonly episodes: number;
  readonly acked: number;
  readonly delivered: number;
  /** By group: a kill of all three nodes is three. */
  readonly events: Readonly<Record<string, number>>;
  /** By name of the fault. */
  readonly runs: Readonly<Record<string, number>>;
  readonly anomalies: readonly string[];
  readonly vacuous: readonly string[];
  readonly failures: readonly string[];
  readonly notRun: Readonly<Record<string, string>>;
  readonly recoveredMs: { readonly median: number; readonly most: number };
}

/** A run that lost nothing, in which everything that was planned happened. */
export function isGood({ anomalies, vacuous, failures }: LabReport): boolean {
  return anomalies.length + vacuous.length + failures.length === 0;
}

export function renderReport(report: LabReport): string {
  const { episodes, acked, delivered, events, anomalies, vacuous, failures, notRun, recoveredMs } = report;
  const counts = Object.entries(events).map(([group, count]) => `${group} ${count}`);
  const list = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];
  return [
    isGood(report) ? 'verdict: every promise was kept' : 'verdict: NOT GOOD',
    `episodes ${episodes}, seed ${report.seed}, ${report.minutes.toFixed(1)} minutes, commit ${report.commit}`,
    `acknowledged ${acked} records, delivered ${delivered}`,
    `events: ${counts.join(', ') || 'none'}`,
    `back by itself after a fault: median ${recoveredMs.median.toFixed(0)} ms, most ${recoveredMs.most.toFixed(0)} ms`,
    ...list(
      'runs of each fault:',
      Object.entries(report.runs).map(([name, count]) => `${count} x ${name}`),
    ),
    ...list('broken promises:', anomalies),
    ...list('did not count:', vacuous),
    ...list('failed:', failures),
    ...list(
      'not run here:',
      Object.entries(notRun).map(([group, why]) => `${group}: ${why}`),
    ),
    '',
  ].join('\n');
}
