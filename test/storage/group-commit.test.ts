/** The write queue: how many flushes things cost, what waits for what, and the frame that proves the last flush. */
import { describe, expect, test } from 'vitest';
import { ModelDisk } from '../support/model-disk.ts';
import {
  CLUSTER_ID,
  describeEntries,
  ManualTimers,
  nextEntries,
  openLog,
  readAll,
} from '../support/storage-fixture.ts';
import { holdCalls } from './support/hold-calls.ts';

const SMALL = { payloadBytes: 100 };

describe('group commit', () => {
  test('entries appended in one turn share one flush', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk);
    const before = disk.flushes;
    for (let i = 0; i < 20; i++) log.append(nextEntries(log, [SMALL]));
    await log.flush();
    expect(disk.flushes - before).toBe(1);
    expect(flushed).toEqual([{ term: 1, index: 20 }]);
  });

  test('what arrives while a flush is in flight is collected for the next: three flushes for a hundred appends', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk);
    const before = disk.count('writeDurable');
    log.append(nextEntries(log, [SMALL]));
    await disk.until(() => disk.count('writeDurable') > before);
    for (let i = 0; i < 98; i++) log.append(nextEntries(log, [SMALL]));
    await disk.until(() => disk.count('writeDurable') > before + 1);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    expect(disk.count('writeDurable') - before).toBe(3);
    expect(flushed.map((at) => at.index)).toEqual([1, 99, 100]);
  });

  test('a flush takes no more than its limit, one larger entry apart', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk, { flushBytesMax: 8192, segmentBytes: 1024 * 1024 });
    log.append(
      nextEntries(log, [{ payloadBytes: 20_000 }, ...Array.from({ length: 6 }, () => ({ payloadBytes: 3000 }))]),
    );
    await log.flush();
    expect(flushed.map((at) => at.index)).toEqual([1, 3, 5, 7]);
  });

  test('a thousand payloads too large to copy fit no single vectored write, and all arrive', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk, { flushBytesMax: 64 * 1024 * 1024, segmentBytes: 64 * 1024 * 1024 });
    const entries = nextEntries(
      log,
      Array.from({ length: 1000 }, () => ({ payloadBytes: 4500, seed: 1 })),
    );
    log.append(entries);
    await log.flush();
    expect(flushed.length).toBeGreaterThan(1);
    expect(describeEntries(await readAll(log, 1024 * 1024))).toEqual(describeEntries(entries));
  });

  test('entries are readable before they are flushed, and flushed is told only after the flush', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk);
    log.append(nextEntries(log, [SMALL, SMALL]));
    expect((await log.read(1, 10_000)).length).toBeGreaterThan(0);
    expect(log.lastIndex).toBe(2);
    await log.flush();
    expect(log.flushed).toEqual({ term: 1, index: 2 });
    expect(flushed).toEqual([{ term: 1, index: 2 }]);
  });

  test('no entry is written before a hard state that was accepted earlier is durable (W14)', async () => {
    const disk = new ModelDisk();
    const { log } = await openLog(disk);
    const held = holdCalls(disk, 'writeDurable', 'hard-state');
    const saving = log.saveHardState({ term: 5, votedFor: 'n3' });
    log.append(nextEntries(log, [{ term: 5, ...SMALL }]));
    const flushing = log.flush();
    await disk.until(() => held.waiting > 0);
    // Long enough for anything that does not wait to be written.
    for (let i = 0; i < 200; i++) await Promise.resolve();
    expect(held.begun.filter((path) => path.endsWith('.segment'))).toEqual([]);
    held.release();
    await saving;
    await flushing;
    const names = held.begun.map((path) => path.split('/').at(-1));
    expect(names).toEqual(['hard-state', 'hard-state', '0000000000000001.segment']);
  });

  test('nor before the next one, when both come while an earlier one is on its way (W14)', async () => {
    const disk = new ModelDisk();
    const { log } = await openLog(disk);
    const held = holdCalls(disk, 'writeDurable', 'hard-state');
    const saved: number[] = [];
    const save = (term: number): void => void log.saveHardState({ term, votedFor: 'n2' }).then(() => saved.push(term));
    save(1);
    log.append(nextEntries(log, [{ ...SMALL, term: 1 }]));
    await disk.until(() => held.waiting > 0);
    save(2);
    log.append(nextEntries(log, [{ ...SMALL, term: 2 }]));
    held.release();
    await disk.until(() => held.begun.some((path) => path.endsWith('.segment')));
    expect(saved).toEqual([1, 2]);
    await log.flush();
  });

  test('a hard state does not wait for a flush of entries in flight', async () => {
    const disk = new ModelDisk();
    const { log } = await openLog(disk);
    const held = holdCalls(disk, 'writeDurable', '.segment');
    log.append(nextEntries(log, [SMALL]));
    await disk.until(() => held.waiting > 0);
    await log.saveHardState({ term: 2, votedFor: 'n1' });
    expect(log.flushed.index).toBe(0);
    held.release();
    await log.flush();
    expect(log.flushed.index).toBe(1);
  });

  test('a snapshot is not written before the entries it covers are flushed', async () => {
    const disk = new ModelDisk();
    const { log } = await openLog(disk);
    const held = holdCalls(disk, 'writeDurable', '.segment');
    log.append(nextEntries(log, [SMALL]));
    const { lastIndex: index, lastTerm: term, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
    const saving = log.saveSnapshot({ index, term, nextOffset: 0, appendTimeMs, chain, state: new Uint8Array(5) });
    await disk.until(() => held.waiting > 0);
    for (let i = 0; i < 200; i++) await Promise.resolve();
    const snapshots = () => disk.files().filter((path) => path.includes('snapshot-'));
    expect(snapshots()).toEqual([]);
    held.release();
    await saving;
    expect(snapshots()).toHaveLength(1);
  });

  test('a cut during a flush: what it wrote behind the cut is not called flushed, nor is what replaces it', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk);
    const before = disk.count('writeDurable');
    log.append(nextEntries(log, [SMALL, SMALL, SMALL]));
    await disk.until(() => disk.count('writeDurable') > before);
    log.truncateSuffix(2);
    log.append(nextEntries(log, [{ term: 9, ...SMALL }]));
    await log.flush();
    expect(flushed).toEqual([
      { term: 1, index: 1 },
      { term: 9, index: 2 },
    ]);
    const again = await openLog(disk.afterCrash(1));
    expect(again.log.termRuns()).toEqual([
      { term: 1, lastIndex: 1 },
      { term: 9, lastIndex: 2 },
    ]);
  });

  test('a cut of what was only collected writes nothing', async () => {
    const disk = new ModelDisk();
    const { log, flushed } = await openLog(disk);
    log.append(nextEntries(log, [SMALL, SMALL, SMALL]));
    log.truncateSuffix(2);
    const before = disk.flushes;
    await log.flush();
    expect(disk.flushes - before).toBe(1);
    expect(flushed).toEqual([{ term: 1, index: 1 }]);
  });

  test('a cut at or below the commit hint is a broken invariant (W18)', async () => {
    const { log } = await openLog(new ModelDisk());
    log.append(nextEntries(log, [SMALL, SMALL]));
    log.setCommitHint(1);
    expect(() => log.truncateSuffix(1)).toThrow(/known committed up to 1/);
    log.truncateSuffix(2);
    expect(log.lastIndex).toBe(1);
  });
});

