/** A leader cuts what this log holds while the entry there is being put back: both were asked for, the cut wins. */
import { expect, test } from 'vitest';
import type { LogEntry } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { nextEntries, openLog, readAll } from '../support/storage-fixture.ts';
import { holdCalls } from './support/hold-calls.ts';

/** Six entries of one frame, all but the first unknown to be committed; from the third on they are damaged. */
async function damagedTail(): Promise<{ disk: ModelDisk; whole: LogEntry[] }> {
  const written = new ModelDisk();
  const { directory, log } = await openLog(written);
  log.append(nextEntries(log, Array(6).fill({ payloadBytes: 90 })));
  await log.flush();
  log.setCommitHint(1);
  const whole = await readAll(log);
  await directory.close();
  const [segment] = written.files().filter((path) => path.endsWith('.segment'));
  const disk = written.afterCrash(0);
  disk.damage(segment!, (bytes) => {
    const changed = bytes.slice();
    const third = 4096 + 96 + 2 * (96 + 90);
    changed[third + 20]! ^= 1;
    return changed;
  });
  return { disk, whole };
}

test.each([2, 3])('an entry that is cut away from %i on while it is put back leaves no damage behind', async (from) => {
  const { disk, whole } = await damagedTail();
  const { log, fatal } = await openLog(disk);
  expect(log.damage).toMatchObject([{ firstIndex: 3, lastIndex: 6 }]);
  const held = holdCalls(disk, 'writeDurable', '.segment');
  const repairing = log.repair(whole[2]!);
  await disk.until(() => held.waiting > 0);
  log.truncateSuffix(from);
  log.append(nextEntries(log, Array(6).fill({ term: 2, payloadBytes: 50 })));
  const terms = log.termRuns();
  held.release();
  await repairing;
  await log.flush();
  expect([log.damage, log.lastIndex, log.termRuns(), fatal]).toEqual([[], from + 5, terms, []]);
  expect((await readAll(log)).length).toBe(from + 5);
});
