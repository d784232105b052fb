/**
 * File systems that copy on write need room to remove a file too, and say so (ZFS at its quota, btrfs when full). What
 * is no longer listed is of no use by then, and what is listed is all there is.
 */
import { expect, test } from 'vitest';
import { type LogEntry, StorageError } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { describeEntries, nextEntries, type Opened, openLog, readAll } from '../support/storage-fixture.ts';

const SEGMENT_BYTES = 16 * 1024;

interface Kept extends Opened {
  readonly disk: ModelDisk;
  readonly whole: readonly LogEntry[];
  /** Whether nothing can be removed. */
  setFull(isFull: boolean): void;
  segmentFiles(): number;
}

/** Two sealed segments and an active one, the first two entries of which are on either side of a frame. */
async function filled(): Promise<Kept> {
  let isFull = false;
  const disk = new ModelDisk({ onCall: ({ kind }) => (isFull && kind === 'remove' ? 'EDQUOT' : undefined) });
  const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
  const { log } = opened;
  for (let segment = 0; segment < 3; segment++) {
    for (let entry = 0; entry < 2; entry++) {
      log.append(nextEntries(log, [{ payloadBytes: 300, records: 2 }]));
      await log.flush();
    }
    log.setCommitHint(log.lastIndex);
    if (segment === 2) continue;
    const { index, term } = await log.roll();
    const { nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
    await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: new Uint8Array(10) });
  }
  const setFull = (is: boolean): void => {
    isFull = is;
  };
  const segmentFiles = (): number => disk.files().filter((path) => path.endsWith('.segment')).length;
  return { ...opened, disk, whole: await readAll(log), setFull, segmentFiles };
}

const CHANGES: Record<string, (log: Opened['log'], whole: readonly LogEntry[]) => Promise<unknown>> = {
  'sealed segments are rewritten': (log) =>
    log.rewrite(1, 4, { keep: ({ payload }) => payload, pace: async () => undefined }),
  'the active segment is rewritten': (log, whole) =>
    log.rewrite(6, 6, {
      ...{ keep: ({ payload }) => payload, pace: async () => undefined },
      supply: async (index) => whole[index - 1],
    }),
  'the prefix is trimmed': (log) => log.trimPrefix(3),
  'the end is cut': async (log) => {
    log.append(nextEntries(log, [{ payloadBytes: 300 }]));
    await log.flush();
    log.truncateSuffix(7);
    await log.flush();
  },
};

test.each(Object.keys(CHANGES))('%s although nothing can be removed, and that is done later', async (name) => {
  const { log, disk, whole, fatal, setFull, segmentFiles } = await filled();
  setFull(true);
  expect(await CHANGES[name]!(log, whole)).not.toBe(name.includes('rewritten') ? undefined : 'refused');
  const [added] = nextEntries(log, [{ payloadBytes: 50, records: 1, term: 2 }]);
  log.append([added!]);
  await log.flush();
  const texts = describeEntries([...whole, added!]).slice(log.firstIndex - 1);
  expect(describeEntries(await readAll(log))).toEqual(texts);
  for (const survivor of [disk.afterCrash(1), disk.afterCrash(2)]) {
    const again = await openLog(survivor, { segmentBytes: SEGMENT_BYTES });
    expect([again.log.damage, describeEntries(await readAll(again.log))]).toEqual([[], texts]);
  }
  setFull(false);
  await log.roll();
  expect(segmentFiles()).toBe(log.segments().length);
  expect(fatal).toEqual([]);
});

test('what a cut dropped is removed also when the segment in front of it cannot be opened for its footer', async () => {
  let isReadOnly = false;
  const disk = new ModelDisk({
    onCall: ({ kind, path }) => (isReadOnly && kind === 'open' && path.endsWith('1.segment') ? 'EROFS' : undefined),
  });
  let isFull = false;
  const onFull = (): void => {
    isFull = true;
    isReadOnly = false;
  };
  const onSpace = (): void => {
    isFull = false;
  };
  const { log, fatal, timers } = await openLog(disk, { segmentBytes: SEGMENT_BYTES, onFull, onSpace });
  for (const isLast of [false, true]) {
    log.append(nextEntries(log, [{ payloadBytes: 300 }, { payloadBytes: 300 }]));
    await log.flush();
    if (!isLast) await log.roll();
  }
  const [kept] = await readAll(log);
  isReadOnly = true;
  log.truncateSuffix(2);
  await disk.until(() => isFull && timers.pending > 0);
  timers.fire();
  await disk.until(() => !isFull);
  const [added] = nextEntries(log, [{ payloadBytes: 50, term: 2 }]);
  log.append([added!]);
  await log.roll();
  expect(describeEntries(await readAll(log))).toEqual(describeEntries([kept!, added!]));
  expect(disk.files().filter((path) => path.endsWith('.segment'))).toHaveLength(log.segments().length);
  expect(fatal).toEqual([]);
});

test.each([
  ['sealed', 'EIO'],
  ['sealed', 'EDQUOT'],
  ['active', 'EIO'],
  ['active', 'EDQUOT'],
])('a rewrite of %s entries whose last word is lost with %s keeps every copy that may count', async (which, code) => {
  const { log, disk, whole, fatal } = await filled();
  const enter = disk.enter.bind(disk);
  let renamed = 0;
  disk.enter = (kind, path, begin) => {
    if (kind === 'rename') renamed += 1;
    // The first manifest takes an id, the second lists the segment.
    if (kind !== 'syncDirectory' || renamed < 2) return enter(kind, path, begin);
    renamed = 0;
    const cause = Object.assign(new Error(code), { code });
    return Promise.reject(new StorageError(code === 'EIO' ? 'IO' : 'FULL', 'fsync failed', { cause }));
  };
  const change = CHANGES[which === 'sealed' ? 'sealed segments are rewritten' : 'the active segment is rewritten']!;
  await expect(change(log, whole)).rejects.toMatchObject({ code: 'FLUSH_FAILED' });
  expect(fatal).toHaveLength(1);
  await log.close();
  for (const survivor of [disk.afterKill(), ...Array.from({ length: 8 }, (_, seed) => disk.afterCrash(seed))]) {
    const again = await openLog(survivor, { segmentBytes: SEGMENT_BYTES });
    expect([again.log.damage, describeEntries(await readAll(again.log))]).toEqual([[], describeEntries(whole)]);
  }
});

test.each(['sealed segments are rewritten', 'the active segment is rewritten'])(
  'of attempts at which %s without room no file stays',
  async (name) => {
    const { log, disk, whole, fatal, segmentFiles } = await filled();
    const enter = disk.enter.bind(disk);
    let isFull = true;
    disk.enter = (kind, path, begin) => {
      if (!isFull || kind !== 'write' || !path.endsWith('.segment')) return enter(kind, path, begin);
      const cause = Object.assign(new Error('EDQUOT'), { code: 'EDQUOT' });
      return Promise.reject(new StorageError('FULL', 'write failed', { cause }));
    };
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(CHANGES[name]!(log, whole)).rejects.toMatchObject({ code: 'FULL' });
    }
    expect(segmentFiles()).toBe(log.segments().length);
    isFull = false;
    expect(await CHANGES[name]!(log, whole)).toBeDefined();
    expect([segmentFiles(), fatal]).toEqual([log.segments().length, []]);
  },
);
