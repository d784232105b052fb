/**
 * `wal verify`, `diff` and `repair` below the command line: every byte of every kind of file flipped, every file cut.
 * What is said of a start is what a start then does; what is mended is sound afterwards; a rehearsal changes nothing.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import {
  DryRunDisk,
  diffLogs,
  type FileVerdict,
  inspectDirectory,
  isBad,
  isStorageError,
  type Log,
  repairDirectory,
  verifyFiles,
  verifyStart,
} from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { bytesOf, CLUSTER_ID, type EntrySpec, nextEntries, openLog } from '../support/storage-fixture.ts';

const PATH = '/data';
const LOG = `${PATH}/logs/0000000001`;
const segment = (id: number): string => `${LOG}/${String(id).padStart(16, '0')}.segment`;

let pristine: ModelDisk;
let files: string[];

async function rollWithSnapshot(log: Log): Promise<void> {
  const { index, term } = await log.roll();
  const { nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
  await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: bytesOf(index, 50) });
}

/** A sealed segment with footer and index, an active one, a snapshot, a vote: one file of every kind. */
beforeAll(async () => {
  pristine = new ModelDisk();
  const { directory, log } = await openLog(pristine);
  await directory.setClusterId(CLUSTER_ID);
  await log.saveHardState({ term: 3, votedFor: 'n2' });
  log.append(nextEntries(log, [{ payloadBytes: 60 }, { payloadBytes: 40, records: 2 }]));
  await log.flush();
  log.setCommitHint(log.lastIndex);
  await rollWithSnapshot(log);
  log.append(nextEntries(log, [{ term: 3, payloadBytes: 70 }]));
  await log.flush();
  await directory.close();
  files = pristine.files().filter((file) => !file.endsWith('/reserve') && !file.endsWith('/lock'));
});

/** Every byte that says something, the zeros right behind it, and some of the padding. */
function spots(path: string): number[] {
  const bytes = pristine.peek(path);
  let lastSet = -100;
  return Array.from(bytes.keys()).filter((at) => {
    if (bytes[at] !== 0) lastSet = at;
    return at - lastSet < 8 || at % 509 === 0;
  });
}

async function verdictsOf(disk: ModelDisk): Promise<FileVerdict[]> {
  const verdicts: FileVerdict[] = [];
  for await (const verdict of verifyFiles(disk, PATH)) verdicts.push(verdict);
  return verdicts;
}

const findingsOf = (verdicts: readonly FileVerdict[]): string[] =>
  verdicts.flatMap(({ file, findings }) =>
    findings.map(({ state, position, what }) => `${file.slice(PATH.length)}:${position ?? ''} ${state}: ${what}`),
  );

async function changed(path: string, change: (bytes: Uint8Array) => Uint8Array): Promise<ModelDisk> {
  const disk = pristine.afterCrash(0);
  disk.damage(path, change);
  return disk;
}

function changesTo(disk: ModelDisk): number {
  const changes = ['write', 'writeDurable', 'setBytes', 'remove', 'rename', 'lock'] as const;
  return changes.reduce((sum, kind) => sum + disk.count(kind), 0);
}

/** How a node's start ends: as verifyStart calls it. */
async function startOf(disk: ModelDisk): Promise<'opens' | 'refused'> {
  try {
    const { directory } = await openLog(disk.afterCrash(0));
    await directory.close();
    return 'opens';
  } catch (error) {
    if (isStorageError(error)) return 'refused';
    throw error;
  }
}

