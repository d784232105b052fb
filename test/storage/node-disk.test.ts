/** The real disk where it is hard to make real: short writes, full disks, failing calls. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type File, NodeDisk } from '../../storage/index.ts';

type Written = (error: NodeJS.ErrnoException | null, count: number) => void;

let directory: string;
let file: File;
let path: string;

beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), 'logdrive-node-'));
  path = join(directory, 'file');
  file = await new NodeDisk().open(path, 'create', 'durable-writes');
});

afterEach(async () => {
  vi.restoreAllMocks();
  await file.close();
  fs.rmSync(directory, { recursive: true });
});

/** Lets each vectored write take only as many bytes as `take` says. */
function shorten(take: (wanted: Uint8Array[], call: number) => number): { calls: number } {
  const seen = { calls: 0 };
  const real = fs.writev;
  vi.spyOn(fs, 'writev').mockImplementation(((fd: number, chunks: Uint8Array[], position: number, done: Written) => {
    const whole = Buffer.concat(chunks);
    const count = Math.min(whole.length, take(chunks, ++seen.calls));
    if (count < 0) return done(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), 0);
    if (count === 0) return done(null, 0);
    return real(fd, [whole.subarray(0, count)], position, done);
  }) as unknown as typeof fs.writev);
  return seen;
}

describe('a short write', () => {
  const chunks = [1, 2, 3, 4].map((value) => new Uint8Array(1000).fill(value));

  test('of any length is gone on with until all is written (W5, N1)', async () => {
    for (const most of [1000, 999, 1001, 1, 1500, 3999]) {
      const seen = shorten((_, call) => (call === 1 ? most : 10_000));
      await file.writeDurable(0, chunks);
      expect(seen.calls).toBe(2);
      expect(Buffer.compare(fs.readFileSync(path), Buffer.concat(chunks))).toBe(0);
      vi.restoreAllMocks();
      await file.setBytes(0);
    }
  });

  test('that is followed by a full disk is FULL, as libuv reports it: a count first, an error next', async () => {
    shorten((_, call) => (call === 1 ? 2500 : -1));
    await expect(file.writeDurable(0, chunks)).rejects.toMatchObject({ code: 'FULL', file: path });
  });

  test('of nothing is an error, not a loop', async () => {
    shorten(() => 0);
    await expect(file.write(0, chunks)).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringContaining('nothing'),
    });
  });
});

describe('errors of the system', () => {
  test('become StorageErrors with the cause: FULL for what can pass, such as a full disk, IO for the rest', async () => {
    for (const [errno, code] of [
      ['ENOSPC', 'FULL'],
      ['EDQUOT', 'FULL'],
      ['EIO', 'IO'],
      ['EFBIG', 'FULL'],
      ['EROFS', 'FULL'],
    ] as const) {
      vi.spyOn(fs, 'fsync').mockImplementation(((_: number, done: Written) =>
        done(Object.assign(new Error(errno), { code: errno }), 0)) as unknown as typeof fs.fsync);
      await expect(file.flush()).rejects.toMatchObject({ code, file: path, cause: { code: errno } });
      vi.restoreAllMocks();
    }
  });

  test('say what they mean, for whoever reads the last line of a log', async () => {
    vi.spyOn(fs, 'fsync').mockImplementation(((_: number, done: Written) =>
      done(Object.assign(new Error('EROFS'), { code: 'EROFS' }), 0)) as unknown as typeof fs.fsync);
    await expect(file.flush()).rejects.toThrow(/^fsync failed: EROFS \(the file system is read-only.* in .*file$/);
  });

  test.each(['EMFILE', 'ENFILE'])(
    'of %s are FULL for a file to write to, which waits, and IO for one to read',
    async (code) => {
      vi.spyOn(fs, 'open').mockImplementation(((...args: unknown[]) =>
        (args.at(-1) as Written)(Object.assign(new Error(code), { code }), 0)) as unknown as typeof fs.open);
      const disk = new NodeDisk();
      await expect(disk.open(path, 'write')).rejects.toMatchObject({ code: 'FULL', cause: { code } });
      await expect(disk.open(path, 'create')).rejects.toMatchObject({ code: 'FULL', cause: { code } });
      await expect(disk.open(path, 'read')).rejects.toMatchObject({ code: 'IO', cause: { code } });
    },
  );

  test('too many open files do not keep a directory from being flushed: a name that was given cannot wait', async () => {
    const disk = new NodeDisk();
    await disk.syncDirectory(directory);
    vi.spyOn(fs, 'open').mockImplementation(((...args: unknown[]) =>
      (args.at(-1) as Written)(
        Object.assign(new Error('EMFILE'), { code: 'EMFILE' }),
        0,
      )) as unknown as typeof fs.open);
    const fsync = vi.spyOn(fs, 'fsync');
    await Promise.all([disk.syncDirectory(directory), disk.syncDirectory(directory)]);
    expect(fsync).toHaveBeenCalledTimes(2);
    vi.restoreAllMocks();
  });

  test('the handle kept for that is taken back before anybody else can take its place', async () => {
    const disk = new NodeDisk();
    await disk.syncDirectory(directory);
    let free = 0;
    const tooMany = (): Error => Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
    const { openSync, closeSync, close } = fs;
    vi.spyOn(fs, 'open').mockImplementation(((...args: unknown[]) =>
      (args.at(-1) as Written)(tooMany(), 0)) as unknown as typeof fs.open);
    vi.spyOn(fs, 'openSync').mockImplementation((path, flags) => {
      if (free === 0) throw tooMany();
      free -= 1;
      return openSync(path, flags);
    });
    vi.spyOn(fs, 'closeSync').mockImplementation((fd) => {
      closeSync(fd);
      free += 1;
      // Connections wait for handles, and take what is free in the next turn.
      setImmediate(() => {
        free = 0;
      });
    });
    // By a thread of the pool: it is free before anybody here hears of it.
    vi.spyOn(fs, 'close').mockImplementation((fd, done) => close(fd, done));
    for (let flushes = 0; flushes < 3; flushes++) await disk.syncDirectory(directory);
    vi.restoreAllMocks();
  });

  test('a file that is a symbolic link is not followed', async () => {
    fs.symlinkSync(path, join(directory, 'link'));
    await expect(new NodeDisk().open(join(directory, 'link'), 'read')).rejects.toMatchObject({ code: 'IO' });
  });
});

describe('a durable write on Linux', () => {
  test.runIf(process.platform === 'linux')(
    'is one call: the file is open with O_DSYNC, and nothing is flushed apart',
    async () => {
      const writev = vi.spyOn(fs, 'writev');
      const fdatasync = vi.spyOn(fs, 'fdatasync');
      const fsync = vi.spyOn(fs, 'fsync');
      await file.writeDurable(0, [new Uint8Array(10), new Uint8Array(20)]);
      expect([writev, fdatasync, fsync].map((spy) => spy.mock.calls.length)).toEqual([1, 0, 0]);
      const fd = writev.mock.calls[0]![0];
      const flags = /flags:\s*(\d+)/.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!;
      expect(Number.parseInt(flags, 8) & fs.constants.O_DSYNC).not.toBe(0);
      const plain = await new NodeDisk().open(path, 'write');
      await plain.writeDurable(0, [new Uint8Array(10)]);
      expect(fdatasync).toHaveBeenCalledTimes(1);
      await plain.close();
    },
  );
});
