/**
 * `logdrive wal repair`: mends on a stopped node's disk what can be mended without anybody else: a torn end, bad copies
 * and headers, missing sparse indexes, leftovers. Prints every step, and with --dry-run does nothing more. Entries that
 * are damaged are left as they are: only a peer has them, and a running node fetches them by itself.
 */
import { join } from 'node:path';
import { type DiskStep, DryRunDisk, NodeDisk, repairDirectory, type Unmended } from '../../storage/index.ts';
import type { Command } from '../command.ts';
import { EXIT_OTHER, ExitError, UsageError } from '../exit.ts';
import { groupDigits, renderDocument } from '../output.ts';
import { LOG_FLAG, logsOf, look } from '../wal-directory.ts';

interface RepairReport {
  readonly path: string;
  readonly isDryRun: boolean;
  readonly steps: readonly DiskStep[];
  readonly unmended: readonly Unmended[];
}

export const walRepair: Command = {
  usage: 'repair <data-dir>',
  flags: { log: LOG_FLAG, 'dry-run': { kind: 'switch', sentence: 'Say what would be done, and do nothing.' } },
  run: async (invocation) => {
    const path = invocation.words('data-dir');
    const isDryRun = invocation.isOn('dry-run');
    const disk = new NodeDisk();
    await refuseRunning(disk, path);
    const found = await look(invocation, path);
    const only = invocation.text('log') === undefined ? undefined : logsOf(invocation, found)[0]!.groupId;
    const lock = isDryRun ? undefined : await disk.lock(join(path, 'lock'));
    try {
      const rehearsal = new DryRunDisk(disk);
      const unmended = await repairDirectory(rehearsal, path, only);
      const report: RepairReport = { path, isDryRun, steps: rehearsal.steps, unmended };
      // Said before it is done: if the disk fails in the middle, the operator knows how far this may have come.
      invocation.terminal.out.writeText(renderDocument(invocation.output, report, () => describe(report)));
      if (!isDryRun) {
        await invocation.terminal.out.flushed();
        await repairDirectory(disk, path, only);
      }
      if (unmended.length > 0) throw new ExitError(EXIT_OTHER);
    } finally {
      await lock?.release();
    }
  },
};

async function refuseRunning(disk: NodeDisk, path: string): Promise<void> {
  const pid = await disk.lockHolder(join(path, 'lock'));
  if (pid === undefined) return;
  throw new UsageError(`process ${pid} is running on ${path}: stop the node first; it mends by itself what this can`);
}

function describe({ isDryRun, steps, unmended }: RepairReport): string {
  const lines = steps.map((step) => `${isDryRun ? 'would ' : ''}${describeStep(step)}`);
  if (steps.length === 0) lines.push('nothing to mend');
  for (const one of unmended) lines.push(...describeUnmended(one));
  return `${lines.join('\n')}\n`;
}

function describeStep(step: DiskStep): string {
  switch (step.kind) {
    case 'cut':
      return `cut ${groupDigits(step.bytes)} bytes off ${step.file} at byte ${step.position}`;
    case 'write':
      return `write ${groupDigits(step.bytes)} bytes into ${step.file} at byte ${step.position}`;
    case 'replace':
      return `replace ${step.file} from its sound copy (${groupDigits(step.bytes)} bytes)`;
    case 'create':
      return `create ${step.file}`;
    case 'remove':
      return `remove ${step.file}, a leftover`;
  }
}

function describeUnmended({ file, position, what, needs }: Unmended): string[] {
  const where = `${file}${position === undefined ? '' : `:${position}`}`;
  const advice =
    needs === 'peer'
      ? 'start the node: it fetches them from its peers. Nothing was cut off'
      : 'give the node an empty data directory and let it join as a new one; keep this one until that is done';
  return [`not mended: ${where}: ${what}`, `  ${advice}`];
}
