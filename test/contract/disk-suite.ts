/** What every Disk must do, whatever lies below it. Durability itself is judged by the model disk's crash tests. */
import { expect, test } from 'vitest';
import { CHUNKS_MAX, type Disk, joinPath } from '../../storage/disk.ts';
import { isStorageError, StorageError } from '../../storage/errors.ts';

export interface DiskUnderTest {
  readonly disk: Disk;
  /** An empty directory that exists. */
  readonly root: string;
}

function bytes(...values: number[]): Uint8Array {
  return new Uint8Array(values);
}

/** The operating system's code behind a StorageError. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return `${error.code} ${(error.cause as { code?: string } | undefined)?.code ?? ''}`.trim();
  }
  return 'no error';
}

async function contentOf(disk: Disk, path: string): Promise<number[]> {
  const file = await disk.open(path, 'read');
  try {
    const content = new Uint8Array(await file.bytes());
    expect(await file.read(0, content)).toBe(content.length);
    return [...content];
  } finally {
    await file.close();
  }
}

export function diskSuite(make: () => Promise<DiskUnderTest>): void {
  test('a file is created once, and opened only when it exists', async () => {
    const { disk, root } = await make();
    const path = joinPath(root, 'a');
    expect(await codeOf(disk.open(path, 'read'))).toBe('IO ENOENT');
    expect(await codeOf(disk.open(path, 'write'))).toBe('IO ENOENT');
    await (await disk.open(path, 'create')).close();
    expect(await codeOf(disk.open(path, 'create'))).toBe('IO EEXIST');
    await (await disk.open(path, 'write')).close();
    expect(await disk.stat(path)).toEqual({ kind: 'file', bytes: 0 });
    expect(await disk.stat(joinPath(root, 'b'))).toBeUndefined();
  });

  test('chunks are written back to back at their position, and holes read as zeros', async () => {
    const { disk, root } = await make();
    const path = joinPath(root, 'a');
    const file = await disk.open(path, 'create', 'durable-writes');
    await file.write(2, [bytes(1, 2), bytes(), bytes(3)]);
    await file.writeDurable(6, [bytes(4), bytes(5)]);
    await file.flush();
    expect(await contentOf(disk, path)).toEqual([0, 0, 1, 2, 3, 0, 4, 5]);
    await file.write(3, [bytes(9)]);
    expect(await contentOf(disk, path)).toEqual([0, 0, 1, 9, 3, 0, 4, 5]);
    await file.close();
  });

  test('a write takes as many chunks as one call of the system does, and a plain write any number', async () => {
    const { disk, root } = await make();
    const file = await disk.open(joinPath(root, 'a'), 'create');
    const many = Array.from({ length: CHUNKS_MAX }, (_, i) => bytes(i & 0xff));
    await file.writeDurable(0, many);
    await file.write(CHUNKS_MAX, [...many, bytes(7)]);
    expect(await file.bytes()).toBe(2 * CHUNKS_MAX + 1);
    await expect(file.writeDurable(0, [...many, bytes(7)])).rejects.toThrow(/chunks in one flush/);
    await file.close();
  });

  test('a read gives fewer bytes only at the end, and none behind it', async () => {
    const { disk, root } = await make();
    const file = await disk.open(joinPath(root, 'a'), 'create');
    await file.write(0, [bytes(1, 2, 3)]);
    const into = new Uint8Array(5).fill(8);
    expect(await file.read(1, into)).toBe(2);
    expect([...into]).toEqual([2, 3, 8, 8, 8]);
    expect(await file.read(3, into)).toBe(0);
    expect(await file.read(99, into)).toBe(0);
    await file.close();
  });

  test('a file that shrinks and grows again has zeros where it was cut', async () => {
    const { disk, root } = await make();
    const path = joinPath(root, 'a');
    const file = await disk.open(path, 'create');
    await file.write(0, [bytes(1, 2, 3, 4)]);
    await file.setBytes(2);
    await file.setBytes(5);
    expect(await contentOf(disk, path)).toEqual([1, 2, 0, 0, 0]);
    await file.setBytes(300_000);
    await file.write(299_999, [bytes(6)]);
    expect(await file.bytes()).toBe(300_000);
    await file.flush();
    await file.close();
  });

  test('chunks may be reused once a write has resolved', async () => {
    const { disk, root } = await make();
    const path = joinPath(root, 'a');
    const file = await disk.open(path, 'create');
    const chunk = bytes(1, 2);
    await file.write(0, [chunk]);
    chunk.fill(9);
    expect(await contentOf(disk, path)).toEqual([1, 2]);
    await file.close();
  });

  test('directories are made with their parents, listed in name order, and removed only when empty', async () => {
    const { disk, root } = await make();
    await disk.makeDirectory(joinPath(root, 'x/y'));
    await disk.makeDirectory(joinPath(root, 'x/y'));
    await (await disk.open(joinPath(root, 'x/b'), 'create')).close();
    await (await disk.open(joinPath(root, 'x/a'), 'create')).close();
    expect(await disk.list(joinPath(root, 'x'))).toEqual([
      { name: 'a', kind: 'file' },
      { name: 'b', kind: 'file' },
      { name: 'y', kind: 'directory' },
    ]);
    expect(await codeOf(disk.removeDirectory(joinPath(root, 'x')))).toBe('IO ENOTEMPTY');
    await disk.removeDirectory(joinPath(root, 'x/y'));
    expect(await disk.stat(joinPath(root, 'x/y'))).toBeUndefined();
    expect(await codeOf(disk.list(joinPath(root, 'x/y')))).toBe('IO ENOENT');
    expect(await codeOf(disk.open(joinPath(root, 'x/y/z'), 'create'))).toBe('IO ENOENT');
  });

  test('a rename replaces a file, keeps its content, and moves directories with what is in them', async () => {
    const { disk, root } = await make();
    for (const [name, value] of [
      ['old', 1],
      ['new', 2],
    ] as const) {
      const file = await disk.open(joinPath(root, name), 'create');
      await file.write(0, [bytes(value)]);
      await file.close();
    }
    await disk.rename(joinPath(root, 'new'), joinPath(root, 'old'));
    expect(await contentOf(disk, joinPath(root, 'old'))).toEqual([2]);
    expect(await disk.stat(joinPath(root, 'new'))).toBeUndefined();
    await disk.makeDirectory(joinPath(root, 'd.new'));
    await (await disk.open(joinPath(root, 'd.new/f'), 'create')).close();
    await disk.rename(joinPath(root, 'd.new'), joinPath(root, 'd'));
    expect(await disk.stat(joinPath(root, 'd/f'))).toEqual({ kind: 'file', bytes: 0 });
    expect(await codeOf(disk.rename(joinPath(root, 'none'), joinPath(root, 'other')))).toBe('IO ENOENT');
    await expect(disk.rename(joinPath(root, 'old'), joinPath(root, 'd/old'))).rejects.toThrow(/across directories/);
    await disk.syncDirectory(root);
  });

  test('a file that was removed goes on working for whoever has it open', async () => {
    const { disk, root } = await make();
    const path = joinPath(root, 'a');
    const file = await disk.open(path, 'create');
    await file.write(0, [bytes(1, 2)]);
    await disk.remove(path);
    expect(await disk.stat(path)).toBeUndefined();
    const into = new Uint8Array(2);
    expect(await file.read(0, into)).toBe(2);
    expect([...into]).toEqual([1, 2]);
    await file.close();
    expect(await codeOf(disk.remove(path))).toBe('IO ENOENT');
  });

  test('a lock is held once, names its holder, and can be taken again after it was given back', async () => {
    const { disk, root } = await make();
    const path = joinPath(root, 'lock');
    const lock = await disk.lock(path);
    const refused = await disk.lock(path).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StorageError);
    expect(refused).toMatchObject({ code: 'LOCKED', file: path, pid: process.pid });
    await lock.release();
    await (await disk.lock(path)).release();
  });

  test('space is told in bytes', async () => {
    const { disk, root } = await make();
    const { freeBytes, totalBytes } = await disk.space(root);
    expect(freeBytes).toBeGreaterThan(0);
    expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
  });
}
