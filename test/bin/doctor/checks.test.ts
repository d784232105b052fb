/** Each check of the doctor, on readings that were made up: what is fine, what is warned about, what fails. */
import { describe, expect, test } from 'vitest';
import { diagnose } from '../../../bin/commands/doctor.ts';
import { checkClock } from '../../../bin/doctor/clock-check.ts';
import { checkEventLoop } from '../../../bin/doctor/event-loop-check.ts';
import { checkFileSystem, mountOf } from '../../../bin/doctor/file-system-check.ts';
import { checkFlush, type FlushReadings } from '../../../bin/doctor/flush-check.ts';
import {
  checkMemory,
  checkOpenFiles,
  checkRuntime,
  memoryLimitOf,
  openFilesOf,
} from '../../../bin/doctor/limits-check.ts';
import type { Readings } from '../../../bin/doctor/readings.ts';
import { checkSpace } from '../../../bin/doctor/space-check.ts';
import { proposeTimeouts } from '../../../bin/doctor/timeouts.ts';
import { percentile, timeWrites } from '../../../bin/flush-timing.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

function flushOf(p50Ms: number, change: Partial<FlushReadings> = {}): FlushReadings {
  const times = { count: 100, p50Ms, p90Ms: p50Ms, p99Ms: p50Ms * 2, p999Ms: p50Ms * 3, maxMs: p50Ms * 4 };
  const both = { durableWrite: times, writeAndFlush: times };
  return { medium: 'solid state', writeCache: undefined, ...both, plainWriteMs: 0.005, ...change };
}

const mount = (change: object = {}) => ({
  point: '/data',
  type: 'ext4',
  device: '/dev/vda1',
  options: ['rw'],
  ...change,
});

describe('flush', () => {
  test.each([
    { name: 'a solid state drive at 0.2 ms', readings: flushOf(0.2), level: 'ok' },
    { name: 'plates at 8 ms', readings: flushOf(8, { medium: 'rotational' }), level: 'ok' },
    { name: 'plates that answer in 0.2 ms', readings: flushOf(0.2, { medium: 'rotational' }), level: 'warning' },
    {
      name: 'a virtual disk that answers in 0.03 ms',
      readings: flushOf(0.03, { medium: 'virtual' }),
      level: 'warning',
    },
    { name: 'a drive that answers in 0.03 ms', readings: flushOf(0.03), level: 'ok' },
    { name: 'a flush as cheap as a write', readings: flushOf(0.2, { plainWriteMs: 0.19 }), level: 'warning' },
    { name: 'a slow disk', readings: flushOf(30), level: 'warning' },
  ])('$name: $level', ({ readings, level }) => {
    expect(checkFlush(readings).level).toBe(level);
  });

  test('says why it suspects, and shows the percentiles', () => {
    const { found, advice } = checkFlush(flushOf(0.2, { medium: 'rotational', writeCache: 'write back' }));
    expect(found).toContain('0.200 / 0.400 / 0.600 ms (p50 / p99 / p99.9)');
    expect(found).toContain('device cache write back');
    expect(advice).toContain('a rotational medium cannot confirm in 0.200 ms');
  });
});

