/**
 * Bytes changed behind the log's back: every byte of every file of a small log flipped, every file cut at every length.
 * Allowed are refusal by name, harmlessness, and damage that is reported, kept and mended from a peer; never other data
 * than was written, never a shorter log than the torn-end rule allows (design decision 7, W8-W10, F43-F51).
 *
 * In padding one byte in 211 is tried, of cuts one in three, unless LOGDRIVE_TEST_ALL_BYTES is set.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { isStorageError, type Log, type LogEntry, type LogEvent } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { bytesOf, describeEntries, nextEntries, type Opened, openLog, readAll } from '../support/storage-fixture.ts';

const ALL_BYTES = process.env.LOGDRIVE_TEST_ALL_BYTES !== undefined;
const SEGMENT_BYTES = 16 * 1024;
const LOG_PATH = '/data/logs/0000000001';

let pristine: ModelDisk;
let entries: LogEntry[];
let texts: string[];
let files: string[];

/** Two sealed segments, an active one, a snapshot, a vote; closed, so that its end is proven. */
beforeAll(async () => {
  pristine = new ModelDisk();
  const { directory, log } = await openLog(pristine, { segmentBytes: SEGMENT_BYTES });
  await log.saveHardState({ term: 3, votedFor: 'n2' });
  for (const term of [1, 2, 3]) {
    log.append(
      nextEntries(log, [
        { term, payloadBytes: 200 },
        { payloadBytes: 40, records: 3 },
      ]),
    );
    await log.flush();
    log.append(nextEntries(log, [{ payloadBytes: 0 }, { payloadBytes: 333 }, { payloadBytes: 90, records: 1 }]));
    await log.flush();
    log.setCommitHint(log.lastIndex);
    if (term === 3) continue;
    const { index } = await log.roll();
    const chain = log.lastChain;
    const { nextOffset, lastAppendTimeMs: appendTimeMs } = log;
    await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: bytesOf(index, 50) });
  }
  entries = await readAll(log);
  texts = describeEntries(entries);
  await directory.close();
  files = pristine.files().filter((path) => !path.endsWith('/reserve'));
});

function spots(path: string): number[] {
  const bytes = pristine.peek(path);
  const chosen: number[] = [];
  let lastSet = -100;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== 0) lastSet = at;
    if (ALL_BYTES || at - lastSet < 8 || at % 211 === 0) chosen.push(at);
  }
  return chosen;
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 1 << (at % 8);
  return copy;
}

/** Opens what was tampered with; undefined when that was refused by a named error. */
async function openOrRefuse(disk: ModelDisk, story: string): Promise<Opened | undefined> {
  try {
    return await openLog(disk, { segmentBytes: SEGMENT_BYTES });
  } catch (error) {
    expect(isStorageError(error), `${story}: ${error}`).toBe(true);
    expect(['CORRUPT', 'FOREIGN', 'UNSUPPORTED']).toContain((error as { code: string }).code);
    return undefined;
  }
}

/** Every entry by itself: the right one, or undefined where the log says CORRUPT. */
async function readEach(log: Log, story: string): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  for (let index = log.firstIndex; index <= log.lastIndex; index++) {
    try {
      const [entry] = await log.read(index, 1);
      found.push(describeEntries([entry!])[0]);
    } catch (error) {
      expect(isStorageError(error, 'CORRUPT'), `${story}: ${error}`).toBe(true);
      found.push(undefined);
    }
  }
  return found;
}

function assertNothingWrong(found: readonly (string | undefined)[], story: string): void {
  for (const [i, text] of found.entries()) if (text !== undefined) expect(text, story).toBe(texts[i]);
}

/** Feeds the damaged entries back, as a peer would, and looks again after another start. */
async function assertHeals(opened: Opened, disk: ModelDisk, story: string): Promise<void> {
  const { log } = opened;
  for (let turn = 0; log.damage.length > 0; turn++) {
    expect(turn, `${story}: damage does not shrink`).toBeLessThan(entries.length);
    await log.repair(entries[log.damage[0]!.firstIndex - 1]!);
  }
  expect(describeEntries(await readAll(log)), `${story}: after repair`).toEqual(texts);
  await opened.directory.close();
  const again = await openLog(disk.afterCrash(5), { segmentBytes: SEGMENT_BYTES });
  expect(describeEntries(await readAll(again.log)), `${story}: after repair and a start`).toEqual(texts);
  expect(again.log.damage, story).toEqual([]);
}

