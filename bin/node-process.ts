/**
 * One `logdrive serve` as a child process of `logdrive dev`. The channel between them is also the lifeline: when the
 * parent dies in any way, the channel closes and the child drains by itself, so no node outlives its supervisor.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Child, ChildEvents } from './supervisor.ts';

/** What a supervised node tells its parent. */
export interface NodeMessage {
  readonly kind: 'ready';
}

/**
 * What can only be set before a process starts; names that are set already stay as they are.
 * Threads: enough that flushes never take the last one from reads. Allocator: glibc gives each thread an arena of its
 * own, and every arena keeps what its buffers of a megabyte left behind; one arena is 14 MB less after 2 GB, at no cost
 * that could be measured (docs/performance.md). Other C libraries ignore it.
 */
const ENVIRONMENT = { UV_THREADPOOL_SIZE: '12', MALLOC_ARENA_MAX: '1' };

/**
 * A young generation of 4 MiB: several nodes share a developer's machine, and each needs some 15 MB less. A node that
 * is started by itself has Node's default of 16, which takes a tenth to a fifth less processor time for single appends
 * (docs/performance.md). It can only be set when a process starts; logdrive.cts sets what can be set later.
 */
const ENGINE_FLAGS = ['--max-semi-space-size=4'];

export interface NodeCommand {
  /** Arguments after `serve`. */
  readonly flags: readonly string[];
  /** Receives each line the node writes. */
  readonly onLine: (line: string) => void;
}

/** What this process was started with: a bundle does not lie beside it. */
function executable(): string {
  const [, path] = process.argv;
  if (path === undefined) throw new Error('this process was not started from a file, so no node can be');
  return path;
}

export function spawnNode(command: NodeCommand, events: ChildEvents): Child {
  const child = spawn(process.execPath, [...ENGINE_FLAGS, executable(), 'serve', '--supervised', ...command.flags], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A process group of its own: Ctrl-C in the terminal reaches the supervisor alone, which then stops the nodes.
    detached: true,
    env: { ...ENVIRONMENT, ...process.env },
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on('line', command.onLine);
  }
  child.on('message', (message: NodeMessage) => {
    if (message.kind === 'ready') events.onReady();
  });
  // 'close' comes after the last line was read; 'error' instead of it when the process could not be made.
  let hasEnded = false;
  const end = (code: number | null, signal: string | null): void => {
    if (hasEnded) return;
    hasEnded = true;
    events.onExit({ code: code ?? undefined, signal: signal ?? undefined });
  };
  child.on('close', end);
  child.on('error', (error) => {
    command.onLine(error.message);
    if (child.pid === undefined) end(1, null);
  });
  return { pid: child.pid, kill: (signal) => void child.kill(signal) };
}
