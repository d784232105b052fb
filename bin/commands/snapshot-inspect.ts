/** `logdrive snapshot inspect`: reads a backup to its end, checks every byte, and says what it holds. Needs no node. */
import { verifyBackup } from '../backup-reader.ts';
import type { Command } from '../command.ts';
import { renderDocument } from '../output.ts';
import { describe, summaryOf } from './snapshot-save.ts';

export const snapshotInspect: Command = {
  usage: 'inspect <file>',
  flags: {},
  run: async ({ terminal, output, words }) => {
    const path = words('file');
    const { plan, end, bytes } = await verifyBackup(path);
    const summary = summaryOf(path, plan, end, bytes);
    terminal.out.writeText(renderDocument(output, summary, () => describe(summary)));
  },
};