describe('a flipped bit', () => {
  test('anywhere is refused, harmless, or damage that heals; never other data', { timeout: 120_000 }, async () => {
    const outcomes = { refused: 0, harmless: 0, healed: 0 };
    for (const path of files) {
      for (const at of spots(path)) {
        const story = `bit ${at % 8} of byte ${at} of ${path}`;
        const disk = pristine.afterCrash(0);
        disk.damage(path, (bytes) => flipped(bytes, at));
        const opened = await openOrRefuse(disk, story);
        if (opened === undefined) {
          outcomes.refused++;
          continue;
        }
        expect(opened.log.hardState, story).toEqual({ term: 3, votedFor: 'n2' });
        expect(opened.log.lastIndex, story).toBe(entries.length);
        assertNothingWrong(await readEach(opened.log, story), story);
        const isHarmless = opened.log.damage.length === 0;
        if (isHarmless) outcomes.harmless++;
        else outcomes.healed++;
        if (ALL_BYTES || !isHarmless || at % 16 === 0) await assertHeals(opened, disk, story);
      }
    }
    // Copies, footers, headers and frame headers are mended; entries are healed; the newest format's magic is no guess.
    expect(outcomes.harmless).toBeGreaterThan(500);
    expect(outcomes.healed).toBeGreaterThan(500);
  });
});

describe('a cut file', () => {
  test('at any length loses nothing but a torn end, or is named', { timeout: 120_000 }, async () => {
    const active = `${LOG_PATH}/0000000000000003.segment`;
    for (const path of files) {
      for (const at of spots(path).filter((at) => ALL_BYTES || at % 3 === 0)) {
        const story = `${path} cut at ${at}`;
        const disk = pristine.afterCrash(0);
        disk.damage(path, (bytes) => bytes.slice(0, at));
        const opened = await openOrRefuse(disk, story);
        if (opened === undefined) continue;
        expect(opened.log.hardState, story).toEqual({ term: 3, votedFor: 'n2' });
        if (path !== active) expect(opened.log.lastIndex, story).toBe(entries.length);
        assertNothingWrong(await readEach(opened.log, story), story);
      }
    }
  });

  test('whose sealed entries are gone keeps its last index, its promises and the entries elsewhere', async () => {
    const disk = pristine.afterCrash(0);
    disk.damage(`${LOG_PATH}/0000000000000001.segment`, (bytes) => bytes.slice(0, 4200));
    const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(opened.log.damage).toMatchObject([{ firstIndex: 1, lastIndex: 5, where: 'sealed' }]);
    expect((await readEach(opened.log, 'cut')).slice(5)).toEqual(texts.slice(5));
    await assertHeals(opened, disk, 'sealed segment cut');
  });
});

describe('blocks out of place', () => {
  test('zeroed, or copied from elsewhere in the file, are noticed', async () => {
    for (const path of files.filter((file) => file.endsWith('.segment'))) {
      const size = pristine.peek(path).length;
      for (let at = 4096; at < size; at += 128) {
        for (const from of [undefined, 4096, 4096 + 256]) {
          if (from === at) continue;
          const story = `${path}: 128 bytes at ${at} ${from === undefined ? 'zeroed' : `copied from ${from}`}`;
          const disk = pristine.afterCrash(0);
          disk.damage(path, (bytes) => {
            const copy = bytes.slice();
            if (from === undefined) copy.fill(0, at, at + 128);
            else copy.copyWithin(at, from, from + 128);
            return copy;
          });
          const opened = await openOrRefuse(disk, story);
          if (opened === undefined) continue;
          expect(opened.log.hardState, story).toEqual({ term: 3, votedFor: 'n2' });
          assertNothingWrong(await readEach(opened.log, story), story);
        }
      }
    }
  });

  test('garbage behind the end is a torn end: cut, durably, and appended over', async () => {
    for (const garbage of [bytesOf('garbage', 700), new Uint8Array(700).fill(0xff), new Uint8Array(700)]) {
      const disk = pristine.afterCrash(0);
      disk.damage(`${LOG_PATH}/0000000000000003.segment`, (bytes) => new Uint8Array([...bytes, ...garbage]));
      const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
      expect(describeEntries(await readAll(opened.log))).toEqual(texts);
      opened.log.append(nextEntries(opened.log, [{ payloadBytes: 50 }]));
      await opened.log.flush();
      const again = await openLog(disk.afterCrash(3), { segmentBytes: SEGMENT_BYTES });
      expect(again.log.lastIndex).toBe(entries.length + 1);
      expect(again.log.damage).toEqual([]);
    }
  });
});