describe('file system', () => {
  test.each([
    { name: 'ext4', readings: { magic: 0xef53, mount: mount() }, level: 'ok' },
    { name: 'tmpfs', readings: { magic: 0x01021994, mount: mount({ type: 'tmpfs' }) }, level: 'failure' },
    { name: 'nfs', readings: { magic: 0x6969, mount: undefined }, level: 'failure' },
    { name: 'overlay', readings: { magic: 0x794c7630, mount: mount({ type: 'overlay' }) }, level: 'warning' },
    { name: 'fuse', readings: { magic: 0x65735546, mount: undefined }, level: 'warning' },
    { name: 'an unknown one', readings: { magic: 0x12345, mount: undefined }, level: 'ok' },
    {
      name: 'barriers off',
      readings: { magic: 0xef53, mount: mount({ options: ['rw', 'nobarrier'] }) },
      level: 'failure',
    },
    { name: 'read-only', readings: { magic: 0xef53, mount: mount({ options: ['ro'] }) }, level: 'failure' },
  ])('$name: $level', ({ readings, level }) => {
    expect(checkFileSystem(readings).level).toBe(level);
  });

  test('the mount of a path is the deepest one above it, and of two on one place the later', () => {
    const text = [
      '20 1 0:18 / / rw,relatime - overlay overlay rw',
      '21 20 8:1 / /data rw - ext4 /dev/sda1 rw,barrier=0',
      '22 20 8:2 / /data\\040b rw - xfs /dev/sdb1 rw shared',
      '23 20 8:3 / /data ro - btrfs /dev/sdc1 rw',
      'nonsense',
    ].join('\n');
    expect(mountOf(text, '/data/n1')).toEqual({
      point: '/data',
      type: 'btrfs',
      device: '/dev/sdc1',
      options: ['ro', 'rw'],
    });
    expect(mountOf(text, '/data b/n1')?.type).toBe('xfs');
    expect(mountOf(text, '/database')?.type).toBe('overlay');
  });
});

describe('clock', () => {
  const samples = (offsets: readonly number[]) => ({
    samples: offsets.map((offset, at) => ({ monotonicMs: at * 20, wallMs: 1_000_000 + at * 20 + offset })),
  });

  test.each([
    { name: 'in step, but for the resolution', offsets: [0, 0.4, -0.4, 0.2], level: 'ok' },
    { name: 'a step back', offsets: [0, 0, -30, -30], level: 'warning' },
    { name: 'a step ahead', offsets: [0, 8, 8, 8], level: 'warning' },
    { name: 'a drift of one part in ten', offsets: [0, 2, 4, 6], level: 'warning' },
  ])('$name: $level', ({ offsets, level }) => {
    expect(checkClock(samples(offsets)).level).toBe(level);
  });
});

describe('limits', () => {
  test.each([
    { maxMs: 3, level: 'ok' },
    { maxMs: 60, level: 'warning' },
    { maxMs: 250, level: 'failure' },
  ])('a stall of $maxMs ms beside elections of 200 ms: $level', ({ maxMs, level }) => {
    expect(checkEventLoop({ observedMs: 3_000, p99Ms: 1, maxMs, electionMsMin: 200 }).level).toBe(level);
  });

  test.each([
    { softLimit: undefined, level: 'ok' },
    { softLimit: 65_536, level: 'ok' },
    { softLimit: 1_024, level: 'warning' },
    { softLimit: 256, level: 'failure' },
  ])('$softLimit open files: $level', ({ softLimit, level }) => {
    expect(checkOpenFiles({ softLimit }).level).toBe(level);
  });

  test.each([
    { name: 'no limit', readings: { limitBytes: undefined, heapLimitBytes: 4 * GiB }, level: 'ok' },
    { name: 'room for all', readings: { limitBytes: 8 * GiB, heapLimitBytes: 4 * GiB }, level: 'ok' },
    { name: 'a heap above the limit', readings: { limitBytes: GiB, heapLimitBytes: 4 * GiB }, level: 'warning' },
    { name: 'too little', readings: { limitBytes: 256 * MiB, heapLimitBytes: 128 * MiB }, level: 'warning' },
  ])('memory, $name: $level', ({ readings, level }) => {
    expect(checkMemory(readings).level).toBe(level);
  });

  test.each([
    { version: 'v20.19.0', threadPoolSize: 12, levels: ['ok', 'ok'] },
    // What the package says it runs on.
    { version: 'v22.11.0', threadPoolSize: 12, levels: ['failure', 'ok'] },
    { version: 'v22.12.0', threadPoolSize: 12, levels: ['ok', 'ok'] },
    { version: 'v21.7.3', threadPoolSize: 12, levels: ['failure', 'ok'] },
    { version: 'v20.18.1', threadPoolSize: 4, levels: ['failure', 'ok'] },
    { version: 'v23.1.0', threadPoolSize: 2, levels: ['warning', 'warning'] },
  ])('$version with $threadPoolSize threads: $levels', ({ levels, ...readings }) => {
    expect(checkRuntime(readings).map(({ level }) => level)).toEqual(levels);
  });

  test('are read from the texts of the kernel', () => {
    expect(
      openFilesOf('Limit  Soft Hard\nMax open files            1024                 524288               files \n'),
    ).toBe(1_024);
    expect(openFilesOf('Max open files            unlimited            unlimited            files\n')).toBeUndefined();
    expect([undefined, 'max\n', '9223372036854771712\n', '536870912\n'].map(memoryLimitOf)).toEqual([
      ...[undefined, undefined, undefined],
      512 * MiB,
    ]);
  });

  test.each([
    { freeBytes: 50 * GiB, totalBytes: 100 * GiB, level: 'ok' },
    { freeBytes: 1.5 * GiB, totalBytes: 100 * GiB, level: 'warning' },
    { freeBytes: 0.9 * GiB, totalBytes: 100 * GiB, level: 'failure' },
    { freeBytes: 0.9 * GiB, totalBytes: 8 * GiB, level: 'ok' },
  ])('$freeBytes bytes free of $totalBytes: $level', ({ level, ...readings }) => {
    expect(checkSpace(readings).level).toBe(level);
  });
});