describe('verify', () => {
  test('finds one sound file of every kind in a sound directory', async () => {
    const verdicts = await verdictsOf(pristine);
    expect(new Set(verdicts.map(({ kind }) => kind))).toEqual(
      new Set(['identity', 'reserve', 'standing', 'manifest', 'hard state', 'segment', 'snapshot']),
    );
    expect(findingsOf(verdicts)).toEqual([]);
    expect(verdicts.reduce((sum, { entries }) => sum + entries, 0)).toBe(3);
    expect(await verifyStart(pristine, PATH, 1)).toMatchObject({ start: 'opens', unmended: [] });
  });

  test('a flipped bit in any byte that says something is found, and what a start does of it foretold', async () => {
    const outcomes = { found: 0, padding: 0, refused: 0 };
    for (const path of files) {
      for (const at of spots(path)) {
        const story = `byte ${at} of ${path}`;
        const disk = await changed(path, (bytes) => bytes.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte)));
        const found = (await verdictsOf(disk)).flatMap(({ findings }) => findings);
        const verdict = await verifyStart(disk, PATH, 1);
        expect(changesTo(disk), `${story}: nothing is written`).toBe(0);
        // No checksum covers the zeros that fill a page: they mean nothing.
        if (found.length === 0) expect(pristine.peek(path)[at], story).toBe(0);
        outcomes[found.length === 0 ? 'padding' : 'found']++;
        const foretold = verdict === undefined || verdict.start === 'refused' ? 'refused' : 'opens';
        if (foretold === 'refused') outcomes.refused++;
        if (at % 5 === 0) expect(await startOf(disk), story).toBe(foretold);
      }
    }
    expect(outcomes.found).toBeGreaterThan(1_000);
    expect(outcomes.padding).toBeGreaterThan(20);
  }, 120_000);

  test('a file cut at any length is found, or is shorter by padding or by a torn end', async () => {
    for (const path of files) {
      for (const at of spots(path).filter((spot) => spot % 3 === 0)) {
        const disk = await changed(path, (bytes) => bytes.slice(0, at));
        const bad = (await verdictsOf(disk)).some(({ findings }) => findings.length > 0);
        const lost = pristine.peek(path).slice(at);
        const isActive = path === segment(2);
        if (!bad && !isActive)
          expect(
            lost.every((byte) => byte === 0),
            `${path} cut at ${at}`,
          ).toBe(true);
        const verdict = await verifyStart(disk, PATH, 1);
        const foretold = verdict === undefined || verdict.start === 'refused' ? 'refused' : 'opens';
        if (at % 2 === 0) expect(await startOf(disk), `${path} cut at ${at}`).toBe(foretold);
      }
    }
  }, 120_000);

  test('says file, byte, indexes and remedy', async () => {
    const flip = (at: number) => (bytes: Uint8Array) => bytes.map((byte, i) => (i === at ? byte ^ 8 : byte));
    const lines = async (path: string, at: number): Promise<string[]> =>
      findingsOf(await verdictsOf(await changed(path, flip(at))));
    expect(await lines(`${PATH}/identity`, 4096 + 25)).toEqual([
      '/identity:4096 mendable: one of its two copies is damaged',
    ]);
    expect(await lines(`${LOG}/hard-state`, 25)).toEqual([
      '/logs/0000000001/hard-state:0 mendable: one of its two slots is damaged',
    ]);
    expect(await lines(segment(1), 4096 + 96 + 96 + 30)).toEqual([
      '/logs/0000000001/0000000000000001.segment:4192 damaged: entries 1..1 are damaged',
    ]);
    expect(await lines(`${LOG}/snapshot-0000000000000002`, 60)).toEqual([
      '/logs/0000000001/snapshot-0000000000000002:0 damaged: it fails its checksum',
    ]);
    const disk = await changed(segment(2), (bytes) => new Uint8Array([...bytes, 1, 2, 3]));
    const torn = await verdictsOf(disk);
    expect(findingsOf(torn)).toEqual([
      expect.stringContaining('torn end: 3 bytes of a write that was never confirmed'),
    ]);
    expect(torn.some(({ state }) => isBad(state))).toBe(false);
  });

  test('names what is missing, left over, or not of this log', async () => {
    const disk = pristine.afterCrash(0);
    await disk.remove(`${LOG}/hard-state`);
    await disk.remove(segment(1));
    for (const name of ['0000000000000003.segment', '0000000000000009.segment', 'manifest.new', 'notes.txt']) {
      await (await disk.open(`${LOG}/${name}`, 'create')).close();
    }
    await disk.makeDirectory(`${PATH}/logs/0000000007.removed`);
    expect(findingsOf(await verdictsOf(disk))).toEqual([
      '/logs/0000000001/hard-state: damaged: it is missing',
      '/logs/0000000001/0000000000000003.segment: leftover: the leftover of an unfinished change',
      expect.stringContaining('0000000000000009.segment: damaged: segment 9 is newer than the manifest'),
      '/logs/0000000001/manifest.new: leftover: the leftover of an unfinished change',
      '/logs/0000000001/notes.txt: sound: not a file of logdrive',
      '/logs/0000000001/0000000000000001.segment: damaged: it is missing',
      '/logs/0000000007.removed: leftover: the leftover of an unfinished change',
    ]);
    await disk.remove(`${PATH}/identity`);
    expect(findingsOf(await verdictsOf(disk))[0]).toBe('/identity: damaged: it is missing');
    expect(await verifyStart(disk, PATH, 1)).toBeUndefined();
  });
});

