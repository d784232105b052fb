/** The table "What survives what" of docs/guarantees.md. `UPDATE_DOCS=1` writes it anew (survival.test.ts). */
import { resultOf } from '../ledger.ts';
import type { LabReport } from '../report.ts';
import { summaryText } from '../track-record.ts';
import { type Cell, STRUCK, type SurvivalRow } from './cell.ts';
import { DISKS } from './disks.ts';
import { FILES } from './files.ts';
import { PROCESSES } from './processes.ts';

export const ROWS: readonly SurvivalRow[] = [...PROCESSES, ...FILES, ...DISKS];

export function survivalText(rows: readonly SurvivalRow[], reports: readonly LabReport[]): string {
  const lines = rows.flatMap(({ fault, cells }) =>
    STRUCK.map((struck, at) => {
      const cell = cells[struck];
      const name = at === 0 ? `**${fault}**` : '';
      const words = [name, struck, cell.kept, testsText(cell.tests), labText(cell, reports), simText(cell)];
      return `| ${words.map((word) => word.replaceAll('|', '\\|')).join(' | ')} |`;
    }),
  );
  return [
    summaryText(reports),
    '',
    '| Fault | Strikes | What is kept | Held by | In the crash lab | In the simulator |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

function testsText(tests: Cell['tests']): string {
  if ('none' in tests) return `**no test**: ${tests.none}`;
  const titlesIn = (file: string): string[] =>
    tests.filter((each) => each.file === file).map(({ title }) => `"${title}"`);
  return [...new Set(tests.map(({ file }) => file))]
    .map((file) => `\`${file}\`: ${titlesIn(file).join(', ')}`)
    .join('; ');
}

function labText({ lab = [] }: Cell, reports: readonly LabReport[]): string {
  if (lab.length === 0) return '-';
  const results = lab.map((fault) => ({ fault, ...resultOf(fault, reports) }));
  const sum = (of: 'runs' | 'troubles'): number => results.reduce((total, result) => total + result[of], 0);
  const verdict = sum('troubles') === 0 ? '0 lost' : `**${sum('troubles')} not good**`;
  const each = results.map(({ fault, runs }) => `${runs} × ${fault}`).join('; ');
  return lab.length === 1 ? `${each}, ${verdict}` : `${sum('runs')} ×, ${verdict}: ${each}`;
}

function simText({ sim = [] }: Cell): string {
  return sim.length === 0 ? '-' : sim.map((fault) => `\`${fault}\``).join(', ');
}
