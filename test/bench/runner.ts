/** The bench runner as one starts it: a real process of the build that `npm test` makes first. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { repositoryRoot } from '../../bench/machine.ts';

const RUNNER = join(repositoryRoot(), 'dist/bench/run.js');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it said on stderr so far. */
  talk(): string;
}

export function startBench(words: readonly string[]): Running {
  const child = spawn(process.execPath, [RUNNER, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }));
  return { child, ended, talk: () => stderr };
}

export function bench(words: readonly string[]): Promise<Ended> {
  return startBench(words).ended;
}

/** Where a bench is to work and to keep its results. */
export function inDir(dir: string): string[] {
  return ['--dir', dir, '--out', join(dir, 'results')];
}