describe('repair', () => {
  async function snapshotOfFiles(disk: ModelDisk): Promise<Map<string, string>> {
    return new Map(disk.files().map((file) => [file, Buffer.from(disk.peek(file)).toString('hex')]));
  }

  test('cuts, mends, rebuilds and removes what needs no peer; a rehearsal says so and writes nothing', async () => {
    const disk = pristine.afterCrash(0);
    const flip = (path: string, at: number): void =>
      disk.damage(path, (bytes) => bytes.map((byte, i) => (i === at ? byte ^ 8 : byte)));
    flip(`${PATH}/identity`, 25);
    flip(`${LOG}/manifest`, 4096 + 25);
    flip(`${LOG}/hard-state`, 4096 + 25);
    flip(segment(1), 30);
    // The last byte of a sealed segment is of its sparse index.
    flip(segment(1), pristine.peek(segment(1)).length - 1);
    disk.damage(segment(2), (bytes) => new Uint8Array([...bytes, 1, 2, 3]));
    await (await disk.open(`${LOG}/snapshot-0000000000000002.new`, 'create')).close();
    await disk.makeDirectory(`${PATH}/logs/0000000007.new`);
    const before = await snapshotOfFiles(disk);

    const rehearsal = new DryRunDisk(disk);
    expect(await repairDirectory(rehearsal, PATH)).toEqual([]);
    expect(await snapshotOfFiles(disk)).toEqual(before);
    const steps = rehearsal.steps.map(({ kind, file }) => `${kind} ${file.slice(PATH.length)}`);
    expect(steps).toEqual([
      'replace /identity',
      'remove /logs/0000000007.new',
      'write /logs/0000000001/0000000000000001.segment',
      'replace /logs/0000000001/manifest',
      'write /logs/0000000001/hard-state',
      'write /logs/0000000001/hard-state',
      'cut /logs/0000000001/0000000000000002.segment',
      'remove /logs/0000000001/snapshot-0000000000000002.new',
      'cut /logs/0000000001/0000000000000001.segment',
      'write /logs/0000000001/0000000000000001.segment',
    ]);

    expect(await repairDirectory(disk, PATH)).toEqual([]);
    expect(findingsOf(await verdictsOf(disk))).toEqual([]);
    const again = new DryRunDisk(disk);
    expect(await repairDirectory(again, PATH)).toEqual([]);
    expect(again.steps).toEqual([]);
  });

  test('leaves damaged entries as they are and says that a peer has them', async () => {
    const disk = await changed(segment(1), (bytes) =>
      bytes.map((byte, i) => (i === 4096 + 96 + 100 ? byte ^ 1 : byte)),
    );
    const before = await snapshotOfFiles(disk);
    expect(await repairDirectory(disk, PATH)).toEqual([
      {
        ...{ file: segment(1), groupId: 1, position: 4096 + 96, indexes: { first: 1, last: 1 }, needs: 'peer' },
        what: 'entries 1..1 fail their checksum',
      },
    ]);
    expect(await snapshotOfFiles(disk)).toEqual(before);
  });

  test('refuses a log that no start would open, and mends the others', async () => {
    const disk = pristine.afterCrash(0);
    await disk.remove(`${LOG}/manifest`);
    const second = await openLog(disk, { groupId: 2 });
    second.log.append(nextEntries(second.log, [{}]));
    await second.directory.close();
    const active = `${PATH}/logs/0000000002/0000000000000001.segment`;
    disk.damage(active, (bytes) => new Uint8Array([...bytes, 9]));
    const length = disk.peek(active).length;
    expect(await repairDirectory(disk, PATH)).toMatchObject([
      { groupId: 1, needs: 'replica', file: `${LOG}/manifest` },
    ]);
    expect(disk.peek(active).length).toBe(length - 1);
  });
});

