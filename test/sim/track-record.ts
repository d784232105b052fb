/**
 * The totals of the ledger as docs/track-record.md shows them. `UPDATE_DOCS=1` writes them anew (track-record.test.ts).
 */
import { addTally, type LedgerLine, NO_TALLY } from './ledger.ts';

export function totalsText(lines: readonly LedgerLine[]): string {
  const total = lines.reduce(addTally, NO_TALLY);
  const failures = lines.reduce((sum, line) => sum + line.failures, 0);
  const rows: readonly (readonly [string, string])[] = [
    ['runs of the simulator', String(lines.length)],
    ['seeds without a broken promise', String(total.seeds)],
    ['seeds that failed, each fixed or explained below', String(failures)],
    ['simulated hours', total.hours.toFixed(1)],
    ['simulated events', String(total.events)],
    ['appends acknowledged', String(total.acked)],
    ['crashes', String(total.crashes)],
    ['of these, power cuts that lost what was not flushed', String(total.powerLosses)],
    ['partitions of the network', String(total.partitions)],
    ['corruptions of a disk', String(total.corruptions)],
    ['membership changes', String(total.membershipChanges)],
  ];
  const table = rows.map(([what, count]) => `| ${what} | ${count} |`);
  return ['| | |', '| --- | ---: |', ...table].join('\n');
}
