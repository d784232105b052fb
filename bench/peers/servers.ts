/** The server processes of one peer as a whole: started together, ready together, killed and restarted one by one. */

import { ProcessGroup } from '../process-group.ts';
import type { BenchContext } from '../scenario.ts';
import type { RunningPeer } from './peer.ts';

export interface Readiness {
  /** Whether the server of that number serves. */
  isReady(at: number): () => Promise<boolean>;
  readonly timeoutMs: number;
}

export interface Servers {
  readonly look: RunningPeer['look'];
  /** How nodes are killed and come back. */
  readonly failover: Required<Pick<RunningPeer, 'killNode' | 'restartNode'>>;
}

/** Resolves when all of them are ready. @throws with the last words of one that is not. */
export async function startServers(
  context: BenchContext,
  processes: readonly ProcessGroup[],
  readiness: Readiness,
): Promise<Servers> {
  for (const each of processes) each.start();
  context.say(`${processes.map((each) => `${each.name} runs as ${each.pid}`).join(', ')}`);
  const becomesReady = (at: number): Promise<void> => processes[at]!.ready(readiness.isReady(at), readiness.timeoutMs);
  await Promise.all(processes.map((_, at) => becomesReady(at)));
  return {
    look: () => Promise.all(processes.map(async (each) => ({ name: each.name, sample: await each.sample() }))),
    failover: {
      killNode: (at) => processes[at]!.kill(),
      async restartNode(at) {
        processes[at]!.start();
        await becomesReady(at);
      },
    },
  };
}

/** The first version number a program prints when it is asked for it. */
export async function versionOf(
  context: BenchContext,
  program: string,
  { words = ['--version'], env = {} }: { words?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const asked = new ProcessGroup(context.cleanup, {
    name: `${program} ${words}`,
    program,
    words,
    cwd: context.dir,
    env,
  });
  const output = await asked.output();
  const version = /\d+\.\d+(\.\d+)?/.exec(output)?.[0];
  if (version === undefined) throw new Error(`${asked.name} printed no version: ${output}`);
  return version;
}
