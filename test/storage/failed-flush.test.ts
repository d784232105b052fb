/** Writes and flushes that fail: each ends its log, once and for good, and loses nothing that was told (W4). */
import { describe, expect, test } from 'vitest';
import type { StorageError } from '../../storage/index.ts';
import { type Call, type CallOutcome, ModelDisk } from '../support/model-disk.ts';
import { CLUSTER_ID, ManualTimers, nextEntries, openLog } from '../support/storage-fixture.ts';

const SMALL = { payloadBytes: 100 };

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
