/**
 * A rejection nobody handles ends a production process. In a run it is handed to the scheduler, which knows whose it
 * is; other listeners of this real process (a test runner's) are put aside meanwhile.
 */
import type { Scheduler } from './scheduler.ts';

export function quietProcess<T>(scheduler: Scheduler, work: () => T): T {
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (error) => scheduler.onCrash(error, scheduler.current));
  try {
    return work();
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of others) process.on('unhandledRejection', listener);
  }
}
