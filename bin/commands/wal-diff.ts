/**
 * `logdrive wal diff A B`: the logs of two data directories of one cluster, entry by entry: where they part, and
 * whether replicas may differ like that. Exit code 1 when they may not. Reads only.
 */
import { type Difference, type DirectoryReport, diffLogs, type LogDiff, NodeDisk } from '../../storage/index.ts';
import type { Command } from '../command.ts';
import { EXIT_OTHER, ExitError, UsageError } from '../exit.ts';
import { groupDigits, renderDocument } from '../output.ts';
import { LOG_FLAG, logsOf, look } from '../wal-directory.ts';

interface DiffReport {
  readonly a: string;
  readonly b: string;
  readonly isLegal: boolean;
  readonly logs: readonly LogDiff[];
  /** Logs that only one of the two holds, which is legal: not every node has a replica of every partition. */
  readonly onlyInA: readonly number[];
  readonly onlyInB: readonly number[];
}

export const walDiff: Command = {
  usage: 'diff <data-dir-a> <data-dir-b>',
  flags: { log: LOG_FLAG },
  examples: [['$0 wal diff ./n1 ./n2 --log 3', 'whether two replicas of log 3 agree']],
  run: async (invocation) => {
    const [pathA, pathB] = [invocation.words('data-dir-a'), invocation.words('data-dir-b')];
    const [a, b] = [await look(invocation, pathA), await look(invocation, pathB)];
    expectOneCluster(a, b);
    const disk = new NodeDisk();
    const [logsA, logsB] = [logsOf(invocation, a), logsOf(invocation, b)];
    const logs: LogDiff[] = [];
    for (const log of logsA) {
      const other = logsB.find(({ groupId }) => groupId === log.groupId);
      if (other !== undefined) logs.push(await diffLogs({ disk, log }, { disk, log: other }));
    }
    const without = (some: typeof logsA, others: typeof logsA): number[] =>
      some.map(({ groupId }) => groupId).filter((id) => !others.some(({ groupId }) => groupId === id));
    const isLegal = logs.every(({ differences }) => differences.every((one) => one.isLegal));
    const [onlyInA, onlyInB] = [without(logsA, logsB), without(logsB, logsA)];
    const report: DiffReport = { a: pathA, b: pathB, isLegal, logs, onlyInA, onlyInB };
    invocation.terminal.out.writeText(renderDocument(invocation.output, report, () => describe(report)));
    if (!isLegal) throw new ExitError(EXIT_OTHER);
  },
};

function expectOneCluster(a: DirectoryReport, b: DirectoryReport): void {
  const [first, second] = [a.identity?.clusterId, b.identity?.clusterId];
  if (first === undefined || second === undefined || first === second) return;
  throw new UsageError(`${a.path} is of cluster ${first}, ${b.path} of ${second}: their logs have nothing in common`);
}

function describe(report: DiffReport): string {
  const lines = report.logs.flatMap(describeLog);
  if (report.onlyInA.length > 0) lines.push(`only in A: logs ${report.onlyInA.join(', ')}`);
  if (report.onlyInB.length > 0) lines.push(`only in B: logs ${report.onlyInB.join(', ')}`);
  lines.push(report.isLegal ? 'replicas may differ like that' : 'replicas may never differ like that');
  return `A ${report.a}\nB ${report.b}\n${lines.join('\n')}\n`;
}

function describeLog({ groupId, equal, divergence, differences }: LogDiff): string[] {
  const sign = ({ isLegal, what }: Difference): string => `  ${isLegal ? ' ' : '!'} ${what}`;
  const head = `log ${groupId}: ${groupDigits(equal)} equal entries`;
  if (divergence === undefined) return [head, ...differences.map(sign)];
  const { index, a, b } = divergence;
  const chain = ({ high, low }: typeof a.chain): string =>
    high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
  const [ofA, ofB] = [a, b].map((entry) => `term ${entry.term} chain ${chain(entry.chain)}`);
  const where = `they part at ${index}: A has ${ofA}, B ${ofB}`;
  return [head, `  ${where}`, ...differences.map(sign)];
}