describe('diff', () => {
  async function replica(node: string, specs: readonly EntrySpec[], committed: number, rollAt = 0): Promise<ModelDisk> {
    const disk = new ModelDisk();
    const { directory, log } = await openLog(disk, { nodeId: node });
    for (const spec of specs) {
      log.append(nextEntries(log, [spec]));
      await log.flush();
      if (log.lastIndex === rollAt) await rollWithSnapshot(log);
    }
    log.setCommitHint(Math.min(committed, log.lastIndex));
    await directory.close();
    return disk;
  }

  async function differences(a: ModelDisk, b: ModelDisk) {
    const side = async (disk: ModelDisk) => ({ disk, log: (await inspectDirectory(disk, PATH)).logs[0]! });
    return diffLogs(await side(a), await side(b));
  }

  const common: readonly EntrySpec[] = [{ term: 1 }, { term: 1, records: 2 }, { term: 2 }];

  test('equal replicas have nothing to tell, whatever their segments', async () => {
    const [a, b] = [await replica('n1', common, 3), await replica('n2', common, 3, 2)];
    const diff = await differences(a, b);
    expect(diff).toMatchObject({ equal: 3, divergence: undefined });
    expect(diff.differences).toEqual([{ isLegal: true, what: 'their segments begin at different indexes' }]);
    expect((await differences(a, a)).differences).toEqual([]);
  });

  test('a longer end, a later start and an uncommitted tail of an older leader are legal', async () => {
    const [short, long] = [await replica('n1', common.slice(0, 2), 2), await replica('n2', common, 2)];
    expect((await differences(short, long)).differences).toEqual([
      { isLegal: true, what: 'entries 3..3 are on B alone: the other side ends before' },
    ]);
    const old = await replica('n1', [...common.slice(0, 2), { term: 1, seed: 'lost' }], 2);
    const diff = await differences(old, await replica('n2', common, 3));
    expect(diff.divergence).toMatchObject({ index: 3, a: { term: 1 }, b: { term: 2 } });
    expect(diff.differences).toEqual([{ isLegal: true, what: expect.stringContaining('from 3 on they differ') }]);
    const trimmed = await replica('n2', common, 3, 2);
    const opened = await openLog(trimmed, { nodeId: 'n2' });
    await opened.log.trimPrefix(3);
    await opened.directory.close();
    const later = (await differences(await replica('n1', common, 3, 2), trimmed)).differences;
    expect(later).toContainEqual({ isLegal: true, what: 'entries 1..2 are on A alone: the other side begins later' });
    expect(later.every(({ isLegal }) => isLegal)).toBe(true);
  });

  test('two histories that both sides call committed, or one term with two entries, are illegal', async () => {
    const other: readonly EntrySpec[] = [...common.slice(0, 2), { term: 3 }];
    const both = await differences(await replica('n1', common, 3), await replica('n2', other, 3));
    expect(both.differences).toContainEqual({ isLegal: false, what: expect.stringContaining('both call 3 committed') });
    const forged = [...common.slice(0, 2), { term: 2, seed: 'forged' }];
    const sameTerm = await differences(await replica('n1', common, 2), await replica('n2', forged, 2));
    expect(sameTerm.differences).toContainEqual({
      isLegal: false,
      what: 'entry 3 is of term 2 on both, with different content',
    });
    const joined = await differences(
      await replica('n1', [...common, { term: 4 }], 2),
      await replica('n2', [...other, { term: 4 }], 2),
    );
    expect(joined.differences).toContainEqual({
      isLegal: false,
      what: expect.stringContaining('one log was rewritten'),
    });
  });

  test('damage on one side is told with the side', async () => {
    const a = await replica('n1', common, 3);
    a.damage(segment(1), (bytes) => bytes.map((byte, i) => (i === 4096 + 96 + 100 ? byte ^ 1 : byte)));
    const { differences: told } = await differences(a, await replica('n2', common, 3));
    expect(told).toContainEqual({ isLegal: false, what: 'entries 1..1 are damaged on A' });
  });
});

