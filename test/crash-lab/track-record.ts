/** What the lab has run, as docs/track-record.md shows it. `UPDATE_DOCS=1` writes it anew (track-record.test.ts). */
import { GROUPS } from './faults/fault.ts';
import { FAULTS } from './plan.ts';
import { isGood, type LabReport } from './report.ts';

/** All runs in one sentence. */
export function summaryText(reports: readonly LabReport[]): string {
  const sum = (of: (report: LabReport) => number): number => reports.reduce((total, each) => total + of(each), 0);
  const commits = [...new Set(reports.map(({ commit }) => commit))].join(', ');
  return [
    `Runs of the lab at commit ${commits}: ${count(sum(({ episodes }) => episodes))} clusters`,
    `${count(sum(({ acked }) => acked))} records acknowledged`,
    `${sum(({ anomalies }) => anomalies.length)} lost, doubled, reordered, skipped or wrong`,
    `${sum(({ failures }) => failures.length)} clusters that did not come back without a hand.`,
  ].join(', ');
}

export function labText(reports: readonly LabReport[]): string {
  const events = (group: string): number => reports.reduce((total, each) => total + (each.events[group] ?? 0), 0);
  return [
    summaryText(reports),
    '',
    '| Run at commit | First seed | Minutes | Clusters | Acknowledged | Back by itself after a fault: median, most | Verdict |',
    '| --- | ---: | ---: | ---: | ---: | ---: | --- |',
    ...reports.map(runRow),
    '',
    '| Kind | Nodes, links or files harmed | Runs of each fault |',
    '| --- | ---: | --- |',
    ...GROUPS.map((group) => groupRow(group, events(group), reports)),
  ].join('\n');
}

function runRow(report: LabReport): string {
  const { median, most } = report.recoveredMs;
  const { anomalies, failures, vacuous, notRun } = report;
  const counts = `${anomalies.length} broken promises, ${failures.length} failed, ${vacuous.length} did not count`;
  const bad = `**not good**: ${counts}`;
  const left = Object.keys(notRun).map((group) => `; not run: ${group}`);
  return row([
    report.commit,
    String(report.seed),
    report.minutes.toFixed(1),
    count(report.episodes),
    count(report.acked),
    `${seconds(median)}, ${seconds(most)}`,
    (isGood(report) ? 'every promise was kept' : bad) + left.join(''),
  ]);
}

function groupRow(group: string, events: number, reports: readonly LabReport[]): string {
  const faults = FAULTS.filter((fault) => fault.group === group).map(({ name }) => {
    const runs = reports.reduce((total, report) => total + (report.runs[name] ?? 0), 0);
    return `${runs} × ${name.replace(`${group}: `, '')}`;
  });
  return row([group, count(events), faults.join('; ')]);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
