/** The write queue: how many flushes things cost, what waits for what, and what happens when a flush fails. */
import { describe, expect, test } from 'vitest';
import type { StorageError } from '../../storage/index.ts';
import { type Call, type CallOutcome, ModelDisk } from '../support/model-disk.ts';
import {
  CLUSTER_ID,
  describeEntries,
  ManualTimers,
  nextEntries,
  type Opened,
  openLog,
  readAll,
} from '../support/storage-fixture.ts';

const SMALL = { payloadBytes: 100 };

/** Keeps calls of a kind on paths that end so from beginning, until they are released. */
function holdCalls(
  disk: ModelDisk,
  held: Call['kind'],
  suffix: string,
): { waiting: number; begun: string[]; release(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const calls = { waiting: 0, begun: [] as string[], release: () => open() };
  const enter = disk.enter.bind(disk);
  disk.enter = async (kind, path, begin) => {
    if (kind === held && path.endsWith(suffix)) {
      calls.waiting++;
      await opened;
    }
    if (kind === held) calls.begun.push(path);
    return enter(kind, path, begin);
  };
  return calls;
}

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

describe('a failed flush', () => {
  function failing(kind: Call['kind'], outcome: CallOutcome): { disk: ModelDisk; arm(): void } {
    let isArmed = false;
    const disk = new ModelDisk({
      onCall: (call) => {
        if (!isArmed || call.kind !== kind) return undefined;
        isArmed = false;
        return outcome;
      },
    });
    return {
      disk,
      arm: () => {
        isArmed = true;
      },
    };
  }

  test('ends the log: told once, never retried, nothing more is acknowledged (W4)', async () => {
    const { disk, arm } = failing('writeDurable', 'EIO');
    const { log, fatal, flushed } = await openLog(disk);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    arm();
    log.append(nextEntries(log, [SMALL]));
    const calls = disk.calls;
    await expect(log.flush()).rejects.toMatchObject({ code: 'FLUSH_FAILED' });
    expect(disk.calls - calls).toBeLessThanOrEqual(2);
    expect(fatal.map((error) => error.code)).toEqual(['FLUSH_FAILED']);
    expect(flushed.at(-1)).toEqual({ term: 1, index: 1 });
    expect(() => log.append(nextEntries(log, [SMALL]))).toThrow(/writing the log failed/);
    await expect(log.roll()).rejects.toMatchObject({ code: 'FLUSH_FAILED' });
  });

  test('of a hard state ends the log as well', async () => {
    const { disk, arm } = failing('writeDurable', 'EIO');
    const { log, fatal } = await openLog(disk);
    arm();
    await expect(log.saveHardState({ term: 1, votedFor: 'n1' })).rejects.toMatchObject({ code: 'IO' });
    expect(fatal).toHaveLength(1);
    expect(() => log.append(nextEntries(log, [SMALL]))).toThrow();
  });

  test('of each call that makes things durable, during all kinds of work, is fatal and loses nothing told', async () => {
    for (const kind of ['flush', 'syncDirectory', 'writeDurable', 'rename', 'setBytes'] as const) {
      for (let nth = 1; nth <= 6; nth++) {
        let seen = 0;
        let isArmed = false;
        const disk = new ModelDisk({
          onCall: (call) => (isArmed && call.kind === kind && ++seen === nth ? 'EIO' : undefined),
        });
        const { log, fatal, flushed } = await openLog(disk, { segmentBytes: 8192 });
        isArmed = true;
        const failures: StorageError[] = [];
        const attempt = (work: Promise<unknown>) => work.catch((error: StorageError) => void failures.push(error));
        try {
          for (let i = 0; i < 4; i++) {
            log.append(nextEntries(log, [{ payloadBytes: 3000 }, SMALL]));
            await attempt(log.flush());
            await attempt(log.roll());
          }
          log.truncateSuffix(6);
          await attempt(log.flush());
        } catch (error) {
          failures.push(error as StorageError);
        }
        if (seen < nth) continue;
        expect(fatal, `${kind} ${nth}`).toHaveLength(1);
        expect(failures[0]?.code).toBe('FLUSH_FAILED');
        const told = flushed.reduce((most, at) => Math.max(most, at.index), 0);
        const again = await openLog(disk.afterCrash(nth), { segmentBytes: 8192 });
        expect(again.log.lastIndex, `${kind} ${nth}`).toBeGreaterThanOrEqual(Math.min(told, 5));
      }
    }
  });

  test.each([
    ['the frame that proves the end', 'writeDurable'],
    ['the cut of what is not used', 'setBytes'],
  ] as const)('at a close ends the log too, and the log is closed: %s', async (_what, kind) => {
    const { disk, arm } = failing(kind, 'EIO');
    const { log, directory, fatal } = await openLog(disk);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    arm();
    await expect(log.close()).rejects.toMatchObject({ code: 'FLUSH_FAILED' });
    expect(fatal.map((error) => error.code)).toEqual(['FLUSH_FAILED']);
    // Its owner lives on where the process does, as in a test: the files are free.
    await directory.removeLog(1);
    expect(await directory.groups()).toEqual([]);
  });

  test('of the standing of a log that was just made leaves no log behind', async () => {
    const { disk, arm } = failing('rename', 'ENOSPC');
    const { directory, log } = await openLog(disk);
    const rename = disk.rename.bind(disk);
    disk.rename = (from, to) => {
      if (to.includes('/standing/')) arm();
      return rename(from, to);
    };
    const timers = new ManualTimers();
    const options = { timers, clusterId: CLUSTER_ID, onFlushed: () => undefined };
    await expect(directory.openLog(2, options)).rejects.toMatchObject({ code: 'FULL' });
    expect(timers.pending).toBe(0);
    disk.rename = rename;
    const again = await directory.openLog(2, options);
    expect(again.lastIndex).toBe(0);
    await log.close();
  });
});

describe('a full disk', () => {
  test('refuses appends, keeps what was accepted, and goes on by itself when there is space', async () => {
    const disk = new ModelDisk();
    const events: string[] = [];
    const { log, timers, fatal } = await openLog(disk, {
      segmentBytes: 1024 * 1024,
      onFull: () => events.push('full'),
      onSpace: () => events.push('space'),
    });
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    disk.capacityBytes = disk.usedBytes() + 8192;
    const entries = nextEntries(log, [SMALL, { payloadBytes: 100_000 }]);
    log.append(entries);
    const flushing = log.flush();
    await disk.until(() => events.length > 0);
    expect(events).toEqual(['full']);
    expect(() => log.append(nextEntries(log, [SMALL]))).toThrow(expect.objectContaining({ code: 'FULL' }));
    expect(log.flushed.index).toBe(1);
    expect(describeEntries(await readAll(log)).slice(1)).toEqual(describeEntries(entries));
    // Stopped here, nothing acknowledged is lost and nothing half-written is believed.
    for (let seed = 0; seed < 8; seed++) {
      const stopped = disk.afterCrash(seed);
      stopped.capacityBytes = Number.MAX_SAFE_INTEGER;
      expect((await openLog(stopped)).log.lastIndex).toBe(1);
    }
    timers.fire();
    await disk.until(() => timers.pending > 0);
    expect(events).toEqual(['full']);
    disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    timers.fire();
    await flushing;
    await disk.until(() => events.length > 1);
    expect(events).toEqual(['full', 'space']);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    expect(fatal).toEqual([]);
    expect((await openLog(disk.afterCrash(1))).log.lastIndex).toBe(4);
  });

  test('in whatever call it shows, is never fatal, and everything accepted arrives in the end', async () => {
    for (let nth = 1; nth <= 40; nth++) {
      let seen = 0;
      let isArmed = false;
      const disk = new ModelDisk({
        onCall: ({ kind }) => {
          const takesSpace = kind === 'write' || kind === 'writeDurable' || kind === 'setBytes' || kind === 'rename';
          return isArmed && takesSpace && ++seen === nth ? 'ENOSPC' : undefined;
        },
      });
      const { log, timers, fatal } = await openLog(disk, { segmentBytes: 8192 });
      isArmed = true;
      let accepted = 0;
      for (let i = 0; i < 6; i++) {
        const count = await appendWhenOpen(disk, timers, () => {
          if (i === 3) log.truncateSuffix(log.lastIndex);
          log.append(nextEntries(log, [{ payloadBytes: 3000 }, SMALL]));
          return log.lastIndex;
        });
        accepted = count;
        const flushing = log.flush().then(() => true);
        let isDone = false;
        void flushing.then(() => {
          isDone = true;
        });
        await disk.until(() => {
          timers.fire();
          return isDone;
        });
      }
      expect(fatal, `call ${nth}`).toEqual([]);
      const again = await openLog(disk.afterCrash(nth), { segmentBytes: 8192 });
      expect(again.log.lastIndex, `call ${nth}`).toBe(accepted);
      if (seen < nth) break;
    }
  });

  test('fails a snapshot alone, and gives back the space it took', async () => {
    const disk = new ModelDisk();
    const { log, fatal } = await openLog(disk);
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    const { lastIndex: index, lastTerm: term, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
    const used = disk.usedBytes();
    disk.capacityBytes = used + 40_000;
    const snapshot = { index, term, nextOffset: 0, appendTimeMs, chain, state: new Uint8Array(100_000).fill(1) };
    await expect(log.saveSnapshot(snapshot)).rejects.toMatchObject({ code: 'FULL' });
    expect(disk.usedBytes()).toBe(used);
    expect(log.latestSnapshot).toBeUndefined();
    disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    await log.saveSnapshot(snapshot);
    expect(log.latestSnapshot?.index).toBe(index);
    expect(fatal).toEqual([]);
  });

  test('still lets the prefix be trimmed: the reserve pays for the manifest', async () => {
    const disk = new ModelDisk();
    const { log, timers } = await openLog(disk, { segmentBytes: 256 * 1024 });
    log.append(nextEntries(log, [{ payloadBytes: 200_000 }]));
    const { index, term } = await log.roll();
    const point = { nextOffset: 0, appendTimeMs: log.lastAppendTimeMs, chain: log.lastChain };
    await log.saveSnapshot({ index, term, ...point, state: new Uint8Array(10) });
    disk.capacityBytes = disk.usedBytes();
    log.append(nextEntries(log, [{ payloadBytes: 50_000 }]));
    void log.flush();
    await disk.until(() => {
      try {
        log.append([]);
        log.append(nextEntries(log, [SMALL]));
        return false;
      } catch {
        return true;
      }
    });
    expect(await log.trimPrefix(index + 1)).toBe(index + 1);
    timers.fire();
    await log.flush();
    expect(log.firstIndex).toBe(2);
  });
});

/** Appends once the log takes entries again; fires the timers that let it look for space. */
async function appendWhenOpen<T>(disk: ModelDisk, timers: { fire(): void }, append: () => T): Promise<T> {
  let result: T | undefined;
  await disk.until(() => {
    try {
      result = append();
      return true;
    } catch (error) {
      if ((error as { code?: string }).code !== 'FULL') throw error;
      timers.fire();
      return false;
    }
  });
  return result!;
}

describe('a trim on a full disk', () => {
  test('that is asked for while a step is being tried again waits for that step alone', async () => {
    const disk = new ModelDisk();
    const { log, timers, fatal } = await openLog(disk, { segmentBytes: 256 * 1024 });
    log.append(nextEntries(log, [{ payloadBytes: 200_000 }]));
    const { index, term } = await log.roll();
    const point = { nextOffset: 0, appendTimeMs: log.lastAppendTimeMs, chain: log.lastChain };
    await log.saveSnapshot({ index, term, ...point, state: new Uint8Array(10) });
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    disk.capacityBytes = disk.usedBytes();
    const rolling = log.roll();
    await disk.until(() => timers.pending > 0);
    disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    const held = holdCalls(disk, 'rename', '');
    timers.fire();
    await disk.until(() => held.waiting > 0);
    const trimming = log.trimPrefix(index + 1);
    held.release();
    await rolling;
    expect(await trimming).toBe(index + 1);
    expect(fatal).toEqual([]);
  });
});

describe('a disk that takes no writes for now', () => {
  const CHANGES: readonly Call['kind'][] = ['write', 'writeDurable', 'setBytes', 'flush', 'rename', 'remove'];

  async function readOnly(): Promise<Opened & { disk: ModelDisk; events: string[]; setReadOnly(is: boolean): void }> {
    let isReadOnly = false;
    const disk = new ModelDisk({
      onCall: ({ kind }) => (isReadOnly && CHANGES.includes(kind) ? 'EROFS' : undefined),
    });
    const events: string[] = [];
    const opened = await openLog(disk, {
      onFull: (cause) => events.push(cause.message.split(' in ')[0]!),
      onSpace: () => events.push('space'),
    });
    opened.log.append(nextEntries(opened.log, [SMALL]));
    await opened.log.flush();
    const setReadOnly = (is: boolean): void => {
      isReadOnly = is;
    };
    return { ...opened, disk, events, setReadOnly };
  }

  test('is not even cut to what is flushed: that comes first when it takes them again', async () => {
    const { log, disk, events, timers, fatal, setReadOnly } = await readOnly();
    setReadOnly(true);
    log.append(nextEntries(log, [SMALL, SMALL]));
    const flushing = log.flush();
    await disk.until(() => events.length > 0);
    for (let attempt = 0; attempt < 3; attempt++) {
      await disk.until(() => timers.pending > 0);
      timers.fire();
    }
    expect([events, log.flushed.index, fatal]).toEqual([['writeDurable failed: EROFS'], 1, []]);
    const cuts = disk.count('setBytes');
    setReadOnly(false);
    await disk.until(() => timers.pending > 0);
    timers.fire();
    await flushing;
    expect(disk.count('setBytes')).toBeGreaterThan(cuts);
    await disk.until(() => events.length > 1);
    expect(events.at(-1)).toBe('space');
    expect((await openLog(disk.afterCrash(1))).log.lastIndex).toBe(3);
  });

  test('keeps a vote waiting, and the entries of its term with it, until both can be kept', async () => {
    const { log, disk, events, timers, fatal, setReadOnly } = await readOnly();
    setReadOnly(true);
    const vote = { term: 7, votedFor: 'n2' };
    let isKept = false;
    const saving = log.saveHardState(vote).then(() => {
      isKept = true;
    });
    await disk.until(() => events.length > 0);
    log.append(nextEntries(log, [{ ...SMALL, term: 7 }]));
    const flushing = log.flush();
    for (let attempt = 0; attempt < 3; attempt++) {
      await disk.until(() => timers.pending > 0);
      timers.fire();
    }
    expect([isKept, events, log.flushed.index, fatal]).toEqual([false, ['writeDurable failed: EROFS'], 1, []]);
    expect((await openLog(disk.afterCrash(1))).log.hardState.term).toBe(0);
    setReadOnly(false);
    await disk.until(() => timers.pending > 0);
    timers.fire();
    await saving;
    await flushing;
    expect(events.at(-1)).toBe('space');
    const next = (await openLog(disk.afterCrash(1))).log;
    expect([next.hardState, next.lastIndex]).toEqual([vote, 2]);
  });

  test.each(['a vote', 'entries', 'nothing'])('does not keep a log from being closed while %s waits', async (what) => {
    const { log, disk, events, timers, fatal, directory, setReadOnly } = await readOnly();
    setReadOnly(true);
    const failures: unknown[] = [];
    const caught = (error: unknown): void => void failures.push(error);
    if (what === 'a vote') log.saveHardState({ term: 7, votedFor: 'n2' }).catch(caught);
    if (what === 'entries') log.append(nextEntries(log, [SMALL]));
    if (what !== 'nothing') await disk.until(() => events.length > 0);
    await log.close();
    await directory.close();
    expect([failures.length, fatal, timers.pending]).toEqual([what === 'a vote' ? 1 : 0, [], 0]);
    setReadOnly(false);
    expect((await openLog(disk.afterCrash(1))).log.lastIndex).toBe(1);
  });
});
