/**
 * The runs of the lab that count: one report a line in ledger.jsonl, appended by `logdrive crash-lab --ledger`, never
 * edited. docs/track-record.md and docs/guarantees.md show the sums over all of them, bad runs included.
 */
import { readFileSync } from 'node:fs';
import type { LabReport } from './report.ts';

export const LEDGER = 'test/crash-lab/ledger.jsonl';

export function readLedger(path: string): LabReport[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LabReport);
}

/** Everything that keeps a run from being good, each line with its seed. */
export function troublesOf({ anomalies, vacuous, failures }: LabReport): string[] {
  return [...anomalies, ...failures, ...vacuous];
}

export interface FaultResult {
  readonly runs: number;
  /** What went wrong where this fault may have had a part in it. */
  readonly troubles: number;
}

/** Of one fault in all these runs. */
export function resultOf(fault: string, reports: readonly LabReport[]): FaultResult {
  let runs = 0;
  let troubles = 0;
  for (const report of reports) {
    const runsHere = report.runs[fault] ?? 0;
    runs += runsHere;
    // A broken promise is found at the end of an episode: any fault of the run may be behind it. The rest is named.
    if (runsHere > 0) troubles += report.anomalies.length;
    troubles += [...report.failures, ...report.vacuous].filter((line) => line.includes(fault)).length;
  }
  return { runs, troubles };
}
