/** `logdrive version`: this package, the Node.js that runs it, and the machine it runs on. */
import { createRequire } from 'node:module';
import type { Command } from '../command.ts';
import { renderDocument } from '../output.ts';

export const version: Command = {
  usage: 'version',
  flags: {},
  async run({ terminal, output }) {
    const manifest = createRequire(import.meta.url)('logdrive/package.json') as { version: string };
    const document = {
      logdrive: manifest.version,
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
    };
    const text = (): string => `logdrive ${document.logdrive} (Node ${document.node}, ${document.platform})\n`;
    terminal.out.writeText(renderDocument(output, document, text));
  },
};