describe('timeouts', () => {
  test('are the defaults on a fast machine', () => {
    expect(proposeTimeouts({ flushMs: 1, stallMs: 5 })).toMatchObject({
      ...{ heartbeatMs: 40, electionMsMin: 200, electionMsMax: 400 },
    });
  });

  test('grow with the disk and with stalls, and are always legal', () => {
    expect(proposeTimeouts({ flushMs: 80, stallMs: 33 })).toMatchObject({
      ...{ heartbeatMs: 140, electionMsMin: 710, electionMsMax: 1_420 },
    });
    for (const flushMs of [0.1, 7, 31, 123, 999]) {
      const { heartbeatMs, electionMsMin } = proposeTimeouts({ flushMs, stallMs: flushMs * 3 });
      expect(electionMsMin).toBeGreaterThanOrEqual(5 * heartbeatMs);
    }
  });
});

test('writes are timed until the time is over, at least one, wrapping within the file', async () => {
  const places: number[] = [];
  const write = async (position: number): Promise<void> => void places.push(position);
  const samples = await timeWrites({ bytes: 4, fileBytes: 8, durationMs: 0, write });
  expect([samples.length, places]).toEqual([1, [0]]);
  expect([percentile([1, 2, 3, 4], 0.5), percentile([1, 2, 3, 4], 0.99), percentile([7], 0.001)]).toEqual([2, 4, 7]);
});

test('the verdict is the worst finding, and every check has its say', () => {
  const readings: Readings = {
    flush: flushOf(0.2),
    fileSystem: { magic: 0x01021994, mount: undefined },
    space: { freeBytes: 50 * GiB, totalBytes: 100 * GiB },
    clock: {
      samples: [
        { wallMs: 0, monotonicMs: 0 },
        { wallMs: 20, monotonicMs: 20 },
      ],
    },
    eventLoop: { observedMs: 3_000, p99Ms: 1, maxMs: 2 },
    openFiles: { softLimit: 1_024 },
    memory: { limitBytes: undefined, heapLimitBytes: GiB },
    runtime: { version: 'v22.12.0', threadPoolSize: 12 },
  };
  const { verdict, findings } = diagnose('/data', readings, 200);
  expect(verdict).toBe('failure');
  expect(findings.map(({ check, level }) => `${check} ${level}`)).toEqual([
    'file system failure',
    ...[
      'flush ok',
      'space ok',
      'clock ok',
      'event loop ok',
      'open files warning',
      'memory ok',
      'node ok',
      'threads ok',
    ],
  ]);
});
