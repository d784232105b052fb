/** The totals of the ledger as docs/track-record.md shows them. `UPDATE_DOCS=1` writes them anew (track-record.test.ts). */
import { addTally, type LedgerLine, NO_TALLY } from './ledger.ts';

export const TOTALS_BEGIN = '<!-- totals: written by test/sim/track-record.ts -->';
export const TOTALS_END = '<!-- end of totals -->';

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
  return [TOTALS_BEGIN, '', '| | |', '| --- | ---: |', ...table, '', TOTALS_END].join('\n');
}

/** The document with the totals of these lines in it. @throws Error when it has no place for them. */
export function withTotals(document: string, lines: readonly LedgerLine[]): string {
  const [before, rest] = document.split(TOTALS_BEGIN);
  const after = rest?.split(TOTALS_END)[1];
  if (before === undefined || after === undefined) throw new Error('the document has no place for the totals');
  return before + totalsText(lines) + after;
}
