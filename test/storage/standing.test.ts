/** What a node remembers of its replica apart from the log: logs that vanish, and markers, over stops at every call. */
import { describe, expect, test } from 'vitest';
import { DataDirectory, type Disk, type LogOptions, MemoryDisk } from '../../storage/index.ts';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { bytesOf, CLUSTER_ID, ManualTimers, nextEntries } from '../support/storage-fixture.ts';

const LOG = '/data/logs/0000000001';
const STANDING = '/data/standing/0000000001';
const MARKER = { id: 'ab'.repeat(16), reason: 'for the test' };

function open(disk: Disk): Promise<DataDirectory> {
  return DataDirectory.open(disk, '/data', {
    nodeId: 'n1',
    randomBytes: (count) => bytesOf('uuid', count),
    onFatal: (error) => {
      throw error;
    },
  });
}

function logOptions(): LogOptions {
  return { timers: new ManualTimers(), clusterId: CLUSTER_ID, onFlushed: () => undefined };
}

async function flip(disk: Disk, path: string, positions: readonly number[]): Promise<void> {
  const file = await disk.open(path, 'write');
  for (const position of positions) {
    const byte = new Uint8Array(1);
    await file.read(position, byte);
    await file.write(position, [byte.map((value) => value ^ 1)]);
  }
  await file.flush();
  await file.close();
}

/** A log with one entry, closed. */
async function used(disk: Disk): Promise<void> {
  const directory = await open(disk);
  const log = await directory.openLog(1, logOptions());
  await log.saveHardState({ term: 1, votedFor: 'n1' });
  log.append(nextEntries(log, [{}]));
  await log.flush();
  await directory.close();
}

describe('a log that took part', () => {
  test('is not made anew when its directory vanished: named, and nothing changes', async () => {
    const disk = new MemoryDisk();
    await used(disk);
    for (const { name } of await disk.list(LOG)) await disk.remove(`${LOG}/${name}`);
    await disk.removeDirectory(LOG);
    const directory = await open(disk);
    const error = { code: 'CORRUPT', file: LOG };
    await expect(directory.openLog(1, logOptions())).rejects.toMatchObject(error);
    await expect(directory.openLog(1, logOptions())).rejects.toMatchObject(error);
    expect(await directory.groups()).toEqual([1]);
    expect(await disk.stat(LOG)).toBeUndefined();
    // Another group is none of its business.
    expect((await directory.openLog(2, logOptions())).lastIndex).toBe(0);
  });

  test('is named when its standing vanished, and the whole directory of standings', async () => {
    const disk = new MemoryDisk();
    await used(disk);
    await disk.remove(STANDING);
    await disk.removeDirectory('/data/standing');
    const directory = await open(disk);
    await expect(directory.openLog(1, logOptions())).rejects.toMatchObject({ code: 'CORRUPT', file: STANDING });
    await expect(directory.openLog(1, logOptions())).rejects.toMatchObject({ code: 'CORRUPT', file: STANDING });
  });

  test('has two copies of its standing: one damaged is mended, both are named', async () => {
    const disk = new MemoryDisk();
    await used(disk);
    await flip(disk, STANDING, [30]);
    const directory = await open(disk);
    await (await directory.openLog(1, logOptions())).close();
    await flip(disk, STANDING, [4_096 + 30]);
    await (await directory.openLog(1, logOptions())).close();
    await flip(disk, STANDING, [30, 4_096 + 30]);
    await expect(directory.openLog(1, logOptions())).rejects.toMatchObject({ code: 'CORRUPT', file: STANDING });
  });

  test('does not take the standing of another group or disk for its own', async () => {
    const disk = new MemoryDisk();
    await used(disk);
    const directory = await open(disk);
    await (await directory.openLog(2, logOptions())).close();
    await disk.rename('/data/standing/0000000002', STANDING);
    await expect(directory.openLog(1, logOptions())).rejects.toMatchObject({ code: 'FOREIGN', file: STANDING });
  });
});

describe('a marked replica', () => {
  test('keeps its marker until it is taken away, and its reason as far as there is room', async () => {
    const disk = new MemoryDisk();
    await used(disk);
    const reason = `${'ü'.repeat(126)}€€€`;
    const directory = await open(disk);
    await directory.mark(1, { id: MARKER.id, reason });
    await directory.close();
    const again = await open(disk);
    expect(await again.marker(1)).toEqual({ id: MARKER.id, reason: `${'ü'.repeat(126)}€` });
    await again.unmark(1);
    expect(await again.marker(1)).toBeUndefined();
  });

  test('only of such a one is a log set aside; what was set aside first stays to the end', async () => {
    const disk = new MemoryDisk();
    await used(disk);
    const directory = await open(disk);
    await expect(directory.setAside(1)).rejects.toThrow('marked before its log is set aside');
    await directory.mark(1, MARKER);
    await directory.setAside(1);
    const first = await disk.list(`${LOG}.lost`);
    await (await directory.openLog(1, logOptions())).close();
    await directory.setAside(1);
    expect(await disk.list(`${LOG}.lost`)).toEqual(first);
    const log = await directory.openLog(1, logOptions());
    expect(log.lastIndex).toBe(0);
    await directory.unmark(1);
    expect(await disk.stat(`${LOG}.lost`)).toBeUndefined();
    await log.close();
    await directory.removeLog(1);
    expect(await directory.groups()).toEqual([]);
    expect((await directory.openLog(1, logOptions())).lastIndex).toBe(0);
  });
});

