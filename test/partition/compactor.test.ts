/** Key compaction of one log, against a naive model: the last record of each key, tombstones, stops in between. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CompactionOutcome, Compactor } from '../../src/partition/compactor.ts';
import { encodeControl } from '../../src/partition/control.ts';
import { KeyMap } from '../../src/partition/key-map.ts';
import { Reads } from '../../src/partition/reads.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { CacheBudget, TailCache } from '../../src/partition/tail-cache.ts';
import { crc32cPortable, decodeRecords, encodeRecordBatch, patchBatch, verifyBatch } from '../../src/protocol/index.ts';
import { type Log, type LogEntry, MemoryDisk, StorageError } from '../../storage/index.ts';
import { type EntryFields, entriesAfter, follow } from './support/entries.ts';
import { openLog } from './support/open-log.ts';
import { encodeState } from './support/state-bytes.ts';

interface Put {
  /** undefined: no key. */
  readonly key: string | undefined;
  /** Empty: a tombstone. */
  readonly value: string;
}

interface Seen extends Put {
  readonly offset: number;
}

const HOUR_MS = 3_600_000;

class Bench {
  readonly log: Log;
  readonly compactor: Compactor;
  readonly state: PartitionState;
  /** What is appended, as it was. */
  readonly cache: TailCache = new TailCache(new CacheBudget(1024 * 1024));
  readonly close: () => Promise<void>;
  readonly entries: LogEntry[] = [];
  readonly #segmentBytes: number;
  nowMs = 1_000_000;

  constructor(
    opened: { log: Log; close(): Promise<void> },
    segmentBytes: number,
    state = new PartitionState(undefined),
  ) {
    this.log = opened.log;
    this.close = opened.close;
    this.state = state;
    this.#segmentBytes = segmentBytes;
    this.compactor = new Compactor(this.log, state, this.cache, segmentBytes);
  }

  static async open(disk = new MemoryDisk(), segmentBytes = 64 * 1024): Promise<Bench> {
    return new Bench(await openLog({ disk, segmentBytes }), segmentBytes);
  }

  /** As a start: the state is made of the log, nothing is known of what was compacted. */
  async replayed(): Promise<PartitionState> {
    const state = new PartitionState(undefined);
    for (let next = 1; next <= this.log.lastIndex; ) {
      for (const { header, payload } of await this.log.read(next, 100_000)) {
        state.apply(header, payload);
        next = header.index + 1;
      }
    }
    return state;
  }

