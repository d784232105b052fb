/** What a start reads, what it writes, and in which order. */
import { describe, expect, test } from 'vitest';
import type { LogEvent } from '../../storage/index.ts';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { bytesOf, nextEntries, openLog, readAll } from '../support/storage-fixture.ts';

const ACTIVE = '/data/logs/0000000001/0000000000000001.segment';
const HARD_STATE = '/data/logs/0000000001/hard-state';

/** A log of two flushes, the second of them torn in its entry. */
async function tornDisk(): Promise<ModelDisk> {
  const disk = new ModelDisk();
  const { log } = await openLog(disk);
  log.append(nextEntries(log, [{ payloadBytes: 100 }]));
  await log.flush();
  const end = 4096 + 96 + 196;
  log.append(nextEntries(log, [{ payloadBytes: 100 }]));
  await log.flush();
  disk.damage(ACTIVE, (bytes) => bytes.map((byte, at) => (at === end + 96 + 120 ? byte ^ 4 : byte)));
  return disk;
}

describe('recovery', () => {
  test('cuts a torn end and flushes the cut before anything is appended (W11), and says so', async () => {
    const calls: Call[] = [];
    const events: LogEvent[] = [];
    const disk = (await tornDisk()).afterCrash(0, { onCall: (call) => void calls.push(call) });
    const { log } = await openLog(disk, { observe: (event) => events.push(event) });
    expect(log.lastIndex).toBe(1);
    const changes = calls.filter(
      (call) => call.path === ACTIVE && ['setBytes', 'flush', 'writeDurable'].includes(call.kind),
    );
    expect(changes.map((call) => call.kind)).toEqual(['setBytes', 'flush']);
    expect(disk.peek(ACTIVE).length).toBe(4096 + 96 + 196);
    expect(events).toEqual([{ kind: 'torn-end', file: ACTIVE, position: 4096 + 96 + 196, bytes: expect.any(Number) }]);
    const again = await openLog(disk.afterCrash(0), { observe: (event) => events.push(event) });
    expect(again.log.lastIndex).toBe(1);
    expect(events).toHaveLength(1);
  });

  test('writes nothing before everything was judged (W25): a refused log is left as it was', async () => {
    const torn = await tornDisk();
    torn.damage(HARD_STATE, (bytes) => bytes.map(() => 7));
    const before = torn.peek(ACTIVE);
    const writes: Call[] = [];
    const disk = torn.afterCrash(0, {
      onCall: (call) => {
        if (['write', 'writeDurable', 'setBytes', 'remove', 'rename'].includes(call.kind)) writes.push(call);
        return undefined;
      },
    });
    await expect(openLog(disk)).rejects.toMatchObject({ code: 'CORRUPT', file: HARD_STATE });
    expect(writes.filter((call) => call.path.startsWith('/data/logs'))).toEqual([]);
    expect(Buffer.compare(disk.peek(ACTIVE), before)).toBe(0);
  });

  test('mends a damaged slot of the hard state, so that the other may rot next', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk);
    await log.saveHardState({ term: 4, votedFor: 'n2' });
    await directory.close();
    for (const slot of [0, 4096, 0, 4096]) {
      disk.damage(HARD_STATE, (bytes) => bytes.map((byte, at) => (at === slot + 30 ? byte ^ 16 : byte)));
      const opened = await openLog(disk);
      expect(opened.log.hardState).toEqual({ term: 4, votedFor: 'n2' });
      await opened.directory.close();
    }
  });

  test('mends a bad copy of the manifest beside the leftover of a replacement that was stopped', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk);
    log.append(nextEntries(log, [{}]));
    await log.flush();
    await directory.close();
    const manifest = '/data/logs/0000000001/manifest';
    await (await disk.open(`${manifest}.new`, 'create')).close();
    disk.damage(manifest, (bytes) => bytes.map((byte, at) => (at === 30 ? byte ^ 16 : byte)));
    expect((await openLog(disk)).log.lastIndex).toBe(1);
    expect(disk.files()).not.toContain(`${manifest}.new`);
  });

  test('of two slots takes the newer, whichever it is', async () => {
    const disk = new ModelDisk();
    const { log } = await openLog(disk);
    await log.saveHardState({ term: 4, votedFor: 'n2' });
    const old = disk.peek(HARD_STATE);
    await log.saveHardState({ term: 5, votedFor: undefined });
    disk.damage(HARD_STATE, (bytes) => new Uint8Array([...bytes.subarray(0, 4096), ...old.subarray(4096)]));
    expect((await openLog(disk.afterKill())).log.hardState).toEqual({ term: 5, votedFor: undefined });
  });

  test('reads of sealed segments no more than their headers, and of snapshots one', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk, { segmentBytes: 64 * 1024 });
    for (let i = 0; i < 30; i++) {
      log.append(nextEntries(log, [{ payloadBytes: 50_000, seed: i }]));
      const { index, term } = await log.roll();
      const { nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
      await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: bytesOf(i, 100_000) });
    }
    await directory.close();
    const reads = new Map<string, number>();
    const again = disk.afterCrash(0, {
      onCall: ({ kind, path }) => {
        if (kind === 'read') reads.set(path, (reads.get(path) ?? 0) + 1);
        return undefined;
      },
    });
    const opened = await openLog(again, { segmentBytes: 64 * 1024 });
    expect(opened.log.lastIndex).toBe(30);
    const sealed = [...reads].filter(([path]) => path.endsWith('.segment')).slice(0, -1);
    expect(sealed).toHaveLength(30);
    for (const [path, count] of sealed) expect(count, path).toBe(1);
    const snapshots = [...reads].filter(([path]) => path.includes('snapshot-')).map(([, count]) => count);
    expect(snapshots.reduce((sum, count) => sum + count, 0)).toBe(31);
  });

  test('reads entries above the commit hint, however deep, so that they can be cut', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk, { segmentBytes: 16 * 1024 });
    for (let i = 0; i < 40; i++) log.append(nextEntries(log, [{ payloadBytes: 1500, seed: i }]));
    log.setCommitHint(3);
    await directory.close();
    const opened = await openLog(disk, { segmentBytes: 16 * 1024 });
    expect(opened.log.commitHint).toBe(3);
    opened.log.truncateSuffix(5);
    await opened.log.flush();
    expect(await readAll(opened.log)).toHaveLength(4);
  });

  test('a log that ends below what its manifest calls committed is refused, not shortened', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk);
    log.append(nextEntries(log, [{}, {}, {}]));
    await log.roll();
    log.append(nextEntries(log, [{}, {}]));
    await log.flush();
    log.truncateSuffix(5);
    log.append(nextEntries(log, [{}]));
    await log.flush();
    log.setCommitHint(5);
    const { index, term } = await log.roll();
    const { nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
    await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: new Uint8Array(1) });
    log.append(nextEntries(log, [{}, {}]));
    await log.flush();
    log.setCommitHint(7);
    await log.trimPrefix(6);
    await directory.close();
    const active = disk
      .files()
      .filter((path) => path.endsWith('.segment'))
      .at(-1)!;
    disk.damage(active, (bytes) => bytes.slice(0, 4096));
    await expect(openLog(disk)).rejects.toMatchObject({ code: 'CORRUPT', file: active });
  });

  test('an older version of the manifest put back is noticed by the segments that came after it', async () => {
    const disk = new ModelDisk();
    const { log, directory } = await openLog(disk);
    const path = '/data/logs/0000000001/manifest';
    const old = disk.peek(path);
    for (let i = 0; i < 3; i++) {
      log.append(nextEntries(log, [{}]));
      await log.roll();
    }
    await directory.close();
    disk.damage(path, () => old);
    await expect(openLog(disk)).rejects.toMatchObject({ code: 'CORRUPT' });
  });
});

test('a footer of many terms is read, however long: a start does not judge its segment anew', async () => {
  const disk = new ModelDisk();
  const { directory, log } = await openLog(disk, { segmentBytes: 1024 * 1024 });
  log.append(
    nextEntries(
      log,
      Array.from({ length: 400 }, (_, term) => ({ term: term + 1, payloadBytes: 0 })),
    ),
  );
  await log.flush();
  log.setCommitHint(log.lastIndex);
  await log.roll();
  await directory.close();
  const events: string[] = [];
  const again = await openLog(disk, { segmentBytes: 1024 * 1024, observe: ({ kind }) => events.push(kind) });
  const writes = disk.count('write');
  expect((await again.log.read(1, 1_000_000)).length).toBe(400);
  expect(await again.log.scrub(async () => undefined)).toBe(0);
  await again.log.flush();
  expect([disk.count('write') - writes, events]).toEqual([0, []]);
});
