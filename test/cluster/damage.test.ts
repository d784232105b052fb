/**
 * Bytes that change or vanish on one node's disk while it is down. With peers, the node fetches what is missing and
 * serves every record again; alone, it names file and position, serves the rest, and changes nothing.
 */
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { logdrive, logdriveOk } from './support/command-line.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';

const TOPIC = 'lines';
const COUNT = 4_000;
/** Small, so that a test has several; the limits must fit into one. */
const SMALL_SEGMENTS = [
  ...['--wal-segment-bytes', '128KiB'],
  ...['--limits-batch-bytes-max', '64KiB'],
  ...['--limits-record-bytes-max', '32KiB'],
];

const line = (at: number): string => `line-${String(at).padStart(6, '0')}-${'abcdefgh'.repeat(10)}`;
const LINES = Array.from({ length: COUNT }, (_, at) => `${line(at)}\n`).join('');

async function filledCluster(nodes: number): Promise<TestCluster> {
  const cluster = await TestCluster.create({ nodes, flags: SMALL_SEGMENTS });
  await logdriveOk(['produce', TOPIC, '--create', '-s', cluster.servers], { stdin: LINES });
  return cluster;
}

/** Segment files of the topic on a node that is down, oldest first; the last is the active one. */
async function segmentsOf(node: TestNode): Promise<string[]> {
  const files = (await readdir(node.dataDir, { recursive: true }))
    .filter((name) => name.endsWith('.segment'))
    .map((name) => join(node.dataDir, name))
    .sort();
  const holding: string[] = [];
  for (const file of files) if ((await readFile(file)).includes('line-')) holding.push(file);
  const ofTopic = files.filter((file) => dirname(file) === dirname(holding[0]!));
  expect(holding.length).toBeGreaterThan(2);
  return ofTopic.filter((file) => file <= holding.at(-1)!);
}

/** Changes one bit in the middle of the records of that file. @returns the position. */
async function flip(file: string): Promise<number> {
  const bytes = await readFile(file);
  const at = bytes.indexOf('line-', bytes.lastIndexOf('line-') / 2) + 20;
  bytes[at]! ^= 0x04;
  await writeFile(file, bytes);
  return at;
}

async function cut(file: string): Promise<void> {
  const bytes = await readFile(file);
  await truncate(file, bytes.lastIndexOf('line-') - 1_000);
}

/** Asked of every node: a leader may know of a follower's loss before the follower does. */
async function isSound(cluster: TestCluster): Promise<boolean> {
  const answers = cluster.nodes.map(async (node) => (await fetch(`http://${node.address}/readyz?verbose`)).text());
  return (await Promise.all(answers)).every((answer) => answer.includes('no damage known'));
}

async function serves(node: TestNode, expected: string): Promise<void> {
  await eventually(
    async () => {
      const words = ['consume', TOPIC, '-e', '-o', 'earliest', '-s', node.address];
      const read = await logdrive(words, { timeoutMs: 15_000 });
      return read.code === 0 && read.stdout.toString() === expected;
    },
    { what: `${node.id} to serve every record`, timeoutMs: 20_000, pollMs: 100 },
  );
}

