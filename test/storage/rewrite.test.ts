import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { compactEntry } from '../../storage/compacted-entry.ts';
import type { LogEntry, RewritePlan } from '../../storage/index.ts';
import { isStorageError, MemoryDisk } from '../../storage/index.ts';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { seededRandom } from '../support/model-tree.ts';
import { asBatch, bytesOf, nextEntries, type Opened, openLog, readAll } from '../support/storage-fixture.ts';

const SEGMENT_BYTES = 16 * 1024;

/** Every third batch stays, of the next one a smaller batch is left, and of the one behind it nothing. */
function thin(entry: LogEntry): Uint8Array {
  const { index, compacted } = entry.header;
  if (compacted !== undefined || index % 3 === 1) return entry.payload;
  return index % 3 === 2 ? asBatch(bytesOf(`left ${index}`, 80)) : new Uint8Array(0);
}

const PLAN: RewritePlan = { keep: thin, pace: async () => undefined };

/** Three sealed segments of batches, no-ops between them, and an active one. */
async function filled(
  opened: Opened,
  append = (entries: LogEntry[]): void => opened.log.append(entries),
): Promise<void> {
  const { log } = opened;
  for (let segment = 0; segment < 3; segment++) {
    const term = 1 + segment;
    append(nextEntries(log, [{ term }, { payloadBytes: 900, records: 3 }, { payloadBytes: 5_000, records: 2 }]));
    append(nextEntries(log, [{ payloadBytes: 600, records: 1 }, {}, { payloadBytes: 700, records: 7 }]));
    await log.flush();
    log.setCommitHint(log.lastIndex);
    await log.roll();
  }
  append(nextEntries(log, [{ payloadBytes: 300, records: 1 }]));
  await log.flush();
}

/** The entry as the plan leaves it, and as it was, told by header and payload. */
function faces(entry: LogEntry): { readonly header: string; readonly whole: string; readonly thinned: string } {
  const { compacted, ...header } = entry.header;
  const left = entry.header.kind === 'batch' ? thin(entry) : entry.payload;
  return {
    header: JSON.stringify(header),
    whole: Buffer.from(entry.payload).toString('base64'),
    thinned: Buffer.from(left).toString('base64'),
  };
}