  anew(): Compactor {
    return new Compactor(this.log, this.state, this.cache, this.#segmentBytes);
  }

  async append(...rows: readonly EntryFields[]): Promise<void> {
    const list = entriesAfter(
      follow(this.entries.at(-1)),
      ...rows.map((row) => ({ appendTimeMs: this.nowMs, ...row })),
    );
    this.entries.push(...list);
    this.cache.append(list);
    this.log.append(list);
    await this.log.flush();
    for (const { header, payload } of list) this.state.apply(header, payload);
    this.log.setCommitHint(this.log.lastIndex);
  }

  async put(puts: readonly Put[]): Promise<void> {
    const producer = { id: 'ab'.repeat(16), epoch: 0, sequence: this.state.highWatermark };
    const baseOffset = this.log.nextOffset;
    const payload = batchOf(puts);
    // As a leader does: a batch is stored with its offset.
    patchBatch(payload, baseOffset, 1);
    await this.append({ payload, values: puts.map(() => ''), producer });
  }

  async compactedByAll(before: number): Promise<void> {
    await this.append({ kind: 'control', payload: encodeControl({ kind: 'compacted', before }) });
  }

  compact(
    options: { mapBytes?: number; tombstoneRetentionMs?: number; compactor?: Compactor; pace?(): Promise<void> } = {},
  ): Promise<CompactionOutcome> {
    const { mapBytes = 24 * 1024, tombstoneRetentionMs = HOUR_MS, compactor = this.compactor } = options;
    return compactor.run({
      policy: { tombstoneRetentionMs },
      map: new KeyMap(mapBytes),
      nowMs: this.nowMs,
      pace: options.pace ?? (async () => undefined),
    });
  }

  /** Everything a reader from the start is given, with what it checks. */
  async readAll(bytesMax = 5_000): Promise<Seen[]> {
    const { log, state } = this;
    const cache = new TailCache(new CacheBudget(1));
    const reads = new Reads({ log, state, cache, repair: async () => false });
    const seen: Seen[] = [];
    for (let offset = 0; ; ) {
      const outcome = await reads.read(offset, bytesMax);
      if (outcome.kind === 'at-tail') return seen;
      if (outcome.kind !== 'batches') throw new Error(outcome.kind);
      // Behind a hole there always is a record.
      expect(outcome.batches.length).toBeGreaterThan(0);
      let next = offset;
      let count = 0;
      for (const batch of outcome.batches) {
        verifyBatch(batch, crc32cPortable);
        for (const record of decodeRecords(batch)) {
          if (record.offset < offset) continue;
          expect(record.offset).toBeGreaterThanOrEqual(next);
          next = record.offset + 1;
          count += 1;
          const key = record.key === undefined ? undefined : Buffer.from(record.key).toString();
          seen.push({ offset: record.offset, key, value: Buffer.from(record.value).toString() });
        }
      }
      // A hole is flagged.
      if (count < outcome.nextOffset - offset) expect(outcome.isCompacted).toBe(true);
      expect(outcome.nextOffset).toBeGreaterThanOrEqual(next);
      offset = outcome.nextOffset;
    }
  }
}

function batchOf(puts: readonly Put[]): Uint8Array {
  return encodeRecordBatch(
    puts.map(({ key, value }) => ({
      ...(key !== undefined && { key: Buffer.from(key) }),
      value: Buffer.from(value),
    })),
    { nowMs: 1, crc32c: crc32cPortable },
  );
}

/** What a reader who applies all records in order ends up with: live keys, and those that were deleted. */
function finalState(records: readonly Put[]): Map<string, string> {
  const state = new Map<string, string>();
  for (const { key, value } of records) if (key !== undefined) state.set(key, value);
  return state;
}

function live(records: readonly Put[]): Record<string, string> {
  return Object.fromEntries([...finalState(records)].filter(([, value]) => value !== '').sort());
}

const puts = (pairs: readonly (readonly [string, string])[]): Put[] => pairs.map(([key, value]) => ({ key, value }));

describe('a pass of compaction', () => {
  test('leaves the latest record of each key, and every entry with its header', async () => {
    const bench = await Bench.open();
    await bench.put(
      puts([
        ['a', '1'],
        ['b', '1'],
        ['a', '2'],
      ]),
    );
    await bench.put(
      puts([
        ['a', '3'],
        ['c', '1'],
      ]),
    );
    await bench.log.roll();
    await bench.put(puts([['b', '2']]));
    await bench.log.roll();
    await bench.put(puts([['c', '9']]));
    expect(await bench.compact()).toMatchObject({ kind: 'done', isComplete: true, opaqueBatches: 0 });
    const seen = await bench.readAll();
    // What is in the active segment supersedes nothing yet.
    expect(seen.map(({ offset, key, value }) => `${offset}:${key}=${value}`)).toEqual([
      '3:a=3',
      '4:c=1',
      '5:b=2',
      '6:c=9',
    ]);
    const stored = await bench.log.read(1, 100_000);
    expect(stored[0]!.payload).toHaveLength(0);
    expect(stored[0]!.header).toMatchObject({ index: 1, baseOffset: 0, recordCount: 3 });
    expect(encodeState(await bench.replayed())).toEqual(encodeState(bench.state));
    await bench.close();
  });

  test('keeps a tombstone for its time, then until all replicas are compacted, then lets it go', async () => {
    const bench = await Bench.open();
    await bench.put(
      puts([
        ['a', '1'],
        ['b', '1'],
      ]),
    );
    await bench.log.roll();
    await bench.put(puts([['a', '']]));
    await bench.put(puts([['z', '1']]));
    await bench.log.roll();
    const texts = async (): Promise<string[]> => (await bench.readAll()).map(({ key, value }) => `${key}=${value}`);
    await bench.compact();
    expect(await texts()).toEqual(['b=1', 'a=', 'z=1']);
    bench.nowMs += HOUR_MS + 1;
    expect(bench.compactor.isDue({ tombstoneRetentionMs: HOUR_MS }, bench.nowMs)).toBe(false);
    await bench.compact();
    expect(await texts()).toEqual(['b=1', 'a=', 'z=1']);
    await bench.compactedByAll(bench.compactor.cleanOffset);
    expect(bench.compactor.isDue({ tombstoneRetentionMs: HOUR_MS }, bench.nowMs - 2)).toBe(false);
    expect(bench.compactor.isDue({ tombstoneRetentionMs: HOUR_MS }, bench.nowMs)).toBe(true);
    await bench.compact();
    expect(await texts()).toEqual(['b=1', 'z=1']);
    await bench.close();
  });

  test('leaves nothing of what it looked at in memory, where old records are whole still', async () => {
    const bench = await Bench.open();
    await bench.put(puts([['a', '1']]));
    await bench.put(puts([['a', '']]));
    await bench.put(puts([['b', '1']]));
    await bench.log.roll();
    await bench.put(puts([['c', '1']]));
    expect(bench.cache.firstIndex).toBe(1);
    await bench.compact();
    expect(bench.compactor.cleanOffset).toBe(3);
    // Followers get these from the disk now: all as compacted, whatever memory gives up while they are sent.
    expect(bench.cache.slice(1, 4, 10_000)).toBeUndefined();
    expect(bench.cache.firstIndex).toBe(4);
    await bench.close();
  });

  test('never takes out the last record it knows, so that behind a hole there is one', async () => {
    const bench = await Bench.open();
    await bench.put(puts([['a', '1']]));
    await bench.put(puts([['a', '']]));
    await bench.log.roll();
    await bench.compact();
    await bench.compactedByAll(2);
    bench.nowMs += 2 * HOUR_MS;
    await bench.compact();
    expect(await bench.readAll()).toEqual([{ offset: 1, key: 'a', value: '' }]);
    await bench.close();
  });

  test('takes several rounds when the table is too small, and comes to the same end', async () => {
    const bench = await Bench.open();
    const all: Put[] = [];
    for (let i = 0; i < 400; i++) {
      const list = puts([
        [`k${i % 150}`, `${i}`],
        [`once${i}`, 'x'],
      ]);
      all.push(...list);
      await bench.put(list);
      if (i % 40 === 39) await bench.log.roll();
    }
    let rounds = 0;
    for (
      let outcome = await bench.compact({ mapBytes: 24 * 128 });
      ;
      outcome = await bench.compact({ mapBytes: 24 * 128 })
    ) {
      expect(outcome.kind).toBe('done');
      rounds += 1;
      if (outcome.kind === 'done' && outcome.isComplete) break;
    }
    expect(rounds).toBeGreaterThan(5);
    const seen = await bench.readAll();
    expect(seen).toHaveLength(150 + 400);
    expect(live(seen)).toEqual(live(all));
    await bench.close();
  });

  test('leaves a batch it cannot look into alone, says so, and keeps tombstones behind it', async () => {
    const bench = await Bench.open();
    const compressed = batchOf(puts([['a', '1']]));
    new DataView(compressed.buffer).setInt16(21, 1);
    new DataView(compressed.buffer).setUint32(17, crc32cPortable(compressed.subarray(21)));
    await bench.append({ payload: compressed, values: [''] });
    await bench.put(
      puts([
        ['a', ''],
        ['b', '1'],
        ['b', '2'],
      ]),
    );
    await bench.log.roll();
    await bench.compact();
    await bench.compactedByAll(4);
    bench.nowMs += 2 * HOUR_MS;
    expect(await bench.compact()).toMatchObject({ kind: 'done', opaqueBatches: 1 });
    const stored = await bench.log.read(1, 100_000);
    expect(stored[0]!.header.compacted).toBeUndefined();
    expect(decodeRecords(stored[1]!.payload).map(({ offset }) => offset)).toEqual([1, 3]);
    await bench.close();
  });

  test('does not write what stays as it is, and is due only when half of the log is new', async () => {
    const disk = new MemoryDisk();
    const bench = await Bench.open(disk);
    const policy = { tombstoneRetentionMs: HOUR_MS };
    expect(bench.compactor.isDue(policy, bench.nowMs)).toBe(false);
    for (let i = 0; i < 4; i++) {
      await bench.put(puts([[`k${i}`, 'x'.repeat(5_000)]]));
      await bench.log.roll();
    }
    expect(bench.compactor.isDue(policy, bench.nowMs)).toBe(true);
    expect(await bench.compact()).toMatchObject({ kind: 'done', segmentsRewritten: 0, reclaimedBytes: 0 });
    expect(bench.compactor.isDue(policy, bench.nowMs)).toBe(false);
    await bench.put(puts([['k0', 'y']]));
    await bench.log.roll();
    expect(bench.compactor.isDue(policy, bench.nowMs)).toBe(false);
    await bench.close();
  });

  test('is given up, and harms nothing, when the log is damaged or closed under it', async () => {
    const bench = await Bench.open();
    for (let i = 0; i < 10; i++) await bench.put(puts([['a', `${i}`]]));
    await bench.log.roll();
    let calls = 0;
    const outcome = await bench.compact({
      pace: async () => {
        calls += 1;
        if (calls === 2) throw new StorageError('CORRUPT', 'as a read would say');
      },
    });
    expect(outcome).toMatchObject({ kind: 'given-up', why: 'as a read would say' });
    expect(bench.compactor.cleanOffset).toBe(0);
    expect(await bench.readAll()).toHaveLength(10);
    const closing = bench.compact({ pace: () => bench.close() });
    expect(await closing).toMatchObject({ kind: 'given-up' });
  });
});

describe('compaction, whatever is written', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const put = fc.record({ key, value: fc.constantFrom('', '1', '2', '3', 'a longer value') });
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('put' as const), puts: fc.array(put, { minLength: 1, maxLength: 6 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('roll' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('compact' as const), mapBytes: fc.constantFrom(24 * 64, 24 * 1_024) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('wait', 'agree', 'restart', 'no-op') }) },
  );

