import { describe, expect, test } from 'vitest';
import { Reads, type ReadsParts } from '../../src/partition/reads.ts';
import { CacheBudget, TailCache } from '../../src/partition/tail-cache.ts';
import { type LogEntry, StorageError } from '../../storage/index.ts';
import { entries } from './support/entries.ts';

/** Offsets 0..1, none, 2, none, 3..5. The last entry is not committed. */
const FIVE = entries(
  { values: ['a', 'b'] },
  { kind: 'no-op' },
  { values: ['c'] },
  { kind: 'no-op' },
  { values: ['d', 'e', 'f'] },
);

interface Bench {
  readonly reads: Reads;
  readonly state: { logStart: number; highWatermark: number; appliedIndex: number };
  readonly cache: TailCache;
  diskReads: number;
  readonly repaired: number[];
  /** Thrown by the next reads from disk, one each. */
  readonly failures: StorageError[];
  canRepair: boolean;
  /** Runs in the middle of a read from disk. */
  meanwhile: () => void;
}

function bench(cached: readonly LogEntry[] = []): Bench {
  const cache = new TailCache(new CacheBudget(1_000_000));
  cache.append(cached);
  const state = { logStart: 0, highWatermark: 3, appliedIndex: 4 };
  const made: Bench = {
    state,
    cache,
    diskReads: 0,
    repaired: [],
    failures: [],
    canRepair: true,
    meanwhile: () => undefined,
    reads: new Reads({
      state,
      cache,
      log: {
        indexOfOffset: async (offset: number) =>
          FIVE.find(({ header }) => header.baseOffset + header.recordCount > offset)!.header.index,
        read: async (from: number) => {
          made.diskReads += 1;
          await Promise.resolve();
          made.meanwhile();
          const failure = made.failures.shift();
          if (failure !== undefined) throw failure;
          return FIVE.slice(from - 1);
        },
        offsetOfTime: async () => {
          const failure = made.failures.shift();
          if (failure !== undefined) throw failure;
          return 5;
        },
      },
      repair: async (index: number) => {
        made.repaired.push(index);
        return made.canRepair;
      },
    } as unknown as ReadsParts),
  };
  return made;
}

const payloads = (...at: readonly number[]): Uint8Array[] => at.map((one) => FIVE[one]!.payload);

describe('a read', () => {
  test.each([
    ['from the cache', FIVE],
    ['from disk', []],
  ])('%s gives committed batches only, and whole ones', async (_, cached) => {
    const { reads } = bench(cached);
    expect(await reads.read(0, 1_000_000)).toEqual({
      kind: 'batches',
      batches: payloads(0, 2),
      nextOffset: 3,
      isCompacted: false,
    });
    expect(await reads.read(1, 1)).toMatchObject({ kind: 'batches', batches: expect.arrayContaining(payloads(0)) });
    expect(await reads.read(2, 1_000_000)).toEqual({
      kind: 'batches',
      batches: payloads(2),
      nextOffset: 3,
      isCompacted: false,
    });
  });

  test('of what the cache holds leaves the disk alone', async () => {
    const made = bench(FIVE);
    await made.reads.read(1, 1_000_000);
    expect(made.diskReads).toBe(0);
  });

  test('at the tail, past it and below the start is told apart', async () => {
    const made = bench(FIVE);
    made.state.logStart = 2;
    expect(await made.reads.read(3, 1)).toEqual({ kind: 'at-tail' });
    expect(await made.reads.read(4, 1)).toEqual({ kind: 'out-of-range' });
    expect(await made.reads.read(1, 1)).toEqual({ kind: 'trimmed' });
    expect(await made.reads.read(2, 1)).toMatchObject({ kind: 'batches' });
  });

  test('that a trim overtakes is told so', async () => {
    const made = bench();
    made.failures.push(new StorageError('TRIMMED', 'gone'));
    expect(await made.reads.read(0, 1)).toEqual({ kind: 'trimmed' });
  });

  test('of a damaged entry is repaired and read again', async () => {
    const made = bench();
    made.failures.push(new StorageError('CORRUPT', 'bad', { index: 1 }));
    expect(await made.reads.read(0, 1_000_000)).toMatchObject({ kind: 'batches', nextOffset: 3 });
    expect(made.repaired).toEqual([1]);
  });

  test('of an entry that fails again behind a repair that found nothing to do ends by name, and not never', async () => {
    const made = bench();
    const bad = new StorageError('CORRUPT', 'bad', { index: 1, file: '/x', position: 77 });
    made.failures.push(bad, bad);
    expect(await made.reads.read(0, 1)).toEqual({ kind: 'damaged', file: '/x', position: 77 });
    expect(made.repaired).toEqual([1]);
  });

  test('of a damaged entry that nobody can supply fails by name', async () => {
    const made = bench();
    made.canRepair = false;
    made.failures.push(new StorageError('CORRUPT', 'bad', { index: 1, file: '/x', position: 77 }));
    expect(await made.reads.read(0, 1)).toEqual({ kind: 'damaged', file: '/x', position: 77 });
  });

  test('that the disk fails is named, and nothing is fetched for it', async () => {
    const made = bench();
    made.failures.push(new StorageError('IO', 'EIO', { file: '/x' }));
    expect(await made.reads.read(0, 1)).toEqual({ kind: 'damaged', file: '/x', position: undefined });
    expect(made.repaired).toEqual([]);
  });

  test('that finds too many files open says nothing of the bytes', async () => {
    const made = bench();
    const cause = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
    made.failures.push(new StorageError('IO', 'open failed', { file: '/x', cause }));
    expect(await made.reads.read(0, 1)).toMatchObject({ kind: 'busy', file: '/x' });
    expect(made.repaired).toEqual([]);
    expect(await made.reads.read(0, 1)).toMatchObject({ kind: 'batches' });
  });

  test('of bytes that a newer version wrote is no outcome but an error', async () => {
    const made = bench();
    made.failures.push(new StorageError('UNSUPPORTED', 'new'));
    await expect(made.reads.read(0, 1)).rejects.toThrow('new');
  });
});

