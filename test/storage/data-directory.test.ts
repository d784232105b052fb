/** A data directory: whose it is, who holds it, and how logs come and go. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DataDirectory, MemoryDisk, NodeDisk } from '../../storage/index.ts';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { bytesOf, CLUSTER_ID, ManualTimers, nextEntries, openLog, readAll } from '../support/storage-fixture.ts';

const temporary: string[] = [];

afterAll(() => {
  for (const path of temporary) rmSync(path, { recursive: true });
});

function temporaryPath(): string {
  const path = mkdtempSync(join(tmpdir(), 'logdrive-data-'));
  temporary.push(path);
  return path;
}

const options = {
  nodeId: 'n1',
  randomBytes: (count: number) => bytesOf('uuid', count),
  onFatal: (error: Error) => {
    throw error;
  },
};

const logOptions = { timers: new ManualTimers(), clusterId: CLUSTER_ID, onFlushed: () => undefined };

describe('identity', () => {
  test('is drawn once and kept; another node is refused', async () => {
    const disk = new MemoryDisk();
    const first = await DataDirectory.open(disk, '/d', options);
    const { diskUuid } = first;
    expect(diskUuid).toMatch(/^[0-9a-f]{32}$/);
    await first.close();
    const again = await DataDirectory.open(disk, '/d', { ...options, randomBytes: (count) => new Uint8Array(count) });
    expect(again.diskUuid).toBe(diskUuid);
    await again.close();
    const foreign = DataDirectory.open(disk, '/d', { ...options, nodeId: 'n2' });
    await expect(foreign).rejects.toMatchObject({ code: 'FOREIGN', message: expect.stringContaining('node n1') });
    await (await DataDirectory.open(disk, '/d', options)).close();
  });

  test('is kept over a power cut by whoever was started with it, wherever its maker was killed', async () => {
    for (let n = 1, isDone = false; !isDone; n++) {
      const made = new ModelDisk({ onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
      const making = DataDirectory.open(made, '/d', options).then(() => true);
      isDone = await Promise.race([making, made.stopped.then(() => false)]);
      const disk = made.afterKill();
      const { diskUuid } = await DataDirectory.open(disk, '/d', options);
      for (let seed = 0; seed < 8; seed++) {
        const another = { ...options, randomBytes: (count: number) => new Uint8Array(count) };
        const after = await DataDirectory.open(disk.afterCrash(seed), '/d', another);
        expect(after.diskUuid, `killed at call ${n}`).toBe(diskUuid);
      }
    }
  });

  test('joins one cluster, once', async () => {
    const disk = new MemoryDisk();
    const first = await DataDirectory.open(disk, '/d', options);
    expect(first.clusterId).toBeUndefined();
    await first.setClusterId('c1');
    await first.setClusterId('c1');
    await expect(first.setClusterId('c2')).rejects.toMatchObject({ code: 'FOREIGN' });
    await first.close();
    expect((await DataDirectory.open(disk, '/d', options)).clusterId).toBe('c1');
  });

  test('a log of another cluster is refused', async () => {
    const disk = new MemoryDisk();
    const { directory } = await openLog(disk);
    await directory.close();
    await expect(openLog(disk, { clusterId: 'another' })).rejects.toMatchObject({ code: 'FOREIGN' });
  });
});

describe('logs', () => {
  test('are listed, opened once, removed when closed, and do not come back', async () => {
    const disk = new MemoryDisk();
    const directory = await DataDirectory.open(disk, '/d', options);
    const logs = await Promise.all([3, 0, 12].map((groupId) => directory.openLog(groupId, logOptions)));
    expect(await directory.groups()).toEqual([0, 3, 12]);
    await expect(directory.openLog(3, logOptions)).rejects.toThrow(/log 3 is open/);
    await expect(directory.removeLog(3)).rejects.toThrow(/log 3 is open/);
    logs[0]!.append(nextEntries(logs[0]!, [{}]));
    await logs[0]!.close();
    await directory.removeLog(3);
    await directory.removeLog(99);
    expect(await directory.groups()).toEqual([0, 12]);
    expect((await directory.openLog(3, logOptions)).lastIndex).toBe(0);
    await directory.close();
    await expect(directory.groups()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('made together share the flushes of the directory that holds their names', async () => {
    const calls: string[] = [];
    const onCall = ({ kind, path }: Call): undefined => {
      calls.push(`${kind} ${path}`);
    };
    const directory = await DataDirectory.open(new ModelDisk({ onCall }), '/d', options);
    calls.length = 0;
    await Promise.all(Array.from({ length: 100 }, (_, at) => directory.openLog(at, logOptions)));
    for (const shared of ['syncDirectory /d/logs', 'syncDirectory /d/standing']) {
      const syncs = calls.filter((call) => call === shared).length;
      expect(syncs, shared).toBeGreaterThan(0);
      expect(syncs, shared).toBeLessThan(20);
    }
    // Each has its own: the directory once, and hard state, segment, manifest and standing.
    expect(calls.filter((call) => call.startsWith('syncDirectory /d/logs/'))).toHaveLength(100);
    expect(calls.filter((call) => call.startsWith('flush '))).toHaveLength(400);
    await directory.close();
  });

  test('creation and removal stopped at any call leave a whole log or none', async () => {
    for (const isRemoval of [false, true]) {
      for (let n = 1; ; n++) {
        const prepared = new ModelDisk();
        if (isRemoval) {
          const { log, directory } = await openLog(prepared);
          log.append(nextEntries(log, [{}]));
          await directory.close();
        }
        const disk = prepared.afterCrash(0, { onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
        const work = async () => {
          const directory = await DataDirectory.open(disk, '/data', options);
          if (isRemoval) await directory.removeLog(1);
          else await directory.openLog(1, logOptions);
          return true;
        };
        const isDone = await Promise.race([work(), disk.stopped.then(() => false)]);
        for (let seed = 0; seed < 3; seed++) {
          const after = disk.afterCrash(n * 10 + seed);
          const directory = await DataDirectory.open(after, '/data', {
            ...options,
            randomBytes: (count) => bytesOf('disk', count),
          });
          const groups = await directory.groups();
          if (isDone) expect(groups).toEqual(isRemoval ? [] : [1]);
          const log = await directory.openLog(1, logOptions);
          expect(log.lastIndex).toBe(isRemoval && groups.length === 1 ? 1 : 0);
          expect(after.files().filter((path) => /\.(new|removed)/.test(path))).toEqual([]);
        }
        if (isDone) break;
      }
    }
  });

  test('share few open files, however many segments are read', async () => {
    const disk = new ModelDisk();
    let open = 0;
    let most = 0;
    const watched = disk.afterCrash(0, {
      onCall: ({ kind, path }) => {
        if (kind === 'open' && path.endsWith('.segment')) most = Math.max(most, ++open);
        if (kind === 'close' && path.endsWith('.segment')) open--;
        return undefined;
      },
    });
    const directory = await DataDirectory.open(watched, '/data', { ...options, openFilesMax: 4 });
    const log = await directory.openLog(1, { ...logOptions, segmentBytes: 8192 });
    log.append(
      nextEntries(
        log,
        Array.from({ length: 60 }, (_, seed) => ({ payloadBytes: 3000, seed })),
      ),
    );
    await log.flush();
    expect(log.segments().length).toBeGreaterThan(20);
    expect(await readAll(log)).toHaveLength(60);
    // Four for reading, the active one, and one more while segments change hands.
    expect(most).toBeLessThanOrEqual(4 + 2 + 1);
    await directory.close();
    expect(open).toBe(0);
  });
});

describe('on a real disk', () => {
  test('files are 0600 and directories 0700, and everything is there after a close', async () => {
    const path = join(temporaryPath(), 'data');
    const disk = new NodeDisk();
    const { log, directory } = await openLog(disk, { path, segmentBytes: 64 * 1024 });
    log.append(
      nextEntries(
        log,
        Array.from({ length: 100 }, (_, seed) => ({ payloadBytes: 2000, seed })),
      ),
    );
    await log.flush();
    const modes = readdirSync(path, { recursive: true, withFileTypes: true }).map((item) => {
      const { mode } = statSync(join(item.parentPath, item.name));
      return `${item.isDirectory() ? 'directory' : 'file'} ${(mode & 0o777).toString(8)}`;
    });
    expect(new Set(modes)).toEqual(new Set(['directory 700', 'file 600']));
    await directory.close();
    const again = await openLog(disk, { path, segmentBytes: 64 * 1024 });
    expect(await readAll(again.log)).toHaveLength(100);
    await again.directory.close();
  });

  test('a directory that cannot be written to is refused by name', async () => {
    const path = temporaryPath();
    chmodSync(path, 0o500);
    if (process.getuid?.() === 0) return writeFileSync(join(path, 'file'), '');
    await expect(DataDirectory.open(new NodeDisk(), path, options)).rejects.toMatchObject({ code: 'IO' });
  });

  test('a second owner is refused with the path and the pid of the first', async () => {
    const path = temporaryPath();
    const first = await DataDirectory.open(new NodeDisk(), path, options);
    await expect(DataDirectory.open(new NodeDisk(), path, options)).rejects.toMatchObject({
      code: 'LOCKED',
      pid: process.pid,
      file: join(path, 'lock'),
    });
    await first.close();
    await (await DataDirectory.open(new NodeDisk(), path, options)).close();
  });

  test('a lock of a dead process, of another boot, of a recycled pid or of nobody is taken over', async () => {
    const dead = spawn(process.execPath, ['-e', '0']);
    await new Promise((resolve) => dead.once('exit', resolve));
    const path = temporaryPath();
    const disk = new NodeDisk();
    await (await disk.lock(join(path, 'lock'))).release();
    const mine = await disk.lock(join(path, 'lock'));
    const [pid, boot, start] = readFileSync(join(path, 'lock'), 'utf8').trim().split(' ');
    await mine.release();
    const stale = [
      `${dead.pid} ${boot} ${start}\n`,
      `${pid} 00000000-0000-0000-0000-000000000000 ${start}\n`,
      `${pid} ${boot} ${Number(start) - 1}\n`,
      '',
      'no stamp at all',
    ];
    for (const text of process.platform === 'linux' ? stale : stale.slice(0, 1)) {
      writeFileSync(join(path, 'lock'), text);
      const lock = await disk.lock(join(path, 'lock'));
      await expect(disk.lock(join(path, 'lock'))).rejects.toMatchObject({ code: 'LOCKED', pid: process.pid });
      await lock.release();
    }
    expect(readdirSync(path)).toEqual([]);
  });

  test('of many that find the same stale lock one gets it, also past the guard of a dead one', async () => {
    const path = temporaryPath();
    const file = join(path, 'lock');
    const stale = '999999999 0-0 1\n';
    for (let round = 0; round < 20; round++) {
      writeFileSync(file, stale);
      if (round % 2 === 1) writeFileSync(join(path, 'lock.999999999-1'), '999999998 0-0 1\n');
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => new NodeDisk().lock(file)));
      const taken = tries.filter((one) => one.status === 'fulfilled');
      expect(taken).toHaveLength(1);
      await taken[0]!.value.release();
    }
    expect(readdirSync(path)).toEqual([]);
  });
});