describe('a damaged replica of three', () => {
  const damages: readonly { name: string; where: 'sealed' | 'last'; damage: (file: string) => Promise<unknown> }[] = [
    { name: 'a flipped bit in a sealed segment', where: 'sealed', damage: flip },
    { name: 'a sealed segment that was cut', where: 'sealed', damage: cut },
    { name: 'a flipped bit in the last segment', where: 'last', damage: flip },
    { name: 'a last segment that was cut', where: 'last', damage: cut },
  ];
  test.each(damages)('$name is repaired from the others; every record is served again', async ({ where, damage }) => {
    await using cluster = await filledCluster(3);
    const leader = cluster.nodes.indexOf(await cluster.leaderOf(TOPIC));
    const node = cluster.nodes[(leader + 1) % 3]!;
    await node.drain();
    const segments = await segmentsOf(node);
    await damage(where === 'last' ? segments.at(-1)! : segments[1]!);
    const broken = await logdrive(['wal', 'verify', node.dataDir]);
    // What proved that the last bytes were flushed lay behind them: with both gone, the rest is a sound, shorter log.
    const isDetectable = !(where === 'last' && damage === cut);
    expect(broken.code).toBe(isDetectable ? 1 : 0);
    if (isDetectable) expect(broken.stdout.toString()).toContain('.segment');

    node.start();
    await node.ready();
    await serves(node, LINES);
    // A log that lost what it had acknowledged serves again before its vote and its acks count again.
    await eventually(() => isSound(cluster), { what: 'every node to call every replica whole' });
    // And it takes part again: with another node gone, it is needed for the majority.
    await cluster.nodes[(leader + 2) % 3]!.kill();
    await logdriveOk(['produce', TOPIC, '-s', cluster.servers], { stdin: 'needs both\n' });
    await node.drain();
    const whole = await logdrive(['wal', 'verify', node.dataDir]);
    expect([whole.code, whole.stdout.toString()]).toEqual([0, expect.not.stringContaining('CORRUPT')]);
  });
});

test('alone, a node names the damaged file and byte, serves what is sound, and changes nothing', async () => {
  await using cluster = await filledCluster(1);
  const node = cluster.nodes[0]!;
  await node.drain();
  const file = (await segmentsOf(node))[1]!;
  await flip(file);
  const before = await readFile(file);

  node.start();
  const damaged = await eventually(
    async () => {
      const read = await logdrive(['consume', TOPIC, '-e', '-o', 'earliest', '-s', node.address, '--output', 'json']);
      return read.stderr.includes('STORAGE_CORRUPT') && read;
    },
    { what: 'a read to meet the damage' },
  );
  const error = JSON.parse(damaged.stderr.trim().split('\n').at(-1)!);
  expect(error).toMatchObject({ code: 'STORAGE_CORRUPT', details: { file: expect.stringContaining('.segment') } });
  expect(error.details.position).toEqual(expect.any(Number));
  const sound = damaged.stdout.toString().trimEnd().split('\n').length;
  expect(sound).toBeGreaterThan(0);
  expect(sound).toBeLessThan(COUNT);
  // An entry that every replica has lost stops the partition: nobody leads it, so nobody says where it ends. What is
  // sound is read by its offset.
  const last = await logdriveOk(['consume', TOPIC, '-n', '1', '-o', String(COUNT - 1), '-s', node.address]);
  expect(last.stdout.toString()).toBe(`${line(COUNT - 1)}\n`);
  await node.drain();
  expect((await readFile(file)).equals(before)).toBe(true);
});

describe('the logs of a node that is down', () => {
  test('are listed, dumped and verified', async () => {
    await using cluster = await filledCluster(1);
    const node = cluster.nodes[0]!;
    const busy = await logdriveOk(['wal', 'ls', node.dataDir]);
    expect(busy.stderr).toContain(`process ${node.pid} is running`);
    await node.drain();

    const listed = await logdriveOk(['wal', 'ls', node.dataDir, '--output', 'ndjson']);
    const segments = listed.stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each));
    const topic = segments.filter((each) => each.nextOffset === COUNT || each.firstOffset > 0);
    expect(topic.length).toBeGreaterThan(2);
    expect(segments.filter((each) => each.state === 'active')).toHaveLength(
      new Set(segments.map((each) => each.log)).size,
    );

    const log = String(topic[0].log);
    const dumped = await logdriveOk(['wal', 'dump', node.dataDir, '--log', log, '--output', 'ndjson']);
    const entries = dumped.stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((each) => JSON.parse(each));
    entries.forEach((entry, at) => {
      expect(entry.index).toBe(entries[0].index + at);
    });
    expect(entries.reduce((sum, entry) => sum + entry.records, 0)).toBe(COUNT);

    expect((await logdriveOk(['wal', 'verify', node.dataDir])).code).toBe(0);
  });
});
