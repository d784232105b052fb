/**
 * A snapshot that comes in parts, and the disk it is collected on: cut short at every call, by a kill and by a power
 * cut.
 */
import { describe, expect, test } from 'vitest';
import { crc32c } from '../../storage/checksum.ts';
import { IncomingSnapshot, type SnapshotKey } from '../../storage/incoming-snapshot.ts';
import { ModelDisk } from '../support/model-disk.ts';

const OWN = { clusterId: 'c', groupId: 1, diskUuid: '0'.repeat(32) };
const STATE = Uint8Array.from({ length: 20_000 }, (_, at) => (at * 7) % 251);
const KEY: SnapshotKey = { index: 9, term: 2, stateBytes: STATE.length, stateCrc: crc32c(STATE) };
const PART = 3_000;

function on(disk: ModelDisk): IncomingSnapshot {
  return new IncomingSnapshot({ disk, directory: '/l', own: OWN });
}

/** Collects what is missing, reads it back, and begins anew when it does not fit. */
async function collect(disk: ModelDisk): Promise<{ state: Uint8Array; resumedAt: number }> {
  const incoming = on(disk);
  const resumedAt = await incoming.begin(KEY);
  for (;;) {
    let have = await incoming.begin(KEY);
    while (have < STATE.length) have = await incoming.write(STATE.subarray(have, have + PART));
    const state = await incoming.finish();
    if (state !== undefined) return { state, resumedAt };
  }
}

async function made(): Promise<ModelDisk> {
  const disk = new ModelDisk();
  await disk.makeDirectory('/l');
  return disk;
}

describe('a snapshot on its way', () => {
  test('is whole, and is the same bytes, wherever its node was killed or lost power', async () => {
    const calls = await (async () => {
      const disk = await made();
      const before = disk.calls;
      await collect(disk);
      return disk.calls - before;
    })();
    expect(calls).toBeGreaterThan(10);
    let resumed = 0;
    for (let stopAt = 1; stopAt <= calls; stopAt += 1) {
      const disk = new ModelDisk({ onCall: ({ number }) => (number === stopAt + 1 ? 'stop' : undefined) });
      await disk.makeDirectory('/l');
      await Promise.race([collect(disk), disk.stopped]);
      const afterKill = await collect(disk.afterKill());
      expect(afterKill.state).toEqual(STATE);
      if (afterKill.resumedAt > 0) resumed += 1;
      for (const seed of [1, 2, 3]) {
        const after = disk.afterCrash(seed);
        await after.makeDirectory('/l');
        expect((await collect(after)).state).toEqual(STATE);
      }
    }
    // A kill loses nothing that was written.
    expect(resumed).toBeGreaterThan(calls / 3);
  });

  test('goes on where it was, unless another one is offered', async () => {
    const disk = await made();
    const first = on(disk);
    await first.begin(KEY);
    await first.write(STATE.subarray(0, 5_000));
    await first.close();
    expect(await on(disk).begin(KEY)).toBe(5_000);
    for (const other of [{ index: 10 }, { term: 3 }, { stateCrc: 1 }, { stateBytes: 4_999 }]) {
      const incoming = on(disk);
      await incoming.begin(KEY);
      await incoming.write(STATE.subarray(0, 10));
      expect(await incoming.begin({ ...KEY, ...other })).toBe(0);
      await incoming.close();
    }
  });

  test('that does not fit its checksum is gone', async () => {
    const disk = await made();
    const incoming = on(disk);
    await incoming.begin(KEY);
    await incoming.write(new Uint8Array(STATE.length));
    expect(await incoming.finish()).toBeUndefined();
    expect(await incoming.begin(KEY)).toBe(0);
  });
});
