/** The ladder a node goes down as its disk fills up, and up again (W23, F38). */
import { describe, expect, test } from 'vitest';
import { SpaceWatch } from '../../src/broker/space-watch.ts';
import { type LogLine, SimTime, simEnv } from './support/sim-env.ts';

const GiB = 1024 ** 3;

function bench() {
  const time = new SimTime();
  const lines: LogLine[] = [];
  const metrics = new Map<string, number>();
  const told: boolean[] = [];
  const disk = { freeBytes: 500 * GiB, totalBytes: 1_000 * GiB };
  const filling = { hasFullLog: false };
  const watch = new SpaceWatch(
    { space: { warnBelowBytes: 4 * GiB, warnBelowPercent: 15, rejectBelowBytes: GiB, rejectBelowPercent: 5 } },
    {
      env: simEnv(time, 1, lines),
      metrics: { add: () => undefined, set: (name, value) => void metrics.set(name, value), observe: () => undefined },
      directory: { space: async () => ({ ...disk }) },
    },
    filling,
    (isFull) => told.push(isFull),
  );
  const run = async (ms: number): Promise<void> => {
    for (const endMs = time.nowMs + ms; time.nowMs < endMs; ) {
      watch.tick();
      await time.advance(100);
    }
  };
  return { watch, disk, filling, told, lines, metrics, run };
}

describe('a disk that fills up', () => {
  test('is warned of before appends are refused, each once, with a metric that says which', async () => {
    const { watch, disk, told, lines, metrics, run } = bench();
    await run(2_000);
    expect([told, lines]).toEqual([[], []]);
    disk.freeBytes = 4 * GiB - 1;
    await run(5_000);
    expect(watch.isFull).toBe(false);
    expect(metrics.get('logdrive_disk_space_level')).toBe(1);
    disk.freeBytes = GiB - 1;
    await run(5_000);
    expect(told).toEqual([true]);
    expect(metrics.get('logdrive_disk_space_level')).toBe(2);
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'error']);
    expect(watch.detail).toContain('no room');
  });

  test('has room again a second after room returned, and not for a byte above the rung', async () => {
    const { watch, disk, told, run } = bench();
    disk.freeBytes = GiB - 1;
    await run(2_000);
    disk.freeBytes = GiB;
    await run(5_000);
    expect(watch.isFull).toBe(true);
    disk.freeBytes = 1.2 * GiB;
    await run(1_100);
    expect(told).toEqual([true, false]);
  });

  test('counts its rungs as shares where the disk is small', async () => {
    const { watch, disk, run } = bench();
    disk.totalBytes = 10 * GiB;
    disk.freeBytes = 0.6 * GiB;
    await run(2_000);
    expect(watch.detail).toContain('little');
    disk.freeBytes = 0.4 * GiB;
    await run(2_000);
    expect(watch.isFull).toBe(true);
  });

  test('is full as soon as a log finds no room, whatever the free space says', async () => {
    const { watch, filling, told, run } = bench();
    filling.hasFullLog = true;
    await run(1_100);
    expect(watch.isFull).toBe(true);
    filling.hasFullLog = false;
    await run(1_100);
    expect(told).toEqual([true, false]);
  });
});
