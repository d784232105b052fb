/** A log as its callers see it: what reads answer, what cuts, trims, snapshots and installs leave. */
import { describe, expect, test } from 'vitest';
import { FRAME_MAGIC } from '../../storage/frame.ts';
import { encodeEntry, entryBytes, isStorageError, type Log, MemoryDisk, type Snapshot } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { seededRandom } from '../support/model-tree.ts';
import {
  bytesOf,
  describeEntries,
  type EntrySpec,
  nextEntries,
  type Opened,
  openLog,
  readAll,
} from '../support/storage-fixture.ts';

const SEGMENT_BYTES = 16 * 1024;

async function logOf(specs: readonly EntrySpec[], disk: MemoryDisk = new MemoryDisk()): Promise<Opened> {
  const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
  opened.log.append(nextEntries(opened.log, specs));
  await opened.log.flush();
  return opened;
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isStorageError(error)) return error.code;
    throw error;
  }
  return 'no error';
}

/** Where each frame of a segment begins. */
function framesOf(bytes: Uint8Array): number[] {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(FRAME_MAGIC);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const frames: number[] = [];
  for (let at = buffer.indexOf(magic); at >= 0; at = buffer.indexOf(magic, at + 1)) frames.push(at - 4);
  return frames;
}

/** The state just after the log's last entry. */
function snapshotOf(log: Log, state: Uint8Array = bytesOf('state', 30)): Snapshot {
  const { lastIndex: index, lastTerm: term, nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
  return { index, term, nextOffset, appendTimeMs, chain, state };
}

describe('a log with a first offset', () => {
  test('begins there, keeps it over starts, and takes no notice of it once it exists', async () => {
    const disk = new ModelDisk();
    const first = await openLog(disk, { firstOffset: 1_000 });
    expect([first.log.firstIndex, first.log.firstOffset, first.log.nextOffset]).toEqual([1, 1_000, 1_000]);
    first.log.append(nextEntries(first.log, [{ records: 3 }]));
    await first.log.flush();
    await first.directory.close();
    const again = await openLog(disk.afterCrash(1), { firstOffset: 5 });
    expect([again.log.firstOffset, again.log.nextOffset]).toEqual([1_000, 1_003]);
    expect((await again.log.read(1, 1))[0]!.header.baseOffset).toBe(1_000);
  });
});

describe('reading', () => {
  test('goes on where the last read ended, also when a repair has moved what lies there', async () => {
    const disk = new ModelDisk();
    const { log } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    for (const payloadBytes of [200, 300, 100, 150, 250]) {
      log.append(nextEntries(log, [{ payloadBytes }]));
      await log.flush();
    }
    await log.roll();
    const entries = await readAll(log);
    // Ends in front of entry 4.
    expect(await log.read(2, entryBytes(entries[1]!) + entryBytes(entries[2]!))).toHaveLength(2);
    const path = disk.files().find((file) => file.endsWith('1.segment'))!;
    disk.damage(path, (bytes) => {
      const frames = framesOf(bytes);
      bytes.fill(0, frames[1], frames[3]! + 200);
      return bytes;
    });
    expect(await codeOf(() => log.read(2, 1))).toBe('CORRUPT');
    while (log.damage.length > 0) await log.repair(entries[log.damage[0]!.firstIndex - 1]!);
    expect(describeEntries(await log.read(4, 1))).toEqual(describeEntries([entries[3]!]));
  });

  test('whole entries come, at least one, stopping before the limit is passed', async () => {
    const { log } = await logOf([{ payloadBytes: 904 }, { payloadBytes: 904 }, { payloadBytes: 904 }]);
    expect(await log.read(1, 1)).toHaveLength(1);
    expect(await log.read(1, 1999)).toHaveLength(1);
    expect(await log.read(1, 2000)).toHaveLength(2);
    expect(await log.read(2, 1_000_000)).toHaveLength(2);
  });

  test('from anywhere, in any order, with any limit gives what was appended', async () => {
    const random = seededRandom(4);
    const specs = Array.from({ length: 400 }, (_, i) => ({ payloadBytes: Math.floor(random() ** 3 * 3000), seed: i }));
    const { log, directory } = await logOf(specs);
    const all = describeEntries(await readAll(log));
    expect(log.segments().length).toBeGreaterThan(5);
    for (let turn = 0; turn < 300; turn++) {
      const from = 1 + Math.floor(random() * 400);
      const entries = await log.read(from, Math.floor(random() * 20_000));
      expect(describeEntries(entries)).toEqual(all.slice(from - 1, from - 1 + entries.length));
    }
    await directory.close();
  });

  test('a long read after a long pause, through many segments, opens few files', async () => {
    const disk = new MemoryDisk();
    const { log } = await logOf(
      Array.from({ length: 300 }, (_, i) => ({ payloadBytes: 1000, seed: i })),
      disk,
    );
    expect(await readAll(log, 500)).toHaveLength(300);
  });

  test('outside of the log is TRIMMED below and OUT_OF_RANGE above', async () => {
    const { log } = await logOf([{}, {}, {}]);
    expect(await codeOf(() => log.read(0, 100))).toBe('TRIMMED');
    expect(await codeOf(() => log.read(4, 100))).toBe('OUT_OF_RANGE');
    expect(await codeOf(() => log.read(Number.NaN, 100))).toBe('OUT_OF_RANGE');
  });

  test('beside a cut gives entries of one history, never of two', async () => {
    const { log } = await logOf(Array.from({ length: 30 }, (_, i) => ({ payloadBytes: 500, seed: i })));
    const reading = [1, 5, 10, 14].map((from) => log.read(from, 20_000));
    log.truncateSuffix(12);
    log.append(nextEntries(log, [{ term: 2 }, {}]));
    for (const result of await Promise.allSettled(reading)) {
      if (result.status === 'rejected') {
        expect(isStorageError(result.reason, 'OUT_OF_RANGE')).toBe(true);
        continue;
      }
      for (const { header } of result.value) expect(header.term).toBe(log.termAt(header.index));
    }
    expect((await readAll(log)).map(({ header }) => header.term)).toEqual([...Array(11).fill(1), 2, 2]);
  });
});

describe('reading while files go', () => {
  test('beside a trim or an install is answered, or TRIMMED, never with an error of the disk', async () => {
    for (const kind of ['trim', 'install'] as const) {
      for (let delay = 0; delay < 60; delay++) {
        const { log } = await logOf(Array.from({ length: 30 }, (_, i) => ({ payloadBytes: 1500, seed: i })));
        const { index, term } = await log.roll();
        await log.saveSnapshot({ ...snapshotOf(log), index, term });
        log.append(nextEntries(log, [{}]));
        await log.flush();
        const state = { index: 99, term: 5, nextOffset: 0, appendTimeMs: 9999, chain: { high: 1, low: 1 } };
        const change = kind === 'trim' ? log.trimPrefix(31) : log.installSnapshot({ ...state, state: bytesOf(1, 5) });
        for (let i = 0; i < delay; i++) await Promise.resolve();
        const reads = [1, 9, 17, 29].flatMap((from) => [
          log.read(from, 2000),
          log.chainBefore(from),
          log.offsetOfTime(from),
        ]);
        for (const read of await Promise.allSettled<unknown>(reads)) {
          if (read.status === 'rejected')
            expect(isStorageError(read.reason, 'TRIMMED'), String(read.reason)).toBe(true);
        }
        await change;
        expect(await codeOf(() => log.read(29, 10))).toBe('TRIMMED');
      }
    }
  });
});

describe('offsets and times', () => {
  const specs: EntrySpec[] = [
    { appendTimeMs: 100 },
    { records: 3, appendTimeMs: 200 },
    { appendTimeMs: 200 },
    { records: 1, appendTimeMs: 300 },
    { appendTimeMs: 400 },
  ];

  async function ask(log: Log): Promise<void> {
    expect(await Promise.all([0, 1, 2, 3].map((offset) => log.indexOfOffset(offset)))).toEqual([2, 2, 2, 4]);
    expect(await codeOf(() => log.indexOfOffset(4))).toBe('OUT_OF_RANGE');
    const times = [0, 100, 101, 200, 201, 300, 400, 401];
    expect(await Promise.all(times.map((time) => log.offsetOfTime(time)))).toEqual([0, 0, 0, 0, 3, 3, 4, 4]);
  }

  test('lead to the same entries whether they are in memory, flushed, sealed or recovered', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    log.append(nextEntries(log, specs));
    await ask(log);
    await log.flush();
    await ask(log);
    await log.roll();
    await ask(log);
    await directory.close();
    await ask((await openLog(disk, { segmentBytes: SEGMENT_BYTES })).log);
  });

  test('agree with a plain walk over many segments', async () => {
    const random = seededRandom(11);
    const many = Array.from({ length: 500 }, (_, i): EntrySpec => {
      const records = random() < 0.7 ? { records: 1 + Math.floor(random() * 5) } : {};
      return {
        ...records,
        payloadBytes: 61 + Math.floor(random() * 400),
        appendTimeMs: 1000 + Math.floor(i / 3),
        seed: i,
      };
    });
    const { log } = await logOf(many);
    const headers = (await readAll(log)).map((entry) => entry.header);
    for (let offset = 0; offset < log.nextOffset; offset += 7) {
      const expected = headers.find((header) => header.baseOffset + header.recordCount > offset)!.index;
      expect(await log.indexOfOffset(offset)).toBe(expected);
    }
    for (let time = 995; time < 1180; time += 3) {
      const expected = headers.find((header) => header.appendTimeMs >= time)?.baseOffset ?? log.nextOffset;
      expect(await log.offsetOfTime(time)).toBe(expected);
    }
    for (let index = 1; index <= log.lastIndex; index += 13) {
      const expected = index === 1 ? { high: 0, low: 0 } : headers[index - 2]!.chain;
      expect(await log.chainBefore(index)).toEqual(expected);
    }
  });
});

