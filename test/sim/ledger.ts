/**
 * What was simulated so far: one JSON object a line in ledger.jsonl, appended by `npm run sim`, never edited. The
 * totals stand in docs/track-record.md.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Report } from './simulation.ts';

export interface Tally {
  readonly seeds: number;
  /** Simulated. */
  readonly hours: number;
  readonly events: number;
  readonly acked: number;
  /** Processes that ended without a word, power cuts included. */
  readonly crashes: number;
  readonly powerLosses: number;
  readonly partitions: number;
  /** Things that rotted, were lost or misdirected on a disk. */
  readonly corruptions: number;
  readonly membershipChanges: number;
}

export interface LedgerLine extends Tally {
  /** Short commit; with a plus when the tree had changes. */
  readonly commit: string;
  readonly from: number;
  readonly failures: number;
}

export const NO_TALLY: Tally = {
  seeds: 0,
  hours: 0,
  events: 0,
  acked: 0,
  crashes: 0,
  powerLosses: 0,
  partitions: 0,
  corruptions: 0,
  membershipChanges: 0,
};

const PARTITIONS = ['cut', 'one-way', 'isolate', 'bridge', 'partial-mesh', 'flap'] as const;
const CORRUPTIONS = ['bit-flip', 'lost-write', 'misdirected-write', 'rot-at-rest', 'disks wound back'] as const;
const MEMBERSHIP = ['member added', 'member removed', 'member replaced', 'lost member replaced'] as const;
const MS_AN_HOUR = 3_600_000;

export function tallyOf({ simulatedMs, events, acked, effects }: Report): Tally {
  const sum = (names: readonly string[]): number => names.reduce((total, name) => total + (effects[name] ?? 0), 0);
  return {
    seeds: 1,
    hours: simulatedMs / MS_AN_HOUR,
    events,
    acked,
    crashes: sum(['kills', 'power cuts']),
    powerLosses: sum(['power cuts']),
    partitions: sum(PARTITIONS),
    corruptions: sum(CORRUPTIONS),
    membershipChanges: sum(MEMBERSHIP),
  };
}

export function addTally(one: Tally, other: Tally): Tally {
  const names = Object.keys(NO_TALLY) as (keyof Tally)[];
  return Object.fromEntries(names.map((name) => [name, one[name] + other[name]])) as unknown as Tally;
}

export function readLedger(path: string): LedgerLine[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LedgerLine);
}

export function appendToLedger(path: string, line: LedgerLine): void {
  appendFileSync(path, `${JSON.stringify(line)}\n`);
}