describe('rewritten segments', () => {
  test('hold the same entries, headers and chain, with less in them, under every way to look one up', async () => {
    const opened = await openLog(new MemoryDisk(), { segmentBytes: SEGMENT_BYTES });
    const { log } = opened;
    await filled(opened);
    const before = await readAll(log);
    const runs = log.termRuns();
    const result = await log.rewrite(1, log.segments()[2]!.lastIndex, PLAN);
    expect(result!.bytesAfter).toBeLessThan(result!.bytesBefore / 2);
    const after = await readAll(log, 500);
    const sealed = after.length - 1;
    expect(after.map((entry) => faces(entry).header)).toEqual(before.map((entry) => faces(entry).header));
    expect(after.slice(0, sealed).map((entry) => faces(entry).whole)).toEqual(
      before.slice(0, sealed).map((entry) => faces(entry).thinned),
    );
    expect(log.termRuns()).toEqual(runs);
    expect(log.segments().map(({ isSealed }) => isSealed)).toEqual([true, false]);
    for (const { header } of before) {
      expect(await log.chainBefore(header.index + 1)).toEqual(header.chain);
      if (header.recordCount > 0) {
        expect(await log.indexOfOffset(header.baseOffset + header.recordCount - 1)).toBe(header.index);
      }
      expect(await log.offsetOfTime(header.appendTimeMs)).toBe(header.baseOffset);
    }
    await opened.directory.close();
  });

  test('are written as they ever were: the golden file', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    log.append(nextEntries(log, [{ payloadBytes: 90, records: 2 }, {}, { payloadBytes: 100, records: 3 }]));
    log.append(nextEntries(log, [{ payloadBytes: 80, records: 1, term: 2 }]));
    await log.flush();
    log.setCommitHint(4);
    await log.roll();
    expect(
      await log.rewrite(1, 4, {
        ...PLAN,
        keep: (entry) => (entry.header.index === 1 ? asBatch(bytesOf('left', 70)) : thin(entry)),
      }),
    ).toBeDefined();
    await directory.close();
    const file = await disk.open('/data/logs/0000000001/0000000000000003.segment', 'read');
    const bytes = new Uint8Array(await file.bytes());
    await file.read(0, bytes);
    // Without the zeros between the header and the first frame.
    const hex = Buffer.concat([bytes.subarray(0, 256), bytes.subarray(4096)])
      .toString('hex')
      .replace(/.{1,64}/g, '$&\n');
    const path = fileURLToPath(new URL('../golden/storage/rewritten-segment.v1.hex', import.meta.url));
    if (!existsSync(path) && process.env.LOGDRIVE_UPDATE_GOLDEN !== undefined) writeFileSync(path, hex);
    expect(hex).toBe(readFileSync(path, 'utf8'));
  });

  test('are the same after a start, and can be rewritten and trimmed again', async () => {
    const disk = new MemoryDisk();
    const first = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    await filled(first);
    const { lastIndex } = first.log.segments()[0]!;
    expect(await first.log.rewrite(1, lastIndex, PLAN)).toBeDefined();
    const entries = (await readAll(first.log)).map(faces);
    await first.directory.close();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect((await readAll(log)).map(faces)).toEqual(entries);
    expect(await log.rewrite(1, log.segments()[2]!.lastIndex, PLAN)).toBeDefined();
    expect(log.segments()).toHaveLength(2);
    const boundary = log.segments()[0]!.lastIndex;
    const chain = await log.chainBefore(boundary + 1);
    const { term, appendTimeMs } = (await log.read(boundary, 1))[0]!.header;
    const state = new Uint8Array(0);
    await log.saveSnapshot({
      index: boundary,
      term,
      nextOffset: log.segments()[1]!.firstOffset,
      appendTimeMs,
      chain,
      state,
    });
    expect(await log.trimPrefix(boundary + 1)).toBe(boundary + 1);
    await directory.close();
  });

  test('are not swapped in when the old ones were trimmed meanwhile; nothing is left behind', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    await filled({ log } as Opened);
    const [first] = log.segments();
    const { header } = (await log.read(first!.lastIndex, 1))[0]!;
    const { index, term, appendTimeMs, chain } = header;
    let isTrimmed = false;
    const result = await log
      .rewrite(1, log.segments()[1]!.lastIndex, {
        keep: thin,
        pace: async () => {
          if (isTrimmed) return;
          isTrimmed = true;
          const nextOffset = first!.nextOffset;
          await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: new Uint8Array(0) });
          await log.trimPrefix(index + 1);
        },
      })
      .catch((error: unknown) => (isStorageError(error, 'TRIMMED') ? undefined : Promise.reject(error)));
    expect(result).toBeUndefined();
    expect(log.firstIndex).toBe(index + 1);
    const names = (await disk.list('/data/logs/0000000001')).map(({ name }) => name);
    expect(names.filter((name) => name.endsWith('.segment'))).toHaveLength(3);
    await directory.close();
  });

  test('never hold what may still be cut', async () => {
    const { log, directory } = await openLog(new MemoryDisk(), { segmentBytes: SEGMENT_BYTES });
    log.append(nextEntries(log, [{ payloadBytes: 900, records: 3 }]));
    await log.roll();
    expect(await log.rewrite(1, 1, PLAN)).toBeUndefined();
    log.setCommitHint(1);
    expect(await log.rewrite(1, 1, PLAN)).toBeDefined();
    await directory.close();
  });

  test('take the entry of a peer in place of a damaged one, in whatever form the peer has it', async () => {
    const disk = new MemoryDisk();
    const first = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    await filled(first);
    const whole = await readAll(first.log);
    await first.directory.close();
    const path = '/data/logs/0000000001/0000000000000001.segment';
    const file = await disk.open(path, 'write');
    await file.write(4096 + 96 + 96 + 100 + 200, [new Uint8Array(50).fill(0xee)]);
    await file.close();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    await expect(readAll(log)).rejects.toMatchObject({ code: 'CORRUPT' });
    const [damage] = log.damage;
    await expect(log.rewrite(1, 1, PLAN)).rejects.toMatchObject({ code: 'CORRUPT', index: damage!.firstIndex });
    const keep = (entry: LogEntry): Uint8Array => entry.payload;
    const pace = async (): Promise<void> => undefined;
    const wrong = whole[damage!.firstIndex + 2]!;
    await expect(log.rewrite(1, 1, { keep, pace, supply: async () => wrong })).rejects.toMatchObject({
      code: 'OUT_OF_RANGE',
    });
    expect(await log.rewrite(1, 1, { keep, pace, supply: async (index) => whole[index - 1] })).toBeDefined();
    expect(log.damage).toEqual([]);
    expect((await readAll(log)).map(faces)).toEqual(whole.map(faces));
    await directory.close();
  });
});

