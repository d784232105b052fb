import { afterEach, describe, expect, test } from 'vitest';
import { Mender, type MenderParts } from '../../src/partition/mender.ts';
import { type ReplayParts, replay } from '../../src/partition/replay.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { type Log, MemoryDisk, StorageError } from '../../storage/index.ts';
import { SimTime } from '../broker/support/sim-env.ts';
import { entries, entriesAfter, follow } from './support/entries.ts';
import { type OpenLog, openLog } from './support/open-log.ts';
import { encodeState, restoreState } from './support/state-bytes.ts';

const A = 'aa'.repeat(16);
const FOUR = entries(
  { kind: 'no-op' },
  { values: ['a', 'b'], producer: { id: A, epoch: 0, sequence: 0 } },
  { values: ['c'], producer: { id: A, epoch: 0, sequence: 2 } },
  { values: ['d'] },
);
const opened: OpenLog[] = [];

afterEach(async () => {
  for (const { close } of opened.splice(0)) await close();
});

/** A log with four entries, opened again as after a stop. */
async function reopened(commitHint: number): Promise<Log> {
  const disk = new MemoryDisk();
  const before = await openLog({ disk });
  before.log.append(FOUR);
  before.log.setCommitHint(commitHint);
  await before.log.flush();
  await before.close();
  const again = await openLog({ disk });
  opened.push(again);
  return again.log;
}

const NEVER_ASKED = { mend: () => Promise.reject(new Error('nothing is damaged')) } as unknown as Mender;

function partsOf(log: Log, more: Partial<ReplayParts> = {}): ReplayParts {
  const timers = {
    after: () => ({ cancel: () => undefined }),
    every: () => ({ cancel: () => undefined }),
    soon: () => undefined,
  };
  return { log, state: new PartitionState(undefined), mender: NEVER_ASKED, timers, isStopping: () => false, ...more };
}

