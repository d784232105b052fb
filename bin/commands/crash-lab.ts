/**
 * `logdrive crash-lab`: real nodes on real files under real faults on this machine, judged by what clients were told.
 * The lab is a program of its own (dist/bin/crash-lab.js, made of the tests' code); this command hands its words over
 * and ends as it ended.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import type { Command, Flags, Invocation } from '../command.ts';
import { EXIT_OTHER, ExitError } from '../exit.ts';

const FLAGS: Flags = {
  minutes: {
    kind: 'text',
    sentence: 'How long; the episode that runs then is ended.',
    placeholder: 'M',
    defaultText: '5',
  },
  episodes: { kind: 'text', sentence: 'At most so many clusters, one after the other.', placeholder: 'N' },
  seed: {
    kind: 'text',
    sentence: 'Of the first episode; the next one has the next.',
    placeholder: 'S',
    defaultText: '1',
  },
  groups: { kind: 'text', sentence: 'Only these groups of faults, separated by commas.', placeholder: 'A,B' },
  fault: { kind: 'text', sentence: 'Only faults whose name holds this.', placeholder: 'TEXT' },
  goals: {
    kind: 'text',
    sentence: 'Ends early when these groups had so many events; theirs come first.',
    placeholder: 'A=N,B=N',
  },
  acks: { kind: 'text', sentence: 'With --goals: and so many records were acknowledged.', placeholder: 'N' },
  out: { kind: 'text', sentence: 'Where report, histories and logs go.', placeholder: 'DIR' },
  ledger: { kind: 'text', sentence: 'A file the report is appended to, as one line.', placeholder: 'FILE' },
};

export const crashLab: Command = {
  usage: 'crash-lab',
  flags: FLAGS,
  examples: [['$0 crash-lab --minutes 10 --seed 7', 'ten minutes of kills, cuts, corruption and full disks']],
  run: runLab,
};

async function runLab(invocation: Invocation): Promise<void> {
  const words = Object.keys(FLAGS).flatMap((flag) => {
    const value = invocation.text(flag);
    return value === undefined ? [] : [`--${flag}`, value];
  });
  const program = join(dirname(process.argv[1] ?? '.'), 'crash-lab.js');
  const child = spawn(process.execPath, [program, ...words], { stdio: 'inherit' });
  // A Ctrl-C reaches the lab by the terminal; it ends its nodes, then itself.
  const onSignal = (): void => undefined;
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'close')) as [number | null];
  process.off('SIGINT', onSignal);
  if (code !== 0) throw new ExitError(code ?? EXIT_OTHER);
}
