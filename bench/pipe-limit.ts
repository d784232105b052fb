/**
 * The limit of the topology: limit-pipe.c moves the same bytes through the same three processes and disks, without a
 * protocol, a check or Raft. Built with the C compiler of the machine; where there is none, the limit is not known.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from './bench-cluster.ts';
import { repositoryRoot } from './machine.ts';
import type { BenchContext } from './scenario.ts';

const run = promisify(execFile);
const MEGABYTES = 256;
/** Chunks on their way at once. */
const WINDOW = 8;
const TIMEOUT_MS = 60_000;

/** @returns a function from the size of a chunk to MB/s; undefined without a C compiler. */
export async function buildPipe(
  context: Pick<BenchContext, 'dir' | 'say'>,
): Promise<((chunkBytes: number) => Promise<number>) | undefined> {
  const program = join(context.dir, 'limit-pipe');
  try {
    await run('cc', ['-O2', '-o', program, join(repositoryRoot(), 'bench/limit-pipe.c'), '-lpthread']);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    context.say('there is no C compiler here: the limit of the topology is not measured');
    return undefined;
  }
  return async (chunkBytes) => {
    const ports = (await freePorts(3)).map(String);
    const words = [String(MEGABYTES), String(chunkBytes / 1024), String(WINDOW), ...ports];
    const { stdout } = await run(program, words, { cwd: context.dir, timeout: TIMEOUT_MS });
    const found = /([\d.]+) MB\/s/.exec(stdout);
    if (found === null) throw new Error(`limit-pipe printed no speed: ${stdout}`);
    return Number(found[1]);
  };
}
