/**
 * `logdrive wal verify`: every byte of every file of a data directory, checked; for each file what is sound, torn or
 * damaged, where, and what a node does about it. Exit code 1 when bytes were lost or changed. Reads only.
 */
import {
  type FileVerdict,
  type Finding,
  isBad,
  type LogVerdict,
  NodeDisk,
  verifyFiles,
  verifyStart,
} from '../../storage/index.ts';
import type { Command } from '../command.ts';
import { EXIT_OTHER, ExitError } from '../exit.ts';
import { formatBytes, groupDigits, renderDocument } from '../output.ts';
import { LOG_FLAG, logsOf, look } from '../wal-directory.ts';

/** What the command tells: a documented shape, the same with damage and without. */
export interface VerifyReport {
  readonly path: string;
  readonly nodeId: string | undefined;
  readonly isSound: boolean;
  readonly files: readonly FileVerdict[];
  readonly logs: readonly LogVerdict[];
}

export const walVerify: Command = {
  usage: 'verify <data-dir>',
  flags: { log: LOG_FLAG, all: { kind: 'switch', sentence: 'Name the sound files as well.' } },
  run: async (invocation) => {
    const path = invocation.words('data-dir');
    const found = await look(invocation, path);
    const chosen = logsOf(invocation, found).map((log) => log.groupId);
    const only = invocation.text('log') === undefined ? undefined : chosen[0];
    const disk = new NodeDisk();
    const files: FileVerdict[] = [];
    for await (const verdict of verifyFiles(disk, path, only)) files.push(verdict);
    const logs: LogVerdict[] = [];
    for (const groupId of chosen) {
      const verdict = await verifyStart(disk, path, groupId);
      if (verdict !== undefined) logs.push(verdict);
    }
    const isSound = !files.some(({ state }) => isBad(state)) && logs.every(({ start }) => start === 'opens');
    const report: VerifyReport = { path, nodeId: found.identity?.nodeId, isSound, files, logs };
    const text = (): string => describe(report, { isAll: invocation.isOn('all') });
    invocation.terminal.out.writeText(renderDocument(invocation.output, report, text));
    if (!isSound) throw new ExitError(EXIT_OTHER);
  },
};

function describe({ files, logs }: VerifyReport, { isAll }: { readonly isAll: boolean }): string {
  const lines: string[] = [];
  for (const { file, kind, state, findings, bytes } of files) {
    if (isAll && state === 'sound') lines.push(`${file}: ${kind}, ${groupDigits(bytes)} bytes: sound`);
    for (const finding of findings) {
      if (isAll || finding.state !== 'sound') lines.push(describeFinding(file, finding));
    }
  }
  for (const { groupId, start, unmended } of logs) {
    if (start === 'refused') lines.push(`log ${groupId}: a start refuses it: ${unmended[0]!.what}`);
    else if (start === 'waits for peers')
      lines.push(`log ${groupId}: a start opens it and asks peers for what is damaged`);
  }
  const sum = (of: (file: FileVerdict) => number): number => files.reduce((total, file) => total + of(file), 0);
  const bad = files.filter(({ state }) => isBad(state)).length;
  const verdict = bad === 0 && logs.every(({ start }) => start === 'opens') ? 'all sound' : `${bad} files are damaged`;
  const read = `${groupDigits(sum((file) => file.entries))} entries in ${files.length} files of ${logs.length} logs`;
  return [...lines, `${read}, ${formatBytes(sum((file) => file.bytes))}: ${verdict}`, ''].join('\n');
}

function describeFinding(file: string, { state, position, what, remedy }: Finding): string {
  return `${file}${position === undefined ? '' : `:${position}`}: ${state}: ${what}; ${remedy}`;
}