/** Raft cuts away an entry that is damaged here when another one was committed in its place. */
test('a damaged entry above the commit hint can be cut away, whichever of its bytes are bad', async () => {
  const uncommitted = new ModelDisk();
  const { directory, log } = await openLog(uncommitted, { segmentBytes: SEGMENT_BYTES });
  for (const count of [3, 2, 1]) {
    log.append(nextEntries(log, Array(count).fill({ payloadBytes: 90 })));
    await log.flush();
    if (count === 3) log.setCommitHint(2);
  }
  const all = describeEntries(await readAll(log));
  await directory.close();
  const [segment] = uncommitted.files().filter((path) => path.endsWith('.segment'));
  const dataEnd = uncommitted.peek(segment!).findLastIndex((byte) => byte !== 0);
  const cuts = new Map<number, number>();
  for (let at = 4_096; at < dataEnd; at += 5) {
    const disk = uncommitted.afterCrash(0);
    disk.damage(segment!, (bytes) => flipped(bytes, at));
    const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    const [damage] = opened.log.damage;
    if (damage === undefined || damage.firstIndex <= opened.log.commitHint) continue;
    const from = damage.firstIndex;
    opened.log.truncateSuffix(from);
    const [added] = nextEntries(opened.log, [{ term: 2, payloadBytes: 300 }]);
    opened.log.append([added!]);
    await opened.log.flush();
    expect(opened.fatal, `byte ${at}`).toEqual([]);
    const expected = [...all.slice(0, from - 1), ...describeEntries([added!])];
    const again = await openLog(disk.afterCrash(at), { segmentBytes: SEGMENT_BYTES });
    expect(again.log.damage, `byte ${at}`).toEqual([]);
    expect(describeEntries(await readAll(again.log)), `byte ${at}`).toEqual(expected);
    cuts.set(from, (cuts.get(from) ?? 0) + 1);
  }
  // In the middle of a frame and at the start of one, each by its own header, payload or frame header.
  expect([...cuts.keys()].sort()).toEqual([3, 4, 5, 6]);
  for (const [from, count] of cuts) expect(count, `cuts at ${from}`).toBeGreaterThan(15);
});

// A cut that finds no place ends the process. The lowest cut there is comes right behind what is committed.
test.each([1, 4])(
  'behind an entry that was put back the log can be cut anywhere above commit %i, also at entries it had hidden',
  async (commit) => {
    const written = new ModelDisk();
    const { directory, log } = await openLog(written, { segmentBytes: SEGMENT_BYTES });
    log.append(nextEntries(log, Array(6).fill({ payloadBytes: 90 })));
    await log.flush();
    log.setCommitHint(commit);
    const all = await readAll(log);
    await directory.close();
    const [segment] = written.files().filter((path) => path.endsWith('.segment'));
    const dataEnd = written.peek(segment!).findLastIndex((byte) => byte !== 0);
    let hidden = 0;
    for (let at = 4_096; at < dataEnd; at += 11) {
      for (let from = Math.max(3, commit + 1); from <= 6; from += 1) {
        const disk = written.afterCrash(0);
        disk.damage(segment!, (bytes) => flipped(bytes, at));
        const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
        const [damage] = opened.log.damage;
        if (damage === undefined || damage.lastIndex === damage.firstIndex || damage.firstIndex >= from) continue;
        await opened.log.repair(all[damage.firstIndex - 1]!);
        expect(describeEntries(await readAll(opened.log))).toEqual(describeEntries(all));
        opened.log.truncateSuffix(from);
        opened.log.append(nextEntries(opened.log, [{ term: 2, payloadBytes: 300 }]));
        await opened.log.flush();
        expect(opened.fatal, `byte ${at}, cut at ${from}`).toEqual([]);
        const again = await openLog(disk.afterCrash(at), { segmentBytes: SEGMENT_BYTES });
        expect([again.log.lastIndex, again.log.damage], `byte ${at}, cut at ${from}`).toEqual([from, []]);
        hidden += 1;
      }
    }
    expect(hidden).toBeGreaterThan(10);
  },
);

