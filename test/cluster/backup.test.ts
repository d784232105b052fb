/**
 * A backup of a running cluster, restored into a fresh one with other ids: the same offsets, the same bytes. And the
 * tools that look into a stopped node's directory.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { logdrive, logdriveOk } from './support/command-line.ts';
import { TestCluster } from './support/test-cluster.ts';

const TOPIC = 'orders';
const COUNT = 3_000;
const TRIMMED = 1_234;
const SMALL_SEGMENTS = [
  ...['--wal-segment-bytes', '128KiB'],
  ...['--limits-batch-bytes-max', '64KiB'],
  ...['--limits-record-bytes-max', '32KiB'],
];
const LINES = Array.from({ length: COUNT }, (_, at) => `line-${at}-${'abcdefgh'.repeat(12)}\n`).join('');

interface PartitionAnswer {
  readonly earliest: number;
  readonly tail: number;
}

async function partitionsOf(cluster: TestCluster, topic: string): Promise<readonly PartitionAnswer[]> {
  const answer = (await cluster.nodes[0]!.get(`/v1/topics/${topic}`)) as { partitions: PartitionAnswer[] };
  return answer.partitions.map(({ earliest, tail }) => ({ earliest, tail }));
}

/** Every record of a partition, with its offset, key and time. */
async function recordsOf(cluster: TestCluster, topic: string, partition: number): Promise<string> {
  const words = ['consume', topic, '-p', String(partition), '-o', 'earliest', '-e', '--json', '-s', cluster.servers];
  return (await logdriveOk(words)).stdout.toString();
}

async function trim(cluster: TestCluster, topic: string, before: number): Promise<void> {
  const body = JSON.stringify({ before, partition: 0 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`http://${cluster.nodes[0]!.address}/v1/topics/${topic}/trim`, {
    method: 'POST',
    headers,
    body,
  });
  expect(answer.status).toBe(200);
}

describe('snapshot save and restore', () => {
  test('bring trimmed, keyed and empty partitions into a fresh cluster: same offsets, same bytes', async () => {
    await using source = await TestCluster.create({ nodes: 1, flags: SMALL_SEGMENTS });
    await using target = await TestCluster.create({ nodes: 3 });
    await logdriveOk(['produce', TOPIC, '--create', '-s', source.servers], { stdin: LINES });
    await trim(source, TOPIC, TRIMMED);
    await logdriveOk(['topic', 'create', 'keyed', '--partitions', '3', '--retention-age', '7d', '-s', source.servers]);
    await logdriveOk(['produce', 'keyed', '-k', ':', '-p', '2', '-s', source.servers], { stdin: 'k:v\nk2:\n' });

    const file = join(source.dir, 'backup.logdrive');
    const saved = await logdriveOk(['snapshot', 'save', file, '-s', source.servers, '--output', 'json']);
    const summary = JSON.parse(saved.stdout.toString());
    expect(summary.topics.map((topic: { name: string }) => topic.name)).toEqual(['keyed', TOPIC]);
    expect(summary.topics[1].partitions).toMatchObject([{ earliest: TRIMMED, tail: COUNT }]);
    const inspected = await logdriveOk(['snapshot', 'inspect', file, '--output', 'json']);
    expect(JSON.parse(inspected.stdout.toString())).toEqual(summary);
    expect((await logdrive(['snapshot', 'save', file, '-s', source.servers])).code).toBe(2);

    const damaged = join(source.dir, 'damaged.logdrive');
    const bytes = await readFile(file);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(damaged, bytes);
    const refused = await logdrive(['snapshot', 'restore', damaged, '-s', target.servers]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/damaged\.logdrive:\d+: a block fails/)]);
    expect(await target.nodes[0]!.get('/v1/topics')).toEqual({ topics: [] });

    await logdriveOk(['snapshot', 'restore', file, '--replicas', '3', '-s', target.servers]);
    for (const [topic, partitions] of [
      [TOPIC, 1],
      ['keyed', 3],
    ] as const) {
      expect(await partitionsOf(target, topic)).toEqual(await partitionsOf(source, topic));
      for (let partition = 0; partition < partitions; partition++) {
        expect(await recordsOf(target, topic, partition)).toBe(await recordsOf(source, topic, partition));
      }
    }
    const { retention } = (await target.nodes[0]!.get('/v1/topics/keyed')) as { retention: { maxAgeMs: number } };
    expect(retention.maxAgeMs).toBe(7 * 86_400_000);
    const again = await logdrive(['snapshot', 'restore', file, '-s', target.servers]);
    expect([again.code, again.stderr]).toEqual([8, expect.stringContaining('TOPIC_EXISTS')]);

    // The next record gets the next offset, and a start finds all of it again.
    await logdriveOk(['produce', TOPIC, '-s', target.servers], { stdin: 'one more\n' });
    for (const node of target.nodes) await node.drain();
    await target.start();
    expect(await partitionsOf(target, TOPIC)).toEqual([{ earliest: TRIMMED, tail: COUNT + 1 }]);
    for (const node of target.nodes) {
      const last = await logdriveOk(['consume', TOPIC, '-o', String(COUNT), '-n', '1', '-s', node.address]);
      expect(last.stdout.toString(), node.id).toBe('one more\n');
    }
  });

  test('without a majority, say what is known to be committed and save that', async () => {
    await using cluster = await TestCluster.create({ nodes: 3, flags: SMALL_SEGMENTS });
    await using fresh = await TestCluster.create({ nodes: 1 });
    await logdriveOk(['produce', TOPIC, '--create', '-s', cluster.servers], { stdin: LINES });
    const survivor = cluster.nodes[2]!;
    await eventually(
      async () => {
        const answer = await fetch(`http://${survivor.address}/v1/topics/${TOPIC}/records?offset=${COUNT - 1}&limit=1`);
        return answer.status === 200;
      },
      { what: 'the survivor to know the last record committed' },
    );
    await cluster.nodes[0]!.kill();
    await cluster.nodes[1]!.kill();

    const file = join(cluster.dir, 'survivor.logdrive');
    const words = ['snapshot', 'save', file, '-s', survivor.address, '--timeout', '2s'];
    expect((await logdrive(words)).code).not.toBe(0);
    const saved = await logdriveOk([...words, '--without-majority']);
    expect(saved.stderr).toContain(`${TOPIC}/0: committed up to 3,000 is known here, and is saved`);
    await logdriveOk(['snapshot', 'restore', file, '-s', fresh.servers]);
    const read = await logdriveOk(['consume', TOPIC, '-o', 'earliest', '-e', '-s', fresh.servers]);
    expect(read.stdout.toString()).toBe(LINES);
  });

  test('an unfinished save is gone on with', async () => {
    await using cluster = await TestCluster.create({ nodes: 1 });
    await logdriveOk(['produce', TOPIC, '--create', '-s', cluster.servers], { stdin: LINES });
    const file = join(cluster.dir, 'backup.logdrive');
    await logdriveOk(['snapshot', 'save', file, '-s', cluster.servers]);
    const whole = await readFile(file);
    const partial = join(cluster.dir, 'second.logdrive.partial');
    await writeFile(partial, whole.subarray(0, whole.length >> 1));
    const second = join(cluster.dir, 'second.logdrive');
    const words = ['snapshot', 'save', second, '-s', cluster.servers];
    expect((await logdrive(words)).stderr).toContain('--resume');
    await logdriveOk([...words, '--resume']);
    const inspected = await logdriveOk(['snapshot', 'inspect', second, '--output', 'json']);
    const [topic] = JSON.parse(inspected.stdout.toString()).topics;
    expect(topic.partitions).toMatchObject([{ earliest: 0, tail: COUNT, records: COUNT }]);
  });
});

