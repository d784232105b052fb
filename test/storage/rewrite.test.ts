import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
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