describe('appending', () => {
  test('entries that do not follow are broken invariants', async () => {
    const { log } = await logOf([{}, {}]);
    const [good, next] = nextEntries(log, [{}, {}]);
    expect(() => log.append([next!])).toThrow(/index 4 after 2/);
    const other = await logOf([{ seed: 'other' }, {}]);
    expect(() => log.append(nextEntries(other.log, [{}]))).toThrow(/chain of entry 3/);
    log.append([good!]);
    expect(log.lastIndex).toBe(3);
  });

  test('a payload of any size up to far beyond a segment is stored', async () => {
    const sizes = [0, 1, 4095, 4096, 4097, 70_000, 300_000];
    const { log, directory } = await logOf(sizes.map((payloadBytes, seed) => ({ payloadBytes, seed })));
    expect((await readAll(log)).map((entry) => entry.payload.length)).toEqual(sizes);
    await directory.close();
    expect(await codeOf(() => log.append([]))).toBe('CLOSED');
  });
});

describe('cutting the suffix', () => {
  test('at every index of a log of several segments leaves exactly the entries before it, for good', async () => {
    const specs = Array.from({ length: 40 }, (_, i) => ({ payloadBytes: 1000, seed: i, term: 1 + Math.floor(i / 9) }));
    for (let from = 1; from <= 40; from++) {
      const disk = new MemoryDisk();
      const { log, directory } = await logOf(specs, disk);
      const before = describeEntries(await readAll(log));
      log.truncateSuffix(from);
      log.append(nextEntries(log, [{ term: 20, seed: 'new' }]));
      const after = describeEntries(await readAll(log));
      expect(after.slice(0, -1), `cut at ${from}`).toEqual(before.slice(0, from - 1));
      await directory.close();
      const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
      expect(describeEntries(await readAll(again.log)), `cut at ${from}, opened again`).toEqual(after);
      expect(again.log.termRuns()).toEqual(log.termRuns());
      expect(again.log.damage).toEqual([]);
    }
  });

  test('twice in a row, deeper, before the disk followed the first time', async () => {
    const { log } = await logOf(Array.from({ length: 40 }, (_, i) => ({ payloadBytes: 1000, seed: i })));
    log.truncateSuffix(35);
    log.append(nextEntries(log, [{ term: 2 }]));
    log.truncateSuffix(20);
    log.append(nextEntries(log, [{ term: 3 }, {}]));
    await log.flush();
    expect(log.termRuns()).toEqual([
      { term: 1, lastIndex: 19 },
      { term: 3, lastIndex: 21 },
    ]);
    expect(await readAll(log)).toHaveLength(21);
  });
});

