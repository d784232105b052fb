import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeMachine, fileSystemOf, isVolatile } from '../../bench/machine.ts';
import { cpuSecondsOf, memoryOf, sampleProcess } from '../../bench/process-use.ts';

describe('what is said about the machine', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'logdrive-test-'));
  });
  afterAll(async () => {
    await rm(dir, { recursive: true });
  });

  test('the file system is that of the deepest mount, the latest of equals', async () => {
    const mounts = join(dir, 'mounts');
    await writeFile(
      mounts,
      [
        '/dev/vda / ext4 rw 0 0',
        'tmpfs /var/tmp tmpfs rw 0 0',
        '/dev/vdb /var/tmp/my\\040disk xfs rw 0 0',
        'overlay /srv overlay rw 0 0',
        '/dev/vdc /srv btrfs rw 0 0',
        '',
      ].join('\n'),
    );
    const types = ['/home/x', '/var/tmp/x', '/var/tmp', '/var/tmpfile', '/var/tmp/my disk/x', '/srv/x'];
    expect(types.map((path) => fileSystemOf(path, mounts))).toEqual(['ext4', 'tmpfs', 'tmpfs', 'ext4', 'xfs', 'btrfs']);
    expect(fileSystemOf('/', join(dir, 'missing'))).toBe('unknown');
  });

  test('a file system in memory is called volatile, one on a disk is not', () => {
    expect([isVolatile('tmpfs'), isVolatile('ext4')]).toEqual([true, false]);
  });

  test('names processor, memory, kernel, Node and commit', async () => {
    const machine = await describeMachine(dir);
    expect(machine).toMatchObject({ node: process.version });
    expect(machine.cores).toBeGreaterThan(0);
    expect(machine.memoryBytes).toBeGreaterThan(0);
    expect(machine.commit).toMatch(/^([0-9a-f]{7,40}\+?|unknown)$/);
  });
});

describe('what a process used', () => {
  test('times are found although the name of the process holds blanks and brackets', () => {
    const stat = '4242 (node (a) b) S 1 4242 4242 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 11 0 1 2 3';
    expect(cpuSecondsOf(stat)).toBe(3);
  });

  test('memory is given in bytes', () => {
    expect(memoryOf('VmPeak:\t 999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n')).toEqual({
      rssBytes: 1024 * 1024,
      rssBytesPeak: 2048 * 1024,
    });
  });

  test.skipIf(process.platform !== 'linux')('a living process has both (reads /proc: Linux only)', async () => {
    const sample = await sampleProcess(process.pid);
    expect(sample.cpuSeconds).toBeGreaterThan(0);
    expect(sample.rssBytes).toBeGreaterThan(10_000_000);
    expect(sample.rssBytesPeak).toBeGreaterThanOrEqual(sample.rssBytes / 2);
  });
});