  test('shows a reader the latest value of each key, and every tombstone that is young', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const bench = await Bench.open();
        const all: (Seen & { readonly atMs: number })[] = [];
        let { compactor } = bench;
        for (const one of steps) {
          if (one.do === 'put') {
            for (const item of one.puts) all.push({ ...item, offset: all.length, atMs: bench.nowMs });
            await bench.put(one.puts);
          } else if (one.do === 'roll') await bench.log.roll();
          else if (one.do === 'compact') await bench.compact({ mapBytes: one.mapBytes, compactor });
          else if (one.do === 'wait') bench.nowMs += HOUR_MS / 2;
          else if (one.do === 'agree') await bench.compactedByAll(compactor.cleanOffset);
          else if (one.do === 'no-op') await bench.append({ kind: 'no-op' });
          else compactor = bench.anew();
        }
        await bench.log.roll();
        await bench.compact({ compactor });
        const seen = await bench.readAll(300);
        expect(live(seen)).toEqual(live(all));
        const byOffset = new Map(all.map((record) => [record.offset, record]));
        for (const { offset, key, value } of seen) expect(byOffset.get(offset)).toMatchObject({ key, value });
        const offsets = new Set(seen.map(({ offset }) => offset));
        const latest = new Map(all.map((record) => [record.key, record]));
        for (const { offset, value, atMs } of latest.values()) {
          if (value !== '' || atMs + HOUR_MS >= bench.nowMs) expect(offsets.has(offset)).toBe(true);
        }
        expect(encodeState(await bench.replayed())).toEqual(encodeState(bench.state));
        await bench.close();
      }),
      { numRuns: 150 },
    );
  });

  test('shows it to a replica that was sent the log by several others, each compacted as far as it liked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(put, { minLength: 1, maxLength: 4 }), { minLength: 4, maxLength: 30 }),
        fc.infiniteStream(fc.boolean()),
        async (batches, chance) => {
          const coin = (): boolean => chance.next().value as boolean;
          const sources = [await Bench.open(), await Bench.open()];
          const all: Put[] = [];
          const agree = async (): Promise<void> => {
            const before = Math.min(...sources.map(({ compactor }) => compactor.cleanOffset));
            for (const source of sources) await source.compactedByAll(before);
          };
          for (const list of batches) {
            all.push(...list);
            for (const source of sources) await source.put(list);
            // Segments are each replica's own business, and so is when it compacts them.
            for (const source of sources) if (coin()) await source.log.roll();
            for (const source of sources) if (coin()) await source.compact();
            if (coin()) await agree();
            if (coin()) for (const source of sources) source.nowMs += HOUR_MS;
          }
          const late = await Bench.open();
          while (late.log.lastIndex < sources[0]!.log.lastIndex) {
            const source = sources[coin() ? 1 : 0]!;
            const sent = (await source.log.read(late.log.lastIndex + 1, 200)).slice(0, 3);
            late.entries.push(...sent);
            late.log.append(sent);
            await late.log.flush();
            for (const { header, payload } of sent) late.state.apply(header, payload);
            late.log.setCommitHint(late.log.lastIndex);
            if (coin()) await late.log.roll();
            if (coin()) await late.compact();
          }
          expect(encodeState(late.state)).toEqual(encodeState(sources[0]!.state));
          expect(late.log.lastChain).toEqual(sources[1]!.log.lastChain);
          expect(live(await late.readAll())).toEqual(live(all));
          for (const each of [...sources, late]) await each.close();
        },
      ),
      { numRuns: 60 },
    );
  });
});