describe('under a veil', () => {
  test.each([
    ['from the cache', FIVE],
    ['from disk', []],
  ])('a read %s ends where it was drawn, and goes on once the entry it waits for is applied', async (_, cached) => {
    const { reads, state } = bench(cached);
    Object.assign(state, { highWatermark: 2, appliedIndex: 1 });
    reads.veil(4);
    const woken: string[] = [];
    reads.watch(2, (reason) => woken.push(`tail ${reason}`));
    reads.watchApplied(3, (reason) => woken.push(`index ${reason}`));
    Object.assign(state, { highWatermark: 3, appliedIndex: 3 });
    reads.applied();
    expect([reads.tail, reads.appliedIndex, woken]).toEqual([2, 1, []]);
    expect(await reads.read(0, 1_000_000)).toMatchObject({ batches: payloads(0), nextOffset: 2 });
    expect(await reads.read(2, 1_000_000)).toEqual({ kind: 'at-tail' });
    expect(await reads.offsetOfTime(7)).toEqual({ kind: 'offset', offset: 2 });

    state.appliedIndex = 4;
    reads.applied();
    expect([reads.tail, reads.appliedIndex, woken.length]).toEqual([3, 4, 2]);
    expect(await reads.read(2, 1_000_000)).toMatchObject({ batches: payloads(2), nextOffset: 3 });
  });

  test('a later one moves its end, and neither moves where it begins', () => {
    const { reads, state } = bench();
    Object.assign(state, { highWatermark: 2, appliedIndex: 1 });
    reads.veil(3);
    Object.assign(state, { highWatermark: 3, appliedIndex: 2 });
    reads.veil(4);
    reads.veil(3);
    Object.assign(state, { appliedIndex: 3 });
    reads.applied();
    expect([reads.tail, reads.appliedIndex]).toEqual([2, 1]);
  });

  test('what is trimmed meanwhile moves the tail no more than anything else, and nothing is left below it', async () => {
    const { reads, state } = bench();
    Object.assign(state, { highWatermark: 1, appliedIndex: 0 });
    reads.veil(4);
    Object.assign(state, { logStart: 2, highWatermark: 3, appliedIndex: 3 });
    reads.applied();
    expect([reads.earliest, reads.tail]).toEqual([1, 1]);
    expect(await reads.read(0, 1_000)).toEqual({ kind: 'trimmed' });
    expect(await reads.read(1, 1_000)).toEqual({ kind: 'at-tail' });
  });

  test('there is none for what is applied already', () => {
    const { reads } = bench();
    reads.veil(4);
    expect(reads.tail).toBe(3);
  });
});

describe('a closed partition', () => {
  test('says so at once, at the tail too: there is nothing left to wait for', async () => {
    const made = bench(FIVE);
    made.reads.close();
    expect(await made.reads.read(3, 1)).toEqual({ kind: 'closed' });
    expect(await made.reads.read(0, 1)).toEqual({ kind: 'closed' });
    expect(await made.reads.offsetOfTime(1)).toEqual({ kind: 'closed' });
  });

  test.each([
    ['CLOSED', new StorageError('CLOSED', 'the log is closed')],
    ['IO', new StorageError('IO', 'EBADF')],
  ])('that closes during a read ends it, whatever the disk says (%s)', async (_, failure) => {
    const made = bench();
    made.failures.push(failure);
    made.meanwhile = () => made.reads.close();
    expect(await made.reads.read(0, 1)).toEqual({ kind: 'closed' });
  });
});

describe('looking for a time', () => {
  test('stays within what can be read', async () => {
    const made = bench();
    expect(await made.reads.offsetOfTime(1)).toEqual({ kind: 'offset', offset: 3 });
    made.state.logStart = 6;
    made.state.highWatermark = 9;
    expect(await made.reads.offsetOfTime(1)).toEqual({ kind: 'offset', offset: 6 });
  });

  test('repairs what it meets, or names it', async () => {
    const made = bench();
    made.failures.push(new StorageError('CORRUPT', 'bad', { index: 2 }));
    expect(await made.reads.offsetOfTime(1)).toMatchObject({ kind: 'offset' });
    made.canRepair = false;
    made.failures.push(new StorageError('CORRUPT', 'bad', { index: 2, file: '/x' }));
    expect(await made.reads.offsetOfTime(1)).toMatchObject({ kind: 'damaged', file: '/x' });
  });
});
