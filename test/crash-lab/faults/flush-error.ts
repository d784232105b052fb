/** A flush that fails, once, by system call injection: the process must end with a clear last word and never retry. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Fault } from './fault.ts';

/** What a durable write of a node can be on Linux. */
const CALLS = 'pwrite64,pwritev,pwritev2,fsync,fdatasync';
const ENDED_WITHIN_MS = 20_000;

/** Why calls cannot be injected here; undefined when they can. */
export function whyNoInjection(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'failing flushes need root on Linux';
  return existsSync('/usr/bin/strace') ? undefined : 'failing flushes need strace (Debian: strace)';
}

export const FLUSH_ERRORS: readonly Fault[] = ['leader', 'follower'].map((who) => ({
  name: `EIO on a flush of the ${who}`,
  ...{ group: 'flush error', needsImages: false, events: 1 },
  run: async (lab) => {
    const { node } = await lab.pick(who as 'leader' | 'follower');
    const logFrom = node.log.length;
    const words = ['-f', '-qq', '-o', '/dev/null', '-p', String(node.pid)];
    const inject = [`-e`, `trace=${CALLS}`, '-e', `inject=${CALLS}:error=EIO:when=1`];
    const strace = spawn('strace', [...words, ...inject], { stdio: 'ignore' });
    const straceEnded = once(strace, 'close');
    try {
      const { code } = await node.exited(ENDED_WITHIN_MS);
      const lastWord = node.log.slice(logFrom).trim().split('\n').at(-1) ?? '';
      return {
        tookEffect: code !== 0 && code !== null && /EIO/.test(node.log.slice(logFrom)),
        detail: `${node.id} ended with code ${code}: ${lastWord.slice(0, 300)}`,
      };
    } finally {
      strace.kill('SIGKILL');
      await straceEnded;
    }
  },
}));
