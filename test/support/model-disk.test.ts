/** The model disk must be as bad as it says: a test bed that loses nothing proves nothing. */
import { describe, expect, test } from 'vitest';
import { PAGE_BYTES } from '../../storage/disk.ts';
import { ModelDisk } from './model-disk.ts';

const page = (value: number) => new Uint8Array(PAGE_BYTES).fill(value);

/** All states that many survivals of `disk` show, as text. */
function states(disk: ModelDisk, describeState: (after: ModelDisk) => string): Set<string> {
  return new Set(Array.from({ length: 400 }, (_, seed) => describeState(disk.afterCrash(seed))));
}

describe('a crash of the model disk', () => {
  test('keeps what was flushed, and any subset of the pages written since, in any version', async () => {
    const disk = new ModelDisk();
    const file = await disk.open('/a', 'create');
    await file.write(0, [page(1), page(1), page(1)]);
    await file.flush();
    await disk.syncDirectory('/');
    await file.write(0, [page(2), page(2)]);
    await file.write(PAGE_BYTES, [page(3)]);
    const seen = states(disk, (after) => [0, 1, 2].map((n) => after.peek('/a')[n * PAGE_BYTES]).join(''));
    expect([...seen].sort()).toEqual(['111', '121', '131', '211', '221', '231']);
  });

  test('keeps any of the sizes since the last flush', async () => {
    const disk = new ModelDisk();
    const file = await disk.open('/a', 'create');
    await file.write(0, [new Uint8Array(10).fill(1)]);
    await file.flush();
    await disk.syncDirectory('/');
    await file.setBytes(5000);
    await file.setBytes(3);
    expect([...states(disk, (after) => String(after.peek('/a').length))].sort()).toEqual(['10', '3', '5000']);
  });

  test('keeps any subset of the changes of a directory, a rename being one of them, whatever was flushed of the file', async () => {
    const disk = new ModelDisk();
    for (const name of ['/a', '/b', '/c']) await (await disk.open(name, 'create')).close();
    await disk.syncDirectory('/');
    const file = await disk.open('/new', 'create');
    await file.write(0, [page(1)]);
    await file.flush();
    await disk.rename('/new', '/a');
    await disk.remove('/b');
    const seen = states(disk, (after) =>
      after
        .files()
        .map((path) => path + after.peek(path).length)
        .join(' '),
    );
    expect(seen).toContain('/a0 /b0 /c0');
    expect(seen).toContain('/a4096 /c0');
    expect([...seen].some((state) => state.includes('/new4096') && state.includes('/a0'))).toBe(true);
    expect([...seen].some((state) => state.includes('/new') && state.includes('/a4096'))).toBe(false);
  });

  test('of a durable write keeps its pages and says nothing about others', async () => {
    const disk = new ModelDisk();
    const file = await disk.open('/a', 'create');
    await disk.syncDirectory('/');
    await file.write(0, [page(1)]);
    await file.writeDurable(PAGE_BYTES, [page(2)]);
    const seen = states(disk, (after) => [0, 1].map((n) => after.peek('/a')[n * PAGE_BYTES]).join(''));
    expect([...seen].sort()).toEqual(['02', '12']);
  });

  test('gives the same for the same seed, and leaves the disk as it is', async () => {
    const disk = new ModelDisk();
    const file = await disk.open('/a', 'create');
    for (let n = 0; n < 20; n++) await file.write(n * PAGE_BYTES, [page(n)]);
    const one = disk
      .afterCrash(7)
      .files()
      .map((path) => disk.afterCrash(7).peek(path));
    expect(
      disk
        .afterCrash(7)
        .files()
        .map((path) => disk.afterCrash(7).peek(path)),
    ).toEqual(one);
    expect(disk.peek('/a').length).toBe(20 * PAGE_BYTES);
  });
});

describe('failures of the model disk', () => {
  test('a failed flush forgets what it was to flush: the next one succeeds without the data (W4)', async () => {
    let isArmed = true;
    const disk = new ModelDisk({ onCall: ({ kind }) => (kind === 'flush' && isArmed ? 'EIO' : undefined) });
    const file = await disk.open('/a', 'create');
    await disk.syncDirectory('/');
    await file.write(0, [page(1)]);
    await expect(file.flush()).rejects.toMatchObject({ code: 'IO' });
    isArmed = false;
    await file.write(PAGE_BYTES * 2, [page(2)]);
    await file.writeDurable(PAGE_BYTES, [page(3)]);
    expect(disk.peek('/a')[0]).toBe(1);
    expect(disk.afterCrash(1).peek('/a')[0]).toBe(0);
  });

  test('nothing answers once the power is cut, and the call it was cut in has begun', async () => {
    const disk = new ModelDisk({ onCall: ({ kind }) => (kind === 'write' ? 'stop' : undefined) });
    const file = await disk.open('/a', 'create');
    await disk.syncDirectory('/');
    let isAnswered = false;
    void file.write(0, [page(1)]).then(() => {
      isAnswered = true;
    });
    await disk.stopped;
    void disk.list('/').then(() => {
      isAnswered = true;
    });
    for (let i = 0; i < 50; i++) await Promise.resolve();
    expect(isAnswered).toBe(false);
    expect(states(disk, (after) => String(after.peek('/a').length))).toEqual(new Set(['0', '4096']));
  });

  test('a full disk takes the pages that fit, and no more', async () => {
    const disk = new ModelDisk({ capacityBytes: 2 * PAGE_BYTES });
    const file = await disk.open('/a', 'create');
    await expect(file.write(0, [page(1), page(2), page(3)])).rejects.toMatchObject({ code: 'FULL' });
    expect(disk.peek('/a').length).toBe(2 * PAGE_BYTES);
    await file.write(0, [page(4)]);
    expect((await disk.space('/')).freeBytes).toBe(0);
  });
});