test('in a sealed segment the log can be cut behind every entry that was read, whatever was damaged when it was opened', async () => {
  const written = new ModelDisk();
  const { directory, log } = await openLog(written, { segmentBytes: SEGMENT_BYTES });
  for (const count of [3, 3]) {
    log.append(nextEntries(log, Array(count).fill({ payloadBytes: 90 })));
    await log.flush();
  }
  await log.roll();
  log.append(nextEntries(log, [{ payloadBytes: 90 }]));
  await log.flush();
  await directory.close();
  const [sealed] = written.files().filter((path) => path.endsWith('.segment'));
  const dataEnd = written.peek(sealed!).findLastIndex((byte) => byte !== 0);
  const cuts = { mended: 0, damaged: 0 };
  for (let at = 4_096; at < dataEnd; at += 7) {
    const disk = written.afterCrash(0);
    disk.damage(sealed!, (bytes) => flipped(bytes, at));
    const { log: opened } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    await readEach(opened, `byte ${at}`);
    const [damage] = opened.damage;
    const from = damage?.firstIndex ?? 6;
    opened.truncateSuffix(from);
    expect(opened.lastIndex, `byte ${at}`).toBe(from - 1);
    cuts[damage === undefined ? 'mended' : 'damaged'] += 1;
  }
  expect(cuts.mended).toBeGreaterThan(10);
  expect(cuts.damaged).toBeGreaterThan(10);
});

