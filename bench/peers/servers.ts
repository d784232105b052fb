/** The server processes of one peer as a whole: started together, ready together, killed and restarted one by one. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { BenchContext } from '../scenario.ts';
import type { RunningPeer } from './peer.ts';
import type { PeerProcess } from './peer-process.ts';

const run = promisify(execFile);
const OUTPUT_MS_MAX = 20_000;

export interface Readiness {
  /** Whether the server of that number serves. */
  isReady(at: number): () => Promise<boolean>;
  readonly timeoutMs: number;
}

export interface Servers {
  readonly lifecycle: Required<Pick<RunningPeer, 'killNode' | 'restartNode'>>;
  /** What a program prints, on either stream. */
  output(program: string, words: readonly string[], env?: Readonly<Record<string, string>>): Promise<string>;
}

/** Resolves when all of them are ready. @throws with the last words of one that is not. */
export async function startServers(
  context: BenchContext,
  processes: readonly PeerProcess[],
  readiness: Readiness,
): Promise<Servers> {
  for (const each of processes) each.start();
  context.say(`${processes.map((each) => `${each.name} runs as ${each.pid}`).join(', ')}`);
  const becomesReady = (at: number): Promise<void> => processes[at]!.ready(readiness.isReady(at), readiness.timeoutMs);
  await Promise.all(processes.map((_, at) => becomesReady(at)));
  return {
    lifecycle: {
      killNode: (at) => processes[at]!.kill(),
      async restartNode(at) {
        processes[at]!.start();
        await becomesReady(at);
      },
    },
    async output(program, words, env) {
      const { stdout, stderr } = await run(program, words, { timeout: OUTPUT_MS_MAX, env: { ...process.env, ...env } });
      return stdout + stderr;
    },
  };
}