describe('what a node leaves in the middle of something', () => {
  /** A second log beside the pristine one. */
  async function withSecondLog(use: (log: Log) => Promise<void> = async () => undefined): Promise<ModelDisk> {
    const disk = pristine.afterCrash(1);
    const { directory, log } = await openLog(disk, { groupId: 2 });
    await use(log);
    await directory.close();
    return disk;
  }
  const STANDING = `${PATH}/standing/0000000002`;

  test('a log that was made, and has no standing yet, opens', async () => {
    const disk = await withSecondLog();
    await disk.remove(STANDING);
    expect(findingsOf(await verdictsOf(disk))).toEqual([
      '/standing/0000000002: leftover: the making of the log was cut short before it took part in anything',
    ]);
    expect(await verifyStart(disk, PATH, 2)).toMatchObject({ start: 'opens', unmended: [] });
    expect((await openLog(disk, { groupId: 2 })).log.lastIndex).toBe(0);
  });

  test('a log that took part, and has no standing, is lost', async () => {
    const disk = await withSecondLog((log) => log.saveHardState({ term: 1, votedFor: 'n2' }));
    await disk.remove(STANDING);
    expect(findingsOf(await verdictsOf(disk))).toEqual(['/standing/0000000002: damaged: it is missing']);
    expect(await verifyStart(disk, PATH, 2)).toMatchObject({ start: 'refused' });
    await expect(openLog(disk, { groupId: 2 })).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('a replica that is rejoining, and its log that was set aside, are named', async () => {
    const disk = await withSecondLog();
    const { directory, log } = await openLog(disk, { groupId: 2 });
    await log.close();
    await directory.mark(2, { id: 'ab'.repeat(16), reason: 'its manifest was gone' });
    await directory.setAside(2);
    await directory.close();
    expect(findingsOf(await verdictsOf(disk))).toEqual([
      '/standing/0000000002: damaged: the replica is rejoining: its manifest was gone',
      '/logs/0000000002.lost: leftover: a lost log, set aside as it was found',
    ]);
  });

  test('a snapshot that came in part is sound, and one whose first page rotted is not used', async () => {
    const disk = await withSecondLog((log) =>
      log.incomingSnapshot.begin({ index: 5, term: 1, stateBytes: 10_000, stateCrc: 7 }).then(() => undefined),
    );
    const verdicts = await verdictsOf(disk);
    expect(verdicts.filter(({ kind }) => kind === 'incoming snapshot')).toMatchObject([{ state: 'sound', groupId: 2 }]);
    disk.damage(`${PATH}/logs/0000000002/incoming-snapshot`, (bytes) => {
      bytes[40]! ^= 1;
      return bytes;
    });
    expect(findingsOf(await verdictsOf(disk))).toEqual([
      '/logs/0000000002/incoming-snapshot:0 leftover: its first page does not say of which state it is a part',
    ]);
    expect(await verifyStart(disk, PATH, 2)).toMatchObject({ start: 'opens' });
  });
});
