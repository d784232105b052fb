/** Looking into a data directory from outside: what is said of a sound one, and of what is wrong. */
import { describe, expect, test } from 'vitest';
import { inspectDirectory, inspectSegment, type SegmentItem, type SegmentReport } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { bytesOf, CLUSTER_ID, nextEntries, openLog } from '../support/storage-fixture.ts';

async function sample(): Promise<ModelDisk> {
  const disk = new ModelDisk();
  const { log, directory } = await openLog(disk);
  await directory.setClusterId(CLUSTER_ID);
  await log.saveHardState({ term: 2, votedFor: 'n3' });
  log.append(nextEntries(log, [{ records: 2 }, {}]));
  const { index, term } = await log.roll();
  const { nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
  await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: bytesOf('s', 33) });
  log.append(nextEntries(log, [{ term: 2 }]));
  await log.flush();
  await directory.close();
  return disk;
}

async function itemsOf(disk: ModelDisk, segment: SegmentReport): Promise<SegmentItem[]> {
  const items: SegmentItem[] = [];
  for await (const item of inspectSegment(disk, segment)) items.push(item);
  return items;
}

describe('inspecting', () => {
  test('a sound directory tells identity, hard state, segments and snapshots, and no problem', async () => {
    const disk = await sample();
    const calls = disk.count('write') + disk.count('writeDurable') + disk.count('lock');
    const report = await inspectDirectory(disk, '/data');
    expect(report).toMatchObject({ identity: { nodeId: 'n1', clusterId: CLUSTER_ID }, problems: [] });
    expect(report.logs).toHaveLength(1);
    const [log] = report.logs;
    expect(log).toMatchObject({ groupId: 1, hardState: { term: 2, votedFor: 'n3' }, problems: [] });
    expect(log!.segments.map(({ isSealed, end }) => [isSealed, end?.last.index])).toEqual([
      [true, 2],
      [false, undefined],
    ]);
    expect(log!.snapshots).toMatchObject([{ index: 2, content: { term: 1, nextOffset: 2, stateBytes: 33 } }]);
    expect(disk.count('write') + disk.count('writeDurable') + disk.count('lock')).toBe(calls);
  });

  test('a segment tells its frames, entries and end', async () => {
    const disk = await sample();
    const { segments } = (await inspectDirectory(disk, '/data')).logs[0]!;
    const sealed = await itemsOf(disk, segments[0]!);
    expect(sealed.map((item) => item.kind)).toEqual(['frame', 'entry', 'entry', 'end']);
    const active = await itemsOf(disk, segments[1]!);
    expect(active.map((item) => item.kind)).toEqual(['frame', 'entry', 'frame', 'end']);
    expect(active.at(-1)).toMatchObject({ last: { index: 3, term: 2 }, frames: 2, tornBytes: 0 });
  });

  test('what is wrong is said, file by file, and never thrown', async () => {
    const disk = await sample();
    const log = '/data/logs/0000000001';
    const flip = (path: string, ...spots: number[]) =>
      disk.damage(path, (bytes) => bytes.map((byte, at) => (spots.includes(at) ? byte ^ 8 : byte)));
    flip('/data/identity', 25);
    flip(`${log}/manifest`, 4096 + 25);
    flip(`${log}/hard-state`, 25, 4096 + 25);
    flip(`${log}/snapshot-0000000000000002`, 70);
    flip(`${log}/0000000000000001.segment`, 25, 4096 + 96 + 96 + 30);
    disk.damage(`${log}/0000000000000002.segment`, (bytes) => new Uint8Array([...bytes, 1, 2, 3]));
    await (await disk.open(`${log}/0000000000000009.segment`, 'create')).close();
    const report = await inspectDirectory(disk, '/data');
    const found = [...report.problems, ...report.logs[0]!.problems].map(({ file, what }) => `${file}: ${what}`);
    expect(found).toEqual([
      '/data/identity: one of its two copies is damaged',
      `${log}/manifest: one of its two copies is damaged`,
      `${log}/hard-state: both slots are damaged`,
      `${log}/0000000000000001.segment: its header is damaged; a start writes it anew`,
      `${log}/0000000000000009.segment: the manifest does not list this segment`,
      `${log}/snapshot-0000000000000002: this snapshot fails its check`,
    ]);
    const { segments } = report.logs[0]!;
    const fault = (await itemsOf(disk, segments[0]!)).find((item) => item.kind === 'fault');
    expect(fault).toMatchObject({ position: 4096 + 96, before: { index: 0 }, after: { index: 1 } });
    expect((await itemsOf(disk, segments[1]!)).at(-1)).toMatchObject({ kind: 'end', tornBytes: 3 });
  });

  test('missing pieces are named as well', async () => {
    const disk = await sample();
    await disk.remove('/data/logs/0000000001/0000000000000001.segment');
    await disk.makeDirectory('/data/logs/0000000002');
    const { logs } = await inspectDirectory(disk, '/data');
    expect(logs[0]!.problems.map(({ what }) => what)).toEqual(['the manifest lists this segment, and it is missing']);
    expect(logs[1]!.problems.map(({ file }) => file)).toEqual(['/data/logs/0000000002/manifest']);
    expect((await inspectDirectory(disk, '/nowhere')).problems.map(({ what }) => what)).toEqual(['there are no logs']);
  });
});
