/** The disk without a disk: what it holds, and where it ends. */
import { describe, expect, test } from 'vitest';
import { MemoryDisk } from '../../storage/index.ts';

const KiB = 1024;

describe('MemoryDisk', () => {
  test('is FULL at its capacity, and has room again for what was removed or cut', async () => {
    const disk = new MemoryDisk({ capacityBytes: 1024 * KiB });
    const a = await disk.open('/a', 'create');
    await a.write(0, [new Uint8Array(1024 * KiB)]);
    expect((await disk.space('/')).freeBytes).toBe(0);
    const b = await disk.open('/b', 'create');
    await expect(b.write(0, [new Uint8Array(1)])).rejects.toMatchObject({ code: 'FULL' });
    await a.setBytes(256 * KiB);
    await b.write(0, [new Uint8Array(700 * KiB)]);
    await disk.remove('/b');
    expect((await disk.space('/')).freeBytes).toBe(768 * KiB);
    // Whoever still has the removed file open neither takes space nor gives it back twice.
    await b.write(0, [new Uint8Array(10)]);
    await b.setBytes(0);
    expect((await disk.space('/')).freeBytes).toBe(768 * KiB);
  });

  test('a file that was grown and not written takes no memory, and reads as zeros', async () => {
    const disk = new MemoryDisk({ capacityBytes: 1024 * KiB });
    const file = await disk.open('/a', 'create');
    await file.setBytes(64 * 1024 * KiB);
    await file.write(10 * 1024 * KiB - 1, [new Uint8Array([1, 2])]);
    const into = new Uint8Array(4).fill(9);
    expect(await file.read(10 * 1024 * KiB - 2, into)).toBe(4);
    expect([...into]).toEqual([0, 1, 2, 0]);
    expect((await disk.space('/')).freeBytes).toBe(512 * KiB);
  });

  test('a file that was replaced by a rename gives its space back', async () => {
    const disk = new MemoryDisk({ capacityBytes: 1024 * KiB });
    for (const name of ['/a', '/b']) await (await disk.open(name, 'create')).write(0, [new Uint8Array(10)]);
    await disk.rename('/b', '/a');
    expect((await disk.space('/')).freeBytes).toBe(768 * KiB);
  });
});
