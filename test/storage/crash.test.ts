/**
 * Power cuts at every disk call of a workload that appends, rolls, truncates, trims, snapshots, installs and votes;
 * then again in the middle of that recovery. What comes back is checked against everything that was acknowledged
 * before.
 *
 * LOGDRIVE_TEST_CRASH_SEEDS raises the number of survivals tried per stop (default 2).
 */
import { describe, expect, test } from 'vitest';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { seededRandom } from '../support/model-tree.ts';
import { describeEntries, nextEntries, openLog, readAll } from '../support/storage-fixture.ts';
import { PromisedLog } from './support/promised-log.ts';
import { Promises, recoveredOf } from './support/promises.ts';

const SEEDS = Number(process.env.LOGDRIVE_TEST_CRASH_SEEDS ?? 2);
const SEGMENT_BYTES = 16 * 1024;

const SMALL = { payloadBytes: 300 };
const LARGE = { payloadBytes: 5_000 };

/** The workload. Every await may be the last thing that happens. */
async function work(disk: ModelDisk, promises: Promises): Promise<void> {
  const used = await PromisedLog.open(disk, promises, SEGMENT_BYTES);
  const { log } = used;

  await used.vote({ term: 1, votedFor: 'n1' });
  used.append([{ ...SMALL, term: 1 }, SMALL, SMALL]);
  await log.flush();
  used.fireTimers();
  used.append([LARGE, LARGE]);
  used.append([LARGE, SMALL]);
  await log.flush();
  // A conflict within the active segment, while a flush is in flight and with a vote beside it.
  const begun = disk.count('writeDurable');
  used.append([SMALL, SMALL, SMALL]);
  await disk.until(() => disk.count('writeDurable') > begun);
  const voting = used.vote({ term: 2, votedFor: undefined });
  used.truncate(log.lastIndex - 1);
  used.append([{ ...SMALL, term: 2 }, LARGE, LARGE]);
  await log.flush();
  await voting;
  // A conflict that reaches into a sealed segment.
  await log.roll();
  used.append([LARGE, SMALL, SMALL]);
  await log.flush();
  used.truncate(log.lastIndex - 4);
  used.append([{ ...SMALL, term: 3 }, SMALL]);
  await log.flush();
  log.setCommitHint(log.lastIndex);
  const state = await used.snapshot();
  used.append([SMALL, LARGE, SMALL]);
  await used.trim(state + 1);
  await used.vote({ term: 3, votedFor: 'n2' });
  await log.flush();
  await used.snapshot();
  // The follower is behind: its log is replaced by a state.
  const install = { index: 500, term: 7, nextOffset: 40, appendTimeMs: 9_000, chain: { high: 5, low: 6 } };
  await used.install(install);
  used.append([{ ...SMALL, term: 7 }, LARGE, SMALL]);
  await log.flush();
  used.fireTimers();
  await used.close();
}

/** Runs the workload up to the stop at call `n`; true when it ended before. */
async function runUntil(n: number, promises: Promises): Promise<{ disk: ModelDisk; isDone: boolean }> {
  const disk = new ModelDisk({ onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
  const isDone = await Promise.race([work(disk, promises).then(() => true), disk.stopped.then(() => false)]);
  return { disk, isDone };
}

async function assertKept(disk: ModelDisk, promises: Promises, story: string): Promise<void> {
  const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
  expect(promises.broken(await recoveredOf(opened)), story).toBeUndefined();
  // What recovery made of it is durable and final: after a power cut right behind it, it is the same log. (Of a killed
  // process's writes some may have been in the cache alone.)
  const before = describeEntries(await readAll(opened.log));
  const { hardState } = opened.log;
  const again = await openLog(disk.afterCrash(1), { segmentBytes: SEGMENT_BYTES });
  expect(describeEntries(await readAll(again.log)), `${story}, opened again`).toEqual(before);
  expect(again.log.hardState, `${story}, opened again`).toEqual(hardState);
  // Nothing is ever written behind bytes that a later start would not read (W11).
  again.log.append(nextEntries(again.log, [{ payloadBytes: 700 }, { payloadBytes: 5_000 }]));
  await again.log.flush();
  expect(again.fatal).toEqual([]);
}

describe('power cuts', () => {
  test('at every disk call, and again during that recovery, keep every promise', {
    timeout: 60_000 * SEEDS,
  }, async () => {
    let stops = 0;
    for (let n = 1; ; n++) {
      const promises = new Promises();
      const { disk, isDone } = await runUntil(n, promises);
      if (isDone) break;
      for (let seed = 0; seed < SEEDS; seed++) {
        const story = `stopped at call ${n}, survival ${seed}`;
        const survivor = disk.afterCrash(n * 1_000 + seed);
        await assertKept(survivor.afterCrash(0), promises, story);
        const random = seededRandom(n * 7_919 + seed);
        const second = 1 + Math.floor(random() * 60);
        const interrupted = survivor.afterCrash(0, { onCall: (call) => (call.number === second ? 'stop' : undefined) });
        const recovering = openLog(interrupted, { segmentBytes: SEGMENT_BYTES }).then(() => undefined);
        await Promise.race([recovering, interrupted.stopped]);
        const twice = interrupted.afterCrash(n * 31 + seed);
        await assertKept(twice, promises, `${story}, again at call ${second} of the recovery`);
        stops++;
      }
      await assertKept(disk.afterKill(), promises, `killed at call ${n}`);
    }
    expect(stops).toBeGreaterThan(200);
  });
});
