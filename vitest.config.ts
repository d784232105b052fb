/**
 * Three projects. 'unit': everything that runs in one process, files side by side. 'seeds': the simulator's ranges of
 * seeds, beside them, in processes with a young generation like that of `npm run sim`: a run makes little that lives long.
 * 'cluster': real processes, killed and paused on purpose; after the rest, since their deadlines mean little beside
 * files that keep a processor busy each. Two files at once: these wait for most of their time, for processes to start,
 * for elections and for pauses to end, and one alone leaves half of the machine idle.
 */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

export default defineConfig({
  test: {
    // By default one processor is left idle, of two as well.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cluster/**', 'test/sim/seeds-*.test.ts'],
          // Each takes seconds at most; on a machine with other work to do, ten times as long.
          testTimeout: 60_000,
          // Files of a worker share the modules they load. Each is loaded once, not once for each of 200 files.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'seeds',
          include: ['test/sim/seeds-*.test.ts'],
          execArgv: ['--max-semi-space-size=64', '--min-semi-space-size=32'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