const KEEP_ALL: RewritePlan = { keep: ({ payload }) => payload, pace: async () => undefined };

/** What peers that have compacted it have of an entry. */
function compacted(entry: LogEntry): LogEntry {
  const payload = entry.header.kind === 'batch' ? thin(entry) : entry.payload;
  return payload === entry.payload ? entry : compactEntry(entry, payload);
}

/** A log of one active segment, whose second entry is damaged; its first `hint` entries are known committed. */
async function damagedActive(disk: ModelDisk | MemoryDisk, hint: number): Promise<readonly LogEntry[]> {
  const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
  for (let entry = 0; entry < 6; entry++) {
    log.append(nextEntries(log, [{ payloadBytes: 300 + entry, records: 2, term: entry < 3 ? 1 : 2 }]));
    await log.flush();
  }
  log.setCommitHint(hint);
  const whole = await readAll(log);
  await directory.close();
  // Behind the first frame, the first entry and the header of the second frame.
  const file = await disk.open('/data/logs/0000000001/0000000000000001.segment', 'write');
  await file.write(4096 + 96 + 96 + 300 + 96 + 150, [new Uint8Array(50).fill(0xee)]);
  await file.flush();
  await file.close();
  return whole;
}

describe('an active segment, rewritten for a damaged entry that peers have in another form', () => {
  const expected = (whole: readonly LogEntry[], mended: readonly number[]) =>
    whole.map((entry) => faces(mended.includes(entry.header.index) ? compacted(entry) : entry));

  test.each([6, 2])('holds it, and goes on as before: with %i entries known committed', async (hint) => {
    const disk = new MemoryDisk();
    const whole = await damagedActive(disk, hint);
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect(log.damage).toMatchObject([{ firstIndex: 2, lastIndex: 2, where: 'tail' }]);
    const entry = compacted(whole[1]!);
    expect(entry.payload.length).toBeLessThan(whole[1]!.payload.length);
    await expect(log.repair(entry)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    expect(await log.rewrite(2, 2, { ...KEEP_ALL, supply: async () => entry })).toBeDefined();
    expect(log.damage).toEqual([]);
    expect((await readAll(log)).map(faces)).toEqual(expected(whole, [2]));
    expect(await disk.list('/data/logs/0000000001')).not.toContain('0000000000000001.segment');
    // Cut where it may be, written on, sealed, and found again after a start.
    const kept = hint === 6 ? 6 : 4;
    log.truncateSuffix(5 + (hint === 6 ? 2 : 0));
    log.append(nextEntries(log, [{ payloadBytes: 40, records: 1, term: 3 }]));
    await log.flush();
    await log.roll();
    const now = (await readAll(log)).map(faces);
    expect(now.slice(0, kept)).toEqual(expected(whole, [2]).slice(0, kept));
    expect(now).toHaveLength(kept + 1);
    await directory.close();
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    expect((await readAll(again.log)).map(faces)).toEqual(now);
    await again.directory.close();
  });

  test('is rewritten as well when it was sealed meanwhile, and is cut afterwards', async () => {
    const disk = new MemoryDisk();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    log.append(
      nextEntries(
        log,
        [300, 301, 302].map((payloadBytes) => ({ payloadBytes, records: 2 })),
      ),
    );
    await log.roll();
    log.setCommitHint(2);
    const whole = await readAll(log);
    await directory.close();
    const file = await disk.open('/data/logs/0000000001/0000000000000001.segment', 'write');
    await file.write(4096 + 96 + 96 + 300 + 150, [new Uint8Array(50).fill(0xee)]);
    await file.close();
    const again = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    await expect(readAll(again.log)).rejects.toMatchObject({ code: 'CORRUPT', index: 2 });
    expect(again.log.commitHint).toBe(2);
    const supply = async (): Promise<LogEntry> => compacted(whole[1]!);
    expect(await again.log.rewrite(2, 2, { ...KEEP_ALL, supply })).toBeDefined();
    expect((await readAll(again.log)).map(faces)).toEqual(expected(whole, [2]));
    again.log.truncateSuffix(3);
    again.log.append(nextEntries(again.log, [{ payloadBytes: 60, records: 1, term: 2 }]));
    await again.log.flush();
    expect((await readAll(again.log)).slice(0, 2).map(faces)).toEqual(expected(whole, [2]).slice(0, 2));
    expect(again.log.lastIndex).toBe(3);
    await again.directory.close();
  });

  test.each([
    ['a sound one behind it', [2], [300 + 150]],
    ['the end', [2, 3], [300 + 150, 300 + 96 + 301 + 150]],
  ])('is left as it was when what is supplied does not lead to %s', async (_, damaged, positions) => {
    const payloads = [300, 301, 302];
    const logOf = async (disk: MemoryDisk, term: number) => {
      const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
      for (const [at, payloadBytes] of payloads.entries()) {
        opened.log.append(nextEntries(opened.log, [{ payloadBytes, records: 2, term: at === 0 ? 1 : term }]));
      }
      await opened.log.roll();
      const whole = await readAll(opened.log);
      await opened.directory.close();
      return whole;
    };
    const others = await logOf(new MemoryDisk(), 2);
    const disk = new MemoryDisk();
    const own = await logOf(disk, 1);
    expect([own[0], own[1]!.header.term, others[1]!.header.term]).toEqual([others[0], 1, 2]);
    const file = await disk.open('/data/logs/0000000001/0000000000000001.segment', 'write');
    for (const position of positions) {
      await file.write(4096 + 96 + 96 + position, [new Uint8Array(50).fill(0xee)]);
    }
    await file.close();
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    const asked: number[] = [];
    const supply = async (index: number): Promise<LogEntry> => {
      asked.push(index);
      return others[index - 1]!;
    };
    await expect(log.rewrite(2, 2, { ...KEEP_ALL, supply })).rejects.toMatchObject({ code: 'OUT_OF_RANGE', index: 3 });
    expect([asked, log.lastIndex, log.lastTerm]).toEqual([damaged, 3, 1]);
    await directory.close();
  });

  test('takes up what is appended meanwhile', async () => {
    const disk = new MemoryDisk();
    const whole = await damagedActive(disk, 6);
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    let appended = 0;
    const supply = async (): Promise<LogEntry> => {
      for (; appended < 2; appended++) {
        log.append(nextEntries(log, [{ payloadBytes: 60, records: 1 }]));
        await log.flush();
      }
      return compacted(whole[1]!);
    };
    expect(await log.rewrite(2, 2, { ...KEEP_ALL, supply })).toBeDefined();
    expect((await readAll(log)).slice(0, 6).map(faces)).toEqual(expected(whole, [2]));
    expect(log.lastIndex).toBe(8);
    await directory.close();
  });

  test('is left as it was when the log is cut meanwhile', async () => {
    const disk = new MemoryDisk();
    const whole = await damagedActive(disk, 2);
    const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
    const supply = async (): Promise<LogEntry> => {
      log.truncateSuffix(5);
      log.append(nextEntries(log, [{ payloadBytes: 60, records: 1, term: 4 }]));
      await log.flush();
      return compacted(whole[1]!);
    };
    expect(await log.rewrite(2, 2, { ...KEEP_ALL, supply })).toBeUndefined();
    expect(log.damage).toMatchObject([{ firstIndex: 2 }]);
    expect(await log.rewrite(2, 2, { ...KEEP_ALL, supply: async () => compacted(whole[1]!) })).toBeDefined();
    expect((await readAll(log)).slice(0, 4).map(faces)).toEqual(expected(whole, [2]).slice(0, 4));
    expect(log.lastTerm).toBe(4);
    await directory.close();
  });

  test('is swapped in when there is room for it, at once or later', async () => {
    const damaged = new ModelDisk();
    const whole = await damagedActive(damaged, 6);
    const outcomes = new Set<string>();
    for (let room = 0; room < 24 * 1024; room += 512) {
      const disk = damaged.afterKill();
      const { log, directory, timers } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
      disk.capacityBytes = disk.usedBytes() + room;
      let isDone = false;
      const rewriting = log
        .rewrite(2, 2, { ...KEEP_ALL, supply: async () => compacted(whole[1]!) })
        .then((rewritten) => {
          expect(rewritten).toBeDefined();
          isDone = true;
        });
      for (let turn = 0; turn < 50 && !isDone; turn++) await new Promise(setImmediate);
      outcomes.add(isDone ? 'done' : 'waits');
      disk.capacityBytes = Number.MAX_SAFE_INTEGER;
      while (!isDone) {
        timers.fire();
        await Promise.race([rewriting, new Promise(setImmediate)]);
      }
      expect(log.damage).toEqual([]);
      expect((await readAll(log)).map(faces), `${room} bytes of room`).toEqual(expected(whole, [2]));
      await directory.close();
    }
    expect([...outcomes].sort()).toEqual(['done', 'waits']);
  });

  test('is the old one or the new one after a stop at any disk call', async () => {
    let stops = 0;
    const damaged = new ModelDisk();
    const whole = await damagedActive(damaged, 3);
    for (let n = 1; ; n++) {
      const disk = damaged.afterKill({ onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
      const work = async (): Promise<true> => {
        const { log, directory } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
        await log.rewrite(2, 2, { ...KEEP_ALL, supply: async () => compacted(whole[1]!) });
        log.append(nextEntries(log, [{ payloadBytes: 60, records: 1 }]));
        await directory.close();
        return true;
      };
      if (await Promise.race([work(), disk.stopped.then(() => false)])) break;
      for (const survivor of [disk.afterCrash(n), disk.afterCrash(n + 10_000), disk.afterKill()]) {
        const { log, directory } = await openLog(survivor, { segmentBytes: SEGMENT_BYTES });
        if (log.damage.length > 0) {
          expect(log.damage, `stopped at call ${n}`).toMatchObject([{ firstIndex: 2, lastIndex: 2, where: 'tail' }]);
          await log.rewrite(2, 2, { ...KEEP_ALL, supply: async () => compacted(whole[1]!) });
        }
        const entries = (await readAll(log)).map(faces);
        expect(entries.slice(0, 6), `stopped at call ${n}`).toEqual(expected(whole, [2]));
        await directory.close();
        stops++;
      }
    }
    expect(stops).toBeGreaterThan(60);
  });
});

describe('a stop at any disk call of a rewrite', () => {
  test('leaves every entry there, whole or as rewritten, and once it is done only the latter', async () => {
    let stops = 0;
    for (let n = 1; ; n++) {
      const known: LogEntry[] = [];
      const done = { filling: false, rewriting: false };
      const disk = new ModelDisk({ onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
      const work = async (): Promise<true> => {
        const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
        const { log } = opened;
        const append = (entries: LogEntry[]): void => {
          known.push(...entries);
          log.append(entries);
        };
        await filled(opened, append);
        done.filling = true;
        const last = log.segments()[2]!.lastIndex;
        // Appends go on beside it.
        const plan = { ...PLAN, pace: async () => append(nextEntries(log, [{ payloadBytes: 50, records: 1 }])) };
        await log.rewrite(1, log.segments()[0]!.lastIndex, plan);
        await log.rewrite(1, last, plan);
        await log.flush();
        done.rewriting = true;
        await opened.directory.close();
        return true;
      };
      const isDone = await Promise.race([work(), disk.stopped.then(() => false)]);
      if (isDone) break;
      for (const survivor of [disk.afterCrash(n), disk.afterCrash(n + 10_000), disk.afterKill()]) {
        const second = 1 + Math.floor(seededRandom(n)() * 40);
        const interrupted = survivor.afterCrash(0, {
          onCall: ({ number }) => (number === second ? 'stop' : undefined),
        });
        const recovering = openLog(interrupted, { segmentBytes: SEGMENT_BYTES }).then(({ log }) => readAll(log));
        await Promise.race([recovering, interrupted.stopped]);
        for (const disk of [survivor.afterCrash(0), interrupted.afterCrash(n * 31)]) {
          const { log, fatal } = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
          const story = `stopped at call ${n}`;
          const entries = await readAll(log);
          expect(log.damage, story).toEqual([]);
          if (done.filling) expect(entries.length, story).toBeGreaterThanOrEqual(19);
          for (const [at, entry] of entries.entries()) {
            const now = faces(entry);
            const was = faces(known[at]!);
            expect(now.header, story).toBe(was.header);
            const isRewritten = done.rewriting && at < 18;
            expect(isRewritten ? [was.thinned] : [was.whole, was.thinned], story).toContain(now.whole);
          }
          expect(fatal, story).toEqual([]);
          stops++;
        }
      }
    }
    expect(stops).toBeGreaterThan(300);
  }, 120_000);
});