describe('replay', () => {
  test('applies what is known committed, and no more', async () => {
    const parts = partsOf(await reopened(2));
    const pending = await replay(parts);
    expect([parts.state.appliedIndex, parts.state.highWatermark]).toEqual([2, 2]);
    expect([...pending.headers()]).toEqual(FOUR.slice(2).map(({ header }) => header));
  });

  test('knows the batches that are not committed as duplicates all the same', async () => {
    const parts = partsOf(await reopened(2));
    await replay(parts);
    const { producers } = parts.state;
    expect(producers.check({ id: A, epoch: 0, sequence: 2 }, 1)).toMatchObject({
      kind: 'duplicate',
      batch: { index: 3 },
    });
    expect(producers.check({ id: A, epoch: 0, sequence: 3 }, 1)).toEqual({ kind: 'new' });
  });

  test('begins behind the state it was given', async () => {
    const log = await reopened(4);
    const live = new PartitionState(undefined);
    for (const { header, payload } of FOUR.slice(0, 3)) live.apply(header, payload);
    const state = new PartitionState(undefined);
    restoreState(state, { index: 3, nextOffset: 3 }, encodeState(live));
    await replay(partsOf(log, { state }));
    expect([state.appliedIndex, state.highWatermark]).toEqual([4, 4]);
  });

  describe('of a damaged log', () => {
    /** Entry 3 cannot be read until it was mended. */
    async function damaged(commitHint = 4): Promise<{ log: Log; heal: () => void }> {
      const log = await reopened(commitHint);
      let isBad = true;
      const read = log.read.bind(log);
      log.read = async (from, bytesMax) => {
        const found = await read(from, bytesMax);
        const sound = isBad ? found.filter(({ header }) => header.index < 3) : found;
        if (sound.length === 0) throw new StorageError('CORRUPT', 'bad', { index: 3 });
        return sound;
      };
      return {
        log,
        heal: () => {
          isBad = false;
        },
      };
    }

    test('waits for a peer to supply what is bad, for as long as that takes', async () => {
      const { log, heal } = await damaged();
      const time = new SimTime();
      let asked = 0;
      const mender = {
        whyBeyondRepair: () => undefined,
        mend: async () => {
          asked += 1;
          if (asked === 3) heal();
          return asked === 3;
        },
      } as unknown as Mender;
      const timers = { ...partsOf(log).timers, after: (ms: number, fn: () => void) => time.add(ms, undefined, fn) };
      const parts = partsOf(log, { mender, timers });
      let isDone = false;
      const done = replay(parts).then(() => {
        isDone = true;
      });
      await time.advance(600);
      expect([asked, isDone, parts.state.appliedIndex]).toEqual([2, false, 2]);
      await time.advance(600);
      await done;
      expect([asked, parts.state.appliedIndex]).toEqual([3, 4]);
    });

    test('gives the log up when every other replica has trimmed what is bad', async () => {
      const { log } = await damaged();
      const mender = {
        mend: () => Promise.resolve(false),
        whyBeyondRepair: () => 'nobody has it',
      } as unknown as Mender;
      await expect(replay(partsOf(log, { mender }))).rejects.toMatchObject({ code: 'CORRUPT', index: 3 });
    });

    test('learns the terms that are guesses, also of entries that need not be applied any more', async () => {
      const log = await reopened(4);
      const state = new PartitionState(undefined);
      for (const { header, payload } of FOUR) state.apply(header, payload);
      let damage = [{ file: '/log', position: 512, firstIndex: 2, lastIndex: 3, where: 'tail' }];
      Object.defineProperty(log, 'damage', { get: () => damage });
      log.termAt = (index) => (index < 2 ? 1 : 2);
      const mended: number[] = [];
      const mend = async (index: number): Promise<boolean> => {
        mended.push(index);
        damage = [];
        return true;
      };
      await replay(partsOf(log, { state, mender: { mend } as unknown as Mender }));
      expect(mended).toEqual([2]);
    });

    describe('by peers that have committed other entries', () => {
      const OWN = entries({ term: 1 }, { term: 1 }, { term: 2 }, { term: 2 });

      /** A log that was going to be overwritten from entry 3 on, with a damaged region around the header of that. */
      async function rotten(before: number, bytes: number): Promise<{ log: Log; mender: Mender }> {
        const disk = new MemoryDisk();
        const sound = await openLog({ disk });
        sound.log.append(OWN);
        sound.log.setCommitHint(1);
        await sound.log.flush();
        await sound.close();
        const file = await disk.open('/data/logs/0000000001/0000000000000001.segment', 'write');
        const all = Buffer.alloc(await file.bytes());
        await file.read(0, all);
        await file.write(all.indexOf(OWN[2]!.headerBytes) - before, [new Uint8Array(bytes)]);
        await file.close();
        const again = await openLog({ disk });
        opened.push(again);
        const { log } = again;
        const committed = [...OWN.slice(0, 2), ...entriesAfter(follow(OWN[1]), { term: 3 })];
        const mender = new Mender({
          log,
          groupId: 1,
          world: {
            fetchEntry: async (_groupId: number, { index }: { index: number }) => {
              const entry = committed[index - 1];
              return entry === undefined ? { entry, unheard: [], isTrimmed: false } : { entry, isCommitted: true };
            },
            metrics: { add: () => undefined },
          },
          mayCut: () => true,
          events: { onTrouble: () => undefined, onLostEntry: () => undefined },
        } as unknown as MenderParts);
        return { log, mender };
      }

      // It waited otherwise until somebody appended something, and as one of two that are left for ever.
      test('ends before the first of them, also while nobody has anything in the place of the next one', async () => {
        const { log, mender } = await rotten(0, 8);
        expect(log.damage).toMatchObject([{ firstIndex: 3, lastIndex: 4 }]);
        const pending = await replay(partsOf(log, { mender }));
        await log.flush();
        expect([...pending.headers()]).toEqual([OWN[1]!.header]);
        expect([log.lastIndex, log.damage]).toEqual([2, []]);
      });

      // The process ended otherwise, at every start: one bad sector across two entries is enough.
      test('mends the entry before them first, since the log cannot end behind one that is damaged', async () => {
        const { log, mender } = await rotten(8, 16);
        expect(log.damage).toMatchObject([
          { firstIndex: 2, lastIndex: 2 },
          { firstIndex: 3, lastIndex: 4 },
        ]);
        const pending = await replay(partsOf(log, { mender }));
        await log.flush();
        expect([...pending.headers()]).toEqual([OWN[1]!.header]);
        expect([log.lastIndex, log.damage]).toEqual([2, []]);
      });
    });

    test('gives up when the node stops', async () => {
      const { log } = await damaged();
      const mender = { mend: () => Promise.resolve(false), whyBeyondRepair: () => undefined } as unknown as Mender;
      await expect(replay(partsOf(log, { mender, isStopping: () => true }))).rejects.toMatchObject({ code: 'CLOSED' });
    });

    test('does not ask at once again for what is bad although it was mended', async () => {
      const { log } = await damaged();
      const time = new SimTime();
      let asked = 0;
      const mender = {
        whyBeyondRepair: () => undefined,
        mend: async () => {
          asked += 1;
          return true;
        },
      } as unknown as Mender;
      const timers = { ...partsOf(log).timers, after: (ms: number, fn: () => void) => time.add(ms, undefined, fn) };
      let isStopping = false;
      const done = replay(partsOf(log, { mender, timers, isStopping: () => isStopping }));
      done.catch(() => undefined);
      await time.advance(1_100);
      expect(asked).toBeLessThan(6);
      isStopping = true;
      await time.advance(1_000);
      await expect(done).rejects.toMatchObject({ code: 'CLOSED' });
    });

    test('ends where the log ends, once an entry in whose place another was committed is cut away', async () => {
      const { log } = await damaged(2);
      const mender = {
        whyBeyondRepair: () => undefined,
        mend: async () => {
          log.truncateSuffix(3);
          return true;
        },
      } as unknown as Mender;
      const parts = partsOf(log, { mender });
      const pending = await replay(parts);
      expect([parts.state.appliedIndex, [...pending.headers()].length, log.lastIndex]).toEqual([2, 0, 2]);
    });
  });
});