describe('the proving frame', () => {
  test('follows a flush without a successor, once, and costs nothing while flushes follow each other', async () => {
    const disk = new ModelDisk();
    const { log, timers } = await openLog(disk);
    const before = disk.count('writeDurable');
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    expect(disk.count('writeDurable') - before).toBe(2);
    await disk.until(() => timers.pending > 0);
    timers.fire();
    await disk.until(() => disk.count('writeDurable') - before === 3);
    await log.flush();
    await log.flush();
    expect(timers.pending).toBe(0);
    await log.flush();
    expect(disk.count('writeDurable') - before).toBe(3);
  });

  test('is put off once while other logs flush, and left out when the next flush comes first', async () => {
    const disk = new ModelDisk();
    const { directory, log, timers } = await openLog(disk);
    const options = { timers: new ManualTimers(), clusterId: CLUSTER_ID, onFlushed: () => undefined };
    const other = await directory.openLog(2, options);
    const flushTo = async (to: typeof log, times: number): Promise<void> => {
      for (let left = times; left > 0; left--) {
        to.append(nextEntries(to, [SMALL]));
        await to.flush();
      }
    };
    const before = disk.count('writeDurable');
    for (let appends = 0; appends < 5; appends++) {
      await flushTo(log, 1);
      await disk.until(() => timers.pending > 0);
      expect(timers.delaysMs).toEqual([20]);
      await flushTo(other, 3);
      timers.fire();
      expect(timers.delaysMs).toEqual([480]);
    }
    // One flush an append, and none for a proof, of two logs.
    expect(disk.count('writeDurable') - before).toBe(5 + 15);
    await flushTo(other, 3);
    timers.fire();
    await disk.until(() => disk.count('writeDurable') - before === 5 + 18 + 1);
    expect(timers.pending).toBe(0);
  });

  test('is not put off by a few flushes of others', async () => {
    const disk = new ModelDisk();
    const { log, timers } = await openLog(disk);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    const before = disk.count('writeDurable');
    await disk.until(() => timers.pending > 0);
    timers.fire();
    await disk.until(() => disk.count('writeDurable') - before === 1);
  });

  test('is written at a close, and makes damage of what would else be a torn end', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    const unproven = disk.afterCrash(1);
    await directory.close();
    const spoil = (bytes: Uint8Array) => bytes.map((byte, at) => (at === 4096 + 96 + 96 + 5 ? byte ^ 1 : byte));
    const path = '/data/logs/0000000001/0000000000000001.segment';
    unproven.damage(path, spoil);
    expect((await openLog(unproven)).log.lastIndex).toBe(0);
    const proven = disk.afterCrash(1);
    proven.damage(path, spoil);
    const opened = await openLog(proven);
    expect(opened.log.lastIndex).toBe(1);
    expect(opened.log.damage).toMatchObject([{ firstIndex: 1, lastIndex: 1, where: 'tail' }]);
  });
});