describe('a stopped node', () => {
  test('is inspected, compared with another, and mended without it', async () => {
    await using cluster = await TestCluster.create({ nodes: 3, flags: SMALL_SEGMENTS });
    await logdriveOk(['produce', TOPIC, '--create', '-s', cluster.servers], { stdin: LINES });
    const [first, second] = [cluster.nodes[0]!, cluster.nodes[1]!];
    const running = await logdrive(['wal', 'repair', first.dataDir]);
    expect([running.code, running.stderr]).toEqual([2, expect.stringContaining(`process ${first.pid} is running`)]);
    for (const node of cluster.nodes) await node.drain();

    const inspected = await logdriveOk(['wal', 'inspect', first.dataDir, '--output', 'json']);
    const { identity, logs } = JSON.parse(inspected.stdout.toString());
    expect(identity.nodeId).toBe('n1');
    const topicLog = logs.find((log: { groupId: number }) => log.groupId > 0);
    expect(
      topicLog.segments.filter((segment: { marks: number | null }) => segment.marks !== null).length,
    ).toBeGreaterThan(1);
    expect((await logdriveOk(['wal', 'inspect', first.dataDir])).stdout.toString()).toContain('node n1, disk');

    const diff = await logdriveOk(['wal', 'diff', first.dataDir, second.dataDir]);
    expect(diff.stdout.toString()).toContain('replicas may differ like that');

    // A sparse index and a copy of the manifest go bad, and a write was torn.
    const sealed = topicLog.segments[0].segment;
    const folder = topicLog.path as string;
    const segmentFile = (id: number): string => join(folder, `${String(id).padStart(16, '0')}.segment`);
    const change = async (file: string, edit: (bytes: Buffer) => Buffer): Promise<void> =>
      writeFile(file, edit(await readFile(file)));
    const flipAt = (at: number) => (bytes: Buffer) => {
      bytes[at < 0 ? bytes.length + at : at]! ^= 4;
      return bytes;
    };
    await change(segmentFile(sealed), flipAt(-1));
    await change(join(folder, 'manifest'), flipAt(30));
    await change(segmentFile(topicLog.segments.at(-1).segment), (bytes) => Buffer.concat([bytes, Buffer.from('torn')]));
    expect((await logdrive(['wal', 'verify', first.dataDir])).code).toBe(1);
    const dry = await logdriveOk(['wal', 'repair', first.dataDir, '--dry-run']);
    expect(dry.stdout.toString()).toMatch(/would replace .*manifest/);
    expect((await logdrive(['wal', 'verify', first.dataDir])).code).toBe(1);
    await logdriveOk(['wal', 'repair', first.dataDir]);
    const verified = await logdriveOk(['wal', 'verify', first.dataDir]);
    expect(verified.stdout.toString()).toMatch(/all sound\n$/);
    expect(verified.stdout.toString().trimEnd().split('\n')).toHaveLength(1);
  });
});
