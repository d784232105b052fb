/** What all logs of a data directory share: the flush scheduler, the open files. */
import { describe, expect, test } from 'vitest';
import { FlushScheduler } from '../../storage/flush-scheduler.ts';
import { HandleCache } from '../../storage/handle-cache.ts';
import { MemoryDisk, StorageError } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';

/** Work that ends when it is told to. */
function held(): { started: string[]; run(name: string): () => Promise<string>; finish(name: string): Promise<void> } {
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    started,
    run: (name) => () => {
      started.push(name);
      return new Promise((resolve) => ends.set(name, () => resolve(name)));
    },
    finish: async (name) => {
      ends.get(name)!();
      for (let i = 0; i < 10; i++) await Promise.resolve();
    },
  };
}

describe('the flush scheduler', () => {
  test('runs no more at once than it may, hard states first, else in order', async () => {
    const scheduler = new FlushScheduler(2);
    const { started, run, finish } = held();
    const results = ['a', 'b', 'c', 'd'].map((name) => scheduler.run('entries', run(name)));
    for (const vote of ['vote', 'vote 2']) results.push(scheduler.run('hard-state', run(vote)));
    await Promise.resolve();
    // One hard state never waits for a place: those that hold one may hang.
    expect(started).toEqual(['a', 'b', 'vote']);
    await finish('b');
    expect(started).toEqual(['a', 'b', 'vote']);
    await finish('vote');
    expect(started).toEqual(['a', 'b', 'vote', 'vote 2']);
    await finish('a');
    expect(started).toEqual(['a', 'b', 'vote', 'vote 2', 'c']);
    await finish('vote 2');
    expect(started).toEqual(['a', 'b', 'vote', 'vote 2', 'c', 'd']);
    expect(scheduler.inFlight).toBe(2);
    await finish('c');
    await finish('d');
    expect(await Promise.all(results)).toEqual(['a', 'b', 'c', 'd', 'vote', 'vote 2']);
    expect(scheduler.inFlight).toBe(0);
  });

  test('knows the flush that is under way longest, whole files left out', async () => {
    const scheduler = new FlushScheduler(3);
    const { run, finish } = held();
    const results = [scheduler.run('files', run('snapshot')), scheduler.run('entries', run('a'))];
    results.push(scheduler.run('hard-state', run('vote')));
    await Promise.resolve();
    const oldest = scheduler.oldest;
    expect(oldest).toBeDefined();
    await finish('vote');
    expect(scheduler.oldest).toBe(oldest);
    await finish('a');
    expect(scheduler.oldest).toBeUndefined();
    await finish('snapshot');
    await Promise.all(results);
  });

  test('a failed flush gives its place on', async () => {
    const scheduler = new FlushScheduler(1);
    const failed = scheduler.run('entries', () => Promise.reject(new Error('disk')));
    const next = scheduler.run('entries', async () => 'next');
    await expect(failed).rejects.toThrow('disk');
    expect(await next).toBe('next');
  });
});

describe('open files', () => {
  async function diskWith(names: readonly string[]): Promise<{ disk: ModelDisk; open: () => number }> {
    const disk = new ModelDisk();
    await disk.makeDirectory('/d');
    for (const name of names) await (await disk.open(`/d/${name}`, 'create')).close();
    const before = disk.count('open') - disk.count('close');
    return { disk, open: () => disk.count('open') - disk.count('close') - before };
  }

  test('are kept up to a cap; the one that was used longest ago is closed', async () => {
    const { disk, open } = await diskWith(['a', 'b', 'c']);
    const cache = new HandleCache(disk, 2);
    const use = (name: string) => cache.use(`/d/${name}`, (file) => file.bytes());
    for (const name of ['a', 'b', 'a', 'c', 'a']) await use(name);
    await Promise.resolve();
    expect(cache.size).toBe(2);
    expect(open()).toBe(2);
    const opened = disk.count('open');
    await use('a');
    expect(disk.count('open')).toBe(opened);
    await use('b');
    expect(disk.count('open')).toBe(opened + 1);
    await cache.closeAll();
    expect(open()).toBe(0);
  });

  test('in use are not closed, also when dropped, until the last reader is done', async () => {
    const { disk, open } = await diskWith(['a', 'b']);
    const cache = new HandleCache(disk, 1);
    let finish: () => void = () => undefined;
    const reading = cache.use('/d/a', async (file) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return file.bytes();
    });
    await cache.use('/d/b', (file) => file.bytes());
    await cache.drop('/d/a');
    finish();
    expect(await reading).toBe(0);
    await cache.closeAll();
    expect(open()).toBe(0);
  });

  test('a failed open is not remembered', async () => {
    const { disk } = await diskWith([]);
    const cache = new HandleCache(disk, 4);
    await expect(cache.use('/d/a', (file) => file.bytes())).rejects.toMatchObject({ code: 'IO' });
    await (await disk.open('/d/a', 'create')).close();
    expect(await cache.use('/d/a', (file) => file.bytes())).toBe(0);
  });
});

describe('too many open files', () => {
  test('are answered by giving up the handles that nobody uses, once', async () => {
    let free = 3;
    const disk = new MemoryDisk();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await (await disk.open(`/${name}`, 'create')).close();
    const open = disk.open.bind(disk);
    const cause = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
    disk.open = async (path, mode) => {
      if (free === 0) throw new StorageError('IO', 'open failed', { file: path, cause });
      free--;
      const file = await open(path, mode);
      file.close = async () => void free++;
      return file;
    };
    const handles = new HandleCache(disk, 100);
    for (const name of ['a', 'b', 'c', 'd', 'e']) await handles.use(`/${name}`, (file) => file.bytes());
    expect(handles.size).toBeLessThanOrEqual(3);
    // All of them in use: nothing is left to give up, and the failure is the caller's; it is not remembered.
    const nested = handles.use('/a', () =>
      handles.use('/b', () => handles.use('/c', () => handles.use('/d', (file) => file.bytes()))),
    );
    await expect(nested).rejects.toMatchObject({ code: 'IO', cause: { code: 'EMFILE' } });
    expect(await handles.use('/d', (file) => file.bytes())).toBe(0);
  });
});