test('a stop at any call of a loss and a rejoining never leaves an empty log without a marker', async () => {
  let stops = 0;
  for (let n = 1; ; n += 1) {
    const prepared = new ModelDisk();
    await used(prepared);
    const disk = prepared.afterCrash(0, { onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
    let isMarked = false;
    const rejoin = async (): Promise<boolean> => {
      const directory = await open(disk);
      await directory.mark(1, MARKER);
      isMarked = true;
      await directory.setAside(1);
      const made = await directory.openLog(1, logOptions());
      await made.close();
      await directory.setAside(1);
      const log = await directory.openLog(1, logOptions());
      await log.saveHardState({ term: 7, votedFor: 'n2' });
      log.append(nextEntries(log, [{ term: 7 }, { term: 7 }]));
      await log.flush();
      await directory.unmark(1);
      return true;
    };
    const isDone = await Promise.race([rejoin(), disk.stopped.then(() => false)]);
    for (let seed = 0; seed < 3; seed += 1) {
      const after = disk.afterCrash(n * 10 + seed);
      const directory = await open(after);
      const marker = await directory.marker(1);
      const log = await directory.openLog(1, logOptions());
      const state = { term: log.hardState.term, lastIndex: log.lastIndex };
      const isOld = state.term === 1 && state.lastIndex === 1;
      const isNew = state.term === 7 && state.lastIndex === 2;
      // Without the marker the log is one of the two that may count: as it was, or whole again.
      if (marker === undefined) expect(isMarked ? isNew : isOld, JSON.stringify({ n, seed, state })).toBe(true);
      else expect(marker).toEqual(MARKER);
      await directory.close();
    }
    if (isDone) break;
    stops += 1;
  }
  expect(stops).toBeGreaterThan(60);
});

type Work = (directory: DataDirectory) => Promise<unknown>;

/** Runs `work` until the process is killed at call `n`; whether it ended before. */
async function killedAt(n: number, prepared: ModelDisk, work: Work): Promise<{ left: ModelDisk; isDone: boolean }> {
  const disk = prepared.afterCrash(0, { onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
  const run = async (): Promise<boolean> => {
    await work(await open(disk));
    return true;
  };
  return { left: disk, isDone: await Promise.race([run(), disk.stopped.then(() => false)]) };
}

async function usedDisk(isMarked: boolean): Promise<ModelDisk> {
  const disk = new ModelDisk();
  await used(disk);
  if (isMarked) await (await open(disk.afterKill())).mark(1, MARKER);
  return disk;
}

describe('a power cut after a kill', () => {
  const works: readonly { name: string; group: number; isMarked: boolean; work: Work }[] = [
    { name: 'making', group: 2, isMarked: false, work: (directory) => directory.openLog(2, logOptions()) },
    { name: 'rejoining', group: 1, isMarked: true, work: (directory) => directory.unmark(1) },
    { name: 'removing', group: 1, isMarked: false, work: (directory) => directory.removeLog(1) },
    {
      name: 'losing',
      group: 1,
      isMarked: false,
      work: async (directory) => {
        await directory.mark(1, MARKER);
        await directory.setAside(1);
        await directory.openLog(1, logOptions());
      },
    },
  ];

  // Whoever starts after the kill sees names that are in the cache alone, and votes and acks on the strength of them.
  test.each(works)(
    'in the middle of $name a log takes nothing back that the next process went on from',
    async ({ group, isMarked, work }) => {
      for (let n = 1, isDone = false; !isDone; n += 1) {
        const killed = await killedAt(n, await usedDisk(isMarked), work);
        isDone = killed.isDone;
        const disk = killed.left.afterKill();
        const directory = await open(disk);
        const marker = await directory.marker(group);
        const log = await directory.openLog(group, logOptions());
        await log.saveHardState({ term: 9, votedFor: 'n2' });
        for (let seed = 0; seed < 4; seed += 1) {
          const after = await open(disk.afterCrash(seed));
          expect(await after.marker(group), `killed at call ${n}`).toEqual(marker);
          const found = await after.openLog(group, logOptions());
          expect([found.hardState.term, found.lastIndex], `killed at call ${n}`).toEqual([9, log.lastIndex]);
        }
      }
    },
  );

  test('in the middle of removing a log leaves it whole or gone, wherever the next start was when it came', async () => {
    for (let n = 1, isDone = false; !isDone; n += 1) {
      for (let m = 1, hasStarted = false; !hasStarted; m += 1) {
        const killed = await killedAt(n, await usedDisk(false), (directory) => directory.removeLog(1));
        isDone = killed.isDone;
        const disk = killed.left.afterKill({ onCall: (call: Call) => (call.number === m ? 'stop' : undefined) });
        hasStarted = await Promise.race([open(disk).then(() => true), disk.stopped.then(() => false)]);
        const after = await open(disk.afterCrash(n * 100 + m));
        const isThere = (await after.groups()).includes(1);
        const { lastIndex } = await after.openLog(1, logOptions());
        expect(lastIndex, `killed at call ${n}, cut at call ${m}`).toBe(isThere ? 1 : 0);
      }
    }
  });
});
