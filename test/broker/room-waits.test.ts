/** Work on logs that waits for room, and for whatever else passes. */
import { expect, test } from 'vitest';
import { RoomWaits } from '../../src/broker/room-waits.ts';
import { StorageError } from '../../storage/index.ts';
import { ManualTimers } from '../support/storage-fixture.ts';

function failure(code: 'FULL' | 'IO', errno: string): StorageError {
  return new StorageError(code, `open failed: ${errno}`, { cause: Object.assign(new Error(errno), { code: errno }) });
}

test.each([
  ['ENOSPC', failure('FULL', 'ENOSPC')],
  // Of a file that is only read: connections took all handles there are.
  ['EMFILE', failure('IO', 'EMFILE')],
])('a log that cannot be opened for %s is opened when that has passed', async (_, error) => {
  const timers = new ManualTimers();
  const told: string[] = [];
  const waits = new RoomWaits(timers, {
    onWaiting: (groupId) => told.push(`${groupId} waits`),
    onGoneOn: (groupId) => told.push(`${groupId} goes on`),
  });
  let attempts = 0;
  const work = async (): Promise<void> => {
    attempts += 1;
    if (attempts < 3) throw error;
  };
  const done = waits.run(7, work, () => false);
  for (let n = 0; n < 10; n++) {
    await new Promise(setImmediate);
    timers.fire();
  }
  await done;
  expect([told, waits.isAny]).toEqual([['7 waits', '7 goes on'], false]);
});

test('what does not pass is told at once', async () => {
  const waits = new RoomWaits(new ManualTimers(), { onWaiting: () => undefined, onGoneOn: () => undefined });
  const work = async (): Promise<void> => {
    throw failure('IO', 'EIO');
  };
  await expect(waits.run(7, work, () => false)).rejects.toMatchObject({ code: 'IO' });
});
