/** What every `logdrive wal` command begins with: a data directory, and which of its logs are meant. */
import { join } from 'node:path';
import { type DirectoryReport, inspectDirectory, type LogReport, NodeDisk } from '../storage/index.ts';
import type { Flag, Invocation } from './command.ts';
import { UsageError } from './exit.ts';
import { parseCount } from './values.ts';

export const LOG_FLAG: Flag = { kind: 'text', sentence: 'Only the log with that number.', placeholder: 'N' };

/** What lies in the data directory; a living process that works on it is named on stderr. */
export async function look(invocation: Invocation, path: string): Promise<DirectoryReport> {
  const disk = new NodeDisk();
  if ((await disk.stat(path))?.kind !== 'directory') throw new UsageError(`${path} is no directory`);
  const report = await inspectDirectory(disk, path);
  if (report.identity === undefined && report.logs.length === 0) {
    throw new UsageError(`${path} is not the data directory of a node`);
  }
  const pid = await disk.lockHolder(join(path, 'lock'));
  if (pid !== undefined) {
    invocation.terminal.say(
      `logdrive: process ${pid} is running on ${path}: this is a moment that may be gone already`,
    );
  }
  return report;
}

/** @throws UsageError when --log names none of them. */
export function logsOf(invocation: Invocation, report: DirectoryReport): readonly LogReport[] {
  const text = invocation.text('log');
  if (text === undefined) return report.logs;
  const number = parseCount('--log', text);
  const logs = report.logs.filter((log) => log.groupId === number);
  const known = report.logs.map((log) => log.groupId).join(', ');
  if (logs.length === 0) throw new UsageError(`--log ${number}: there is no such log here; there are ${known}`);
  return logs;
}
