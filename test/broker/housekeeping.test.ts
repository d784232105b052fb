import { afterEach, describe, expect, test } from 'vitest';
import { HOUSEKEEPING_BYTES_MAX, isSealDue } from '../../src/broker/retention.ts';
import { encodeControl } from '../../src/partition/control.ts';
import { Snapshots } from '../../src/partition/snapshots.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { MemoryDisk } from '../../storage/index.ts';
import { type EntryFields, entriesAfter, follow } from '../partition/support/entries.ts';
import { openLog } from '../partition/support/open-log.ts';
import { Turns } from '../partition/support/state-bytes.ts';

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const KEEP_ALL = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };
const DAY_MS = 86_400_000;

/** A partition's log and snapshots, with a segment of the size they have in production, looked after as upkeep does. */
async function idlePartition(): Promise<{
  readonly disk: MemoryDisk;
  append(...rows: readonly EntryFields[]): Promise<void>;
  upkeep(): Promise<void>;
  diskBytes(): Promise<number>;
}> {
  const disk = new MemoryDisk();
  const state = new PartitionState(undefined);
  const { log, close } = await openLog({
    disk,
    segmentBytes: 64 * 1024 * 1024,
    onSealed: (last) => snapshots.sealed(last),
  });
  closers.push(close);
  const snapshots = new Snapshots({
    log,
    state,
    timers: new Turns(),
    createMachine: undefined,
    onTrimmed: () => undefined,
    onFailure: (error) => {
      throw error;
    },
  });
  let last: ReturnType<typeof entriesAfter>[number] | undefined;
  return {
    disk,
    append: async (...rows) => {
      const list = entriesAfter(follow(last), ...rows);
      last = list.at(-1);
      log.append(list);
      await log.flush();
      for (const { header, payload } of list) state.apply(header, payload);
      log.setCommitHint(state.appliedIndex);
      snapshots.applied();
    },
    upkeep: async () => {
      const active = log.segments().at(-1)!;
      if (isSealDue(active, { logStart: state.logStart, retention: KEEP_ALL, nowMs: 1e15 })) await log.roll();
      await snapshots.settled();
    },
    diskBytes: async () => {
      let bytes = 0;
      const directory = '/data/logs/0000000001';
      for (const { name } of await disk.list(directory)) {
        bytes += (await disk.stat(`${directory}/${name}`))?.bytes ?? 0;
      }
      return bytes;
    },
  };
}

describe('a partition in which nothing happens', () => {
  test('holds a bounded log after 20,000 leader changes, a day apart each', async () => {
    const idle = await idlePartition();
    let most = 0;
    for (let term = 1; term <= 20_000; term += 1) {
      await idle.append({ kind: 'no-op', term, appendTimeMs: term * DAY_MS });
      if (term % 50 !== 0) continue;
      await idle.upkeep();
      most = Math.max(most, await idle.diskBytes());
    }
    // The active segment, which grows in steps that double, and the snapshots at its ends.
    expect(most).toBeLessThan(3 * HOUSEKEEPING_BYTES_MAX);
    expect(most).toBeGreaterThan(HOUSEKEEPING_BYTES_MAX);
  });

  test('gives up the segment with its records, too, once they are trimmed', async () => {
    const idle = await idlePartition();
    for (let i = 0; i < 300; i += 1) await idle.append({ values: ['x'.repeat(10_000)] });
    const before = await idle.diskBytes();
    await idle.append({ kind: 'control', payload: encodeControl({ kind: 'trim', before: 300 }) });
    await idle.upkeep();
    expect(before).toBeGreaterThan(3_000_000);
    expect(await idle.diskBytes()).toBeLessThan(100_000);
  });
});
