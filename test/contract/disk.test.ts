/** One suite, three disks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { MemoryDisk, NodeDisk } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { diskSuite } from './disk-suite.ts';

const temporary: string[] = [];

afterAll(() => {
  for (const path of temporary) rmSync(path, { recursive: true });
});

describe('NodeDisk', () => {
  diskSuite(async () => {
    const root = mkdtempSync(join(tmpdir(), 'logdrive-disk-'));
    temporary.push(root);
    return { disk: new NodeDisk(), root };
  });
});

describe('MemoryDisk', () => {
  diskSuite(async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory('/root');
    return { disk, root: '/root' };
  });
});

describe('ModelDisk', () => {
  diskSuite(async () => {
    const disk = new ModelDisk();
    await disk.makeDirectory('/root');
    return { disk, root: '/root' };
  });
});