describe('missing and foreign files', () => {
  async function refusal(change: (disk: ModelDisk) => Promise<void>): Promise<string> {
    const disk = pristine.afterCrash(0);
    await change(disk);
    try {
      await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    } catch (error) {
      if (isStorageError(error)) return `${error.code} ${error.file}`;
      throw error;
    }
    return 'opened';
  }

  test('never make the log start empty: the missing piece is named', async () => {
    for (const name of ['manifest', 'hard-state', '0000000000000003.segment']) {
      expect(await refusal((disk) => disk.remove(`${LOG_PATH}/${name}`))).toBe(`CORRUPT ${LOG_PATH}/${name}`);
    }
    expect(await refusal((disk) => disk.remove('/data/identity'))).toBe('CORRUPT /data/identity');
  });

  test.each([
    ['one', [1]],
    ['all', [1, 2]],
  ])(
    'of %s sealed segments are damage of their entries, named, that heals; promises and the end stay',
    async (_, ids) => {
      const disk = pristine.afterCrash(0);
      const gone = ids.map((id) => `${LOG_PATH}/000000000000000${id}.segment`);
      for (const path of gone) await disk.remove(path);
      const events: LogEvent[] = [];
      const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES, observe: (event) => events.push(event) });
      const { log } = opened;
      expect(events.flatMap((event) => (event.kind === 'missing-segment' ? event.file : []))).toEqual(gone);
      expect([log.lastIndex, log.hardState]).toEqual([entries.length, { term: 3, votedFor: 'n2' }]);
      expect(log.damage.map(({ file, where }) => [file, where])).toEqual(gone.map((file) => [file, 'sealed']));
      const found = await readEach(log, 'missing');
      const isLost = (index: number): boolean =>
        log.damage.some(({ firstIndex, lastIndex }) => firstIndex <= index && index <= lastIndex);
      expect(found).toEqual(texts.map((text, i) => (isLost(i + 1) ? undefined : text)));
      // Opened again before anything was repaired, it is judged the same.
      const { damage } = log;
      await opened.directory.close();
      const again = await openLog(disk.afterCrash(3), { segmentBytes: SEGMENT_BYTES });
      expect(again.log.damage).toEqual(damage);
      await again.directory.close();
      const last = disk.afterCrash(4);
      await assertHeals(await openLog(last, { segmentBytes: SEGMENT_BYTES }), last, 'missing');
    },
  );

  test('of a sealed segment are judged the same after a stop at any call of the start that finds it', async () => {
    const disk = pristine.afterCrash(0);
    await disk.remove(`${LOG_PATH}/0000000000000001.segment`);
    await disk.syncDirectory(LOG_PATH);
    for (let stopAt = 1; ; stopAt += 1) {
      const stopping = disk.afterCrash(stopAt, { onCall: ({ number }) => (number === stopAt ? 'stop' : undefined) });
      const isOver = await Promise.race([
        openLog(stopping, { segmentBytes: SEGMENT_BYTES }).then(() => true),
        stopping.stopped.then(() => false),
      ]);
      const { log, directory } = await openLog(stopping.afterCrash(stopAt), { segmentBytes: SEGMENT_BYTES });
      expect(
        log.damage.map(({ firstIndex }) => firstIndex),
        `stop at ${stopAt}`,
      ).toEqual([1]);
      await directory.close();
      if (isOver) break;
    }
  });

  test('swapped within this log, sealed segments are damage of all their entries', async () => {
    const [first, second] = ['0000000000000001', '0000000000000002'].map((id) => `${LOG_PATH}/${id}.segment`);
    const disk = pristine.afterCrash(0);
    await disk.rename(first!, `${first}.x`);
    await disk.rename(second!, first!);
    await disk.rename(`${first}.x`, second!);
    const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    const { damage } = opened.log;
    expect([...new Set(damage.map(({ file }) => file))].sort()).toEqual([first, second]);
    expect(damage[0]!.firstIndex).toBe(1);
    const damaged = damage.reduce((sum, { firstIndex, lastIndex }) => sum + lastIndex - firstIndex + 1, 0);
    expect(damaged).toBe(Math.max(...damage.map(({ lastIndex }) => lastIndex)));
    await assertHeals(opened, disk, 'swapped');
  });

  test('of another log are refused', async () => {
    const first = `${LOG_PATH}/0000000000000001.segment`;
    const other = await openLog(new ModelDisk(), { groupId: 2, segmentBytes: SEGMENT_BYTES });
    await other.directory.close();
    for (const path of [`${LOG_PATH}/manifest`, `${LOG_PATH}/hard-state`, first]) {
      const otherDisk = new ModelDisk();
      const opened = await openLog(otherDisk, { groupId: 2, segmentBytes: SEGMENT_BYTES });
      await opened.directory.close();
      const foreign = otherDisk.peek(path.replace('0000000001/', '0000000002/'));
      expect(await refusal(async (disk) => disk.damage(path, () => foreign))).toBe(`FOREIGN ${path}`);
    }
  });

  test('a segment that the manifest cannot have forgotten is an error, one that a crash left is removed', async () => {
    const content = pristine.peek(`${LOG_PATH}/0000000000000003.segment`);
    const add = (id: string) => async (disk: ModelDisk) => {
      const file = await disk.open(`${LOG_PATH}/${id}.segment`, 'create');
      await file.write(0, [content]);
    };
    expect(await refusal(add('0000000000000009'))).toBe(`CORRUPT ${LOG_PATH}/0000000000000009.segment`);
    const disk = pristine.afterCrash(0);
    await add('0000000000000004')(disk);
    const { log } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(disk.files()).not.toContain(`${LOG_PATH}/0000000000000004.segment`);
    expect(describeEntries(await readAll(log))).toEqual(texts);
  });
});
