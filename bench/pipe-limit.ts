/**
 * The limit of the topology: limit-pipe.c moves the same bytes through the same three processes and disks, without a
 * protocol, a check or Raft. Built with the C compiler of the machine; where there is none, the limit is not known.
 */
import { join } from 'node:path';
import { freePorts } from './bench-cluster.ts';
import { repositoryRoot } from './machine.ts';
import { ProcessGroup } from './process-group.ts';
import type { BenchContext } from './scenario.ts';

const MEGABYTES = 256;
/** Chunks on their way at once. */
const WINDOW = 8;
const TIMEOUT_MS = 60_000;

/** @returns a function from the size of a chunk to MB/s; undefined without a C compiler. */
export async function buildPipe(
  context: Pick<BenchContext, 'dir' | 'cleanup' | 'say'>,
): Promise<((chunkBytes: number) => Promise<number>) | undefined> {
  const { cleanup, dir } = context;
  const program = join(dir, 'limit-pipe');
  const source = join(repositoryRoot(), 'bench/limit-pipe.c');
  const compiler = { name: 'cc', program: 'cc', words: ['-O2', '-o', program, source, '-lpthread'], cwd: dir };
  try {
    await new ProcessGroup(cleanup, compiler).output(TIMEOUT_MS);
  } catch (error) {
    const { cause } = error as { readonly cause?: NodeJS.ErrnoException };
    if (cause?.code !== 'ENOENT') throw error;
    context.say('there is no C compiler here: the limit of the topology is not measured');
    return undefined;
  }
  return async (chunkBytes) => {
    const ports = (await freePorts(3)).map(String);
    const words = [String(MEGABYTES), String(chunkBytes / 1024), String(WINDOW), ...ports];
    const stdout = await new ProcessGroup(cleanup, { name: 'limit-pipe', program, words, cwd: dir }).output(TIMEOUT_MS);
    const found = /([\d.]+) MB\/s/.exec(stdout);
    if (found === null) throw new Error(`limit-pipe printed no speed: ${stdout}`);
    return Number(found[1]);
  };
}
