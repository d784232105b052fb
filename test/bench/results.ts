/** Results of benches that never ran, for tests. */
import { figureOf, RESULT_VERSION, type Result } from '../../bench/result.ts';

export function resultOf(figures: Result['figures'], change: Partial<Result> = {}): Result {
  return {
    version: RESULT_VERSION,
    scenario: 'produce',
    startedAt: '2025-01-01T00:00:00.000Z',
    elapsedSeconds: 12,
    machine: {
      cpu: 'Test CPU',
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      kernel: 'linux 6.1 x64',
      fileSystem: 'ext4',
      node: 'v20.19.0',
      commit: 'abcdef0',
      loadBefore: 0.25,
    },
    options: { size: 100 },
    diskLimit: { method: 'durable writes', flush4KiBMsP50: 0.2, flush4KiBMsP99: 2, bytesPerSecond: 1e9 },
    durability: 'fsync on a majority of 3 nodes',
    figures,
    ...change,
  };
}

export const speed = (samples: readonly number[], target?: number): Result['figures'][number] =>
  figureOf(
    { name: 'acknowledged', unit: 'records/s', better: 'higher', ...(target !== undefined && { target }) },
    samples,
  );

export const delay = (samples: readonly number[]): Result['figures'][number] =>
  figureOf({ name: 'p50', unit: 'ms', better: 'lower' }, samples);