describe('snapshots and trims', () => {
  test('a prefix goes only up to a segment whose end has its state stored', async () => {
    const { log } = await logOf(Array.from({ length: 10 }, (_, i) => ({ payloadBytes: 300, seed: i })));
    const first = await log.roll();
    log.append(nextEntries(log, [{}, {}]));
    await log.flush();
    expect(await log.trimPrefix(99)).toBe(1);
    const chain = await log.chainBefore(first.index + 1);
    await log.saveSnapshot({ ...snapshotOf(log), ...first, chain, appendTimeMs: 10 });
    expect(await log.trimPrefix(first.index)).toBe(1);
    expect(await log.trimPrefix(99)).toBe(first.index + 1);
    expect(log.base).toEqual(first);
    expect(await codeOf(() => log.read(first.index, 10))).toBe('TRIMMED');
    expect(await codeOf(() => log.chainBefore(first.index))).toBe('TRIMMED');
    expect(await log.chainBefore(first.index + 1)).toEqual(chain);
    expect(await readAll(log)).toHaveLength(2);
  });

  test('a snapshot waits for the entries it covers to be flushed', async () => {
    const { log, flushed } = await openLog(new MemoryDisk());
    log.append(nextEntries(log, [{}, {}]));
    await log.saveSnapshot(snapshotOf(log));
    expect(flushed.at(-1)?.index).toBe(2);
    expect(log.commitHint).toBe(2);
  });

  test('a rotten newest snapshot leaves the one before; without any the trimmed log does not open', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await logOf([{}, {}], disk);
    await log.roll();
    await log.saveSnapshot(snapshotOf(log, bytesOf('one', 20)));
    log.append(nextEntries(log, [{}]));
    await log.roll();
    await log.saveSnapshot(snapshotOf(log, bytesOf('two', 20)));
    await log.trimPrefix(3);
    await directory.close();
    const rot = async (index: number) => {
      const file = await disk.open(`/data/logs/0000000001/snapshot-${String(index).padStart(16, '0')}`, 'write');
      await file.write(60, [new Uint8Array([1, 2, 3])]);
    };
    await rot(3);
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(again.log.latestSnapshot?.index).toBe(2);
    expect(again.log.latestSnapshot?.state).toEqual(bytesOf('one', 20));
    await again.directory.close();
    await rot(2);
    await expect(openLog(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('a snapshot of many parts comes back as it was, and a rotten byte in any of them is noticed', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await logOf([{}, {}], disk);
    await log.roll();
    const state = new Uint8Array(3 * 1024 * 1024 + 5).map((_, at) => at % 251);
    await log.saveSnapshot(snapshotOf(log, state));
    await directory.close();
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(Buffer.compare(again.log.latestSnapshot!.state, state)).toBe(0);
    await again.directory.close();
    const file = await disk.open(`/data/logs/0000000001/snapshot-${'2'.padStart(16, '0')}`, 'write');
    const byte = new Uint8Array(1);
    for (const at of [200, 1_500_000, 3 * 1024 * 1024]) {
      await file.read(at, byte);
      await file.write(at, [new Uint8Array([byte[0]! ^ 1])]);
      const { log: rotten, directory: opened } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
      expect(rotten.latestSnapshot, `byte ${at}`).toBeUndefined();
      await opened.close();
      await file.write(at, [byte]);
    }
  });

  test('an install replaces everything, and the log goes on behind it', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await logOf([{}, {}, {}], disk);
    const state = { index: 70, term: 6, nextOffset: 900, appendTimeMs: 5000, chain: { high: 3, low: 4 } };
    const installing = log.installSnapshot({ ...state, state: bytesOf('i', 9) });
    expect(() => log.append([])).toThrow(/replaced by a snapshot/);
    await installing;
    expect([log.firstIndex, log.lastIndex, log.lastTerm, log.nextOffset]).toEqual([71, 70, 6, 900]);
    expect(log.flushed).toEqual({ term: 6, index: 70 });
    expect(log.termRuns()).toEqual([]);
    log.append(nextEntries(log, [{ records: 2 }]));
    await log.flush();
    await directory.close();
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect([again.log.firstIndex, again.log.lastIndex, again.log.nextOffset]).toEqual([71, 71, 902]);
    expect(again.log.latestSnapshot?.index).toBe(70);
    expect((await disk.list('/data/logs/0000000001')).map((item) => item.name)).toEqual([
      '0000000000000002.segment',
      'hard-state',
      'manifest',
      'snapshot-0000000000000070',
    ]);
  });
});

describe('repair', () => {
  test('takes only the entry that was there: index, chain, size and payload must fit', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await logOf([{ seed: 1 }, { seed: 2 }, { seed: 3 }], disk);
    const entries = await readAll(log);
    await directory.close();
    const file = await disk.open('/data/logs/0000000001/0000000000000001.segment', 'write');
    await file.write(4096 + 96 + 196 + 150, [new Uint8Array([1, 2, 3])]);
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(again.log.damage).toMatchObject([{ firstIndex: 2, lastIndex: 2 }]);
    expect(await codeOf(() => again.log.read(2, 10))).toBe('CORRUPT');
    expect(await codeOf(() => again.log.repair(entries[0]!))).toBe('OUT_OF_RANGE');
    const other = await logOf([{ seed: 1 }, { seed: 'x' }]);
    expect(await codeOf(async () => again.log.repair((await readAll(other.log))[1]!))).toBe('OUT_OF_RANGE');
    const spoiled = { ...entries[1]!, payload: bytesOf('spoiled', entries[1]!.payload.length) };
    expect(await codeOf(() => again.log.repair(spoiled))).toBe('OUT_OF_RANGE');
    await again.log.repair(entries[1]!);
    expect(again.log.damage).toEqual([]);
    expect(describeEntries(await readAll(again.log))).toEqual(describeEntries(entries));
  });

  test('of a tail across terms ends the guesses at them, also in the segment that is sealed next', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await logOf([{ term: 1 }], disk);
    for (const specs of [[{ term: 1 }, { term: 1 }, { term: 3 }], [{ term: 3 }]]) {
      log.append(nextEntries(log, specs));
      await log.flush();
    }
    const entries = await readAll(log);
    const runs = log.termRuns();
    await directory.close();
    const path = '/data/logs/0000000001/0000000000000001.segment';
    const file = await disk.open(path, 'write');
    const bytes = Buffer.alloc(await file.bytes());
    await file.read(0, bytes);
    // The header of entry 2: nothing says any more where the entries behind it begin.
    await file.write(bytes.indexOf(entries[1]!.headerBytes), [new Uint8Array(8)]);
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(again.log.damage).toMatchObject([{ firstIndex: 2, lastIndex: 4, where: 'tail' }]);
    expect(again.log.termAt(2)).toBe(3);
    const chain = await again.log.chainBefore(2);
    const foreign = encodeEntry({ ...entries[1]!.header, term: 4, payload: entries[1]!.payload }, chain);
    expect(await codeOf(() => again.log.repair(foreign))).toBe('OUT_OF_RANGE');
    for (const [at, terms] of [
      [1, [1, 3, 3]],
      [2, [1, 1, 3]],
      [3, [1, 1, 3]],
    ] as const) {
      await again.log.repair(entries[at]!);
      expect([2, 3, 4].map((index) => again.log.termAt(index))).toEqual(terms);
    }
    expect(again.log.termRuns()).toEqual(runs);
    await again.log.roll();
    await again.directory.close();
    expect((await openLog(disk, { segmentBytes: SEGMENT_BYTES })).log.termRuns()).toEqual(runs);
  });
});
