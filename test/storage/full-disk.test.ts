/**
 * Disks without room, or that take no writes for a while: never fatal, and what was accepted is kept and goes on by
 * itself.
 */
import { describe, expect, test } from 'vitest';
import { StorageError } from '../../storage/index.ts';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { describeEntries, nextEntries, type Opened, openLog, readAll } from '../support/storage-fixture.ts';
import { holdCalls } from './support/hold-calls.ts';

const SMALL = { payloadBytes: 100 };

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
  /** A log whose first segment may go, with an entry behind it. */
  async function sealedLog(): Promise<Opened & { disk: ModelDisk; index: number; full: unknown[] }> {
    const disk = new ModelDisk();
    const full: unknown[] = [];
    const onFull = (cause: unknown): void => void full.push(cause);
    const opened = await openLog(disk, { segmentBytes: 256 * 1024, onFull });
    const { log } = opened;
    log.append(nextEntries(log, [{ payloadBytes: 200_000 }]));
    const { index, term } = await log.roll();
    const point = { nextOffset: 0, appendTimeMs: log.lastAppendTimeMs, chain: log.lastChain };
    await log.saveSnapshot({ index, term, ...point, state: new Uint8Array(10) });
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    return { ...opened, disk, index, full };
  }

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

  test('that was asked for before the disk was found full is made all the same', async () => {
    const { disk, log, index, timers, full } = await sealedLog();
    const held = holdCalls(disk, 'writeDurable', '.segment');
    log.append(nextEntries(log, [{ payloadBytes: 50_000 }]));
    log.flush().catch(() => undefined);
    await disk.until(() => held.waiting > 0);
    const trimming = log.trimPrefix(index + 1);
    disk.capacityBytes = disk.usedBytes();
    held.release();
    await disk.until(() => full.length > 0 && timers.pending > 0);
    timers.fire();
    expect(await trimming).toBe(index + 1);
  });

  test('does not wait for a cut that finds no room', async () => {
    const { disk, log, index, timers, full } = await sealedLog();
    disk.capacityBytes = disk.usedBytes();
    log.truncateSuffix(log.lastIndex);
    await disk.until(() => full.length > 0 && timers.pending > 0);
    expect(await log.trimPrefix(index + 1)).toBe(index + 1);
    expect(log.firstIndex).toBe(index + 1);
    await appendWhenOpen(disk, timers, () => log.append(nextEntries(log, [SMALL])));
    await log.flush();
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

/** Too many files are open in this process: what needs another one waits as on a full disk, and nothing ends. */
describe('no handle to spare', () => {
  function outOfHandles(): Error {
    const cause = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
    return new StorageError('IO', 'open failed: EMFILE', { cause });
  }

  /** A log of four entries, and a switch for a disk that opens nothing any more. */
  async function opened(): Promise<Opened & { disk: ModelDisk; full: unknown[]; setOut(isOut: boolean): void }> {
    const disk = new ModelDisk();
    let isOut = false;
    const enter = disk.enter.bind(disk);
    disk.enter = (kind, path, begin) =>
      isOut && kind === 'open' ? Promise.reject(outOfHandles()) : enter(kind, path, begin);
    const full: unknown[] = [];
    const log = await openLog(disk, { onFull: (cause) => full.push(cause) });
    log.log.append(nextEntries(log.log, [SMALL, SMALL, SMALL, SMALL]));
    await log.log.flush();
    const setOut = (is: boolean): void => {
      isOut = is;
    };
    return { ...log, disk, full, setOut };
  }

  test('a cut waits for the file in which it looks for its place', async () => {
    const { log, disk, timers, fatal, full, setOut } = await opened();
    setOut(true);
    log.truncateSuffix(3);
    await disk.until(() => full.length > 0 && timers.pending > 0);
    setOut(false);
    await appendWhenOpen(disk, timers, () => log.append(nextEntries(log, [{ ...SMALL, term: 2 }])));
    await log.flush();
    expect([log.lastIndex, (await readAll(log)).length, fatal]).toEqual([3, 3, []]);
  });

  test('a snapshot that cannot be read back fails alone', async () => {
    const { log, disk, fatal, setOut } = await opened();
    const { lastIndex: index, lastTerm: term, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
    const snapshot = { index, term, nextOffset: 0, appendTimeMs, chain, state: new Uint8Array(100) };
    const renames = disk.count('rename');
    const saving = expect(log.saveSnapshot(snapshot)).rejects.toMatchObject({ cause: { code: 'EMFILE' } });
    await disk.until(() => disk.count('rename') > renames);
    setOut(true);
    await saving;
    expect([log.latestSnapshot, fatal]).toEqual([undefined, []]);
    setOut(false);
    await log.saveSnapshot(snapshot);
    expect(log.latestSnapshot?.index).toBe(index);
  });
});
