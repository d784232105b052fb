/**
 * The command line as its users meet it, against one real node: bytes in, bytes out, exit codes, what is said where.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Finished, LOGDRIVE, logdrive, logdriveOk, Running } from './support/command-line.ts';
import { TestCluster } from './support/test-cluster.ts';

const RECORD_BYTES_MAX = 1024 * 1024;

let cluster: TestCluster;
let server: readonly string[];

beforeAll(async () => {
  cluster = await TestCluster.create({ nodes: 1 });
  server = ['-s', cluster.nodes[0]!.address];
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

let topics = 0;
/** A topic of its own for each test. */
const newTopic = (): string => `topic-${topics++}`;

const produce = (topic: string, stdin: string | Uint8Array, ...words: readonly string[]): Promise<Finished> =>
  logdriveOk(['produce', topic, '--create', ...server, ...words], { stdin });
const consume = async (topic: string, ...words: readonly string[]): Promise<string> =>
  (await logdriveOk(['consume', topic, ...server, '-e', '-o', 'earliest', ...words])).stdout.toString('latin1');

/** More than any pipe or buffer on the way holds. */
const manyLines = Array.from({ length: 300_000 }, (_, at) => `${at} ${'x'.repeat(180)}\n`).join('');
const manyTopic = 'many-lines';

describe('produce', () => {
  test('appends each line as it is: empty ones, any bytes, a last one without its end', async () => {
    const topic = newTopic();
    const input = Buffer.from('one\n\n\r\n\0\xff\xc3\n\u0085 two \ntail', 'latin1');
    await produce(topic, input);
    expect(await consume(topic)).toBe(`${input.toString('latin1')}\n`);
    const lengths = await consume(topic, '-f', '%o:%S:%K ');
    expect(lengths).toBe('0:3:-1 1:0:-1 2:1:-1 3:3:-1 4:6:-1 5:4:-1 ');
  });

  test('ends with a summary: one line for people, one object for programs', async () => {
    const topic = newTopic();
    const forPeople = await produce(topic, 'a\nbc\n');
    expect(forPeople.stdout.toString().trimEnd().split('\n')).toHaveLength(1);
    expect(forPeople.stdout.toString()).toMatch(/2 records/);
    const { stdout } = await produce(topic, 'def\n', '--output', 'json');
    expect(JSON.parse(stdout.toString())).toMatchObject({
      topic,
      records: 1,
      bytes: 3,
      firstOffset: 2,
      lastOffset: 2,
      elapsedMs: expect.any(Number),
    });
  });

  test('of an empty input appends nothing and says so', async () => {
    const topic = newTopic();
    const { stdout } = await produce(topic, '', '--output', 'json');
    expect(JSON.parse(stdout.toString())).toMatchObject({ records: 0, bytes: 0, firstOffset: null, lastOffset: null });
    expect(await consume(topic)).toBe('');
  });

  test('splits keys off and adds headers', async () => {
    const topic = newTopic();
    await produce(topic, 'k1\tv1\n\tv2\nv3\n', '-k', '\\t', '-H', 'from=test', '-H', 'n=1');
    expect(await consume(topic, '-f', '%k|%s|%h\\n')).toBe(
      'k1|v1|from=test,n=1\n|v2|from=test,n=1\n|v3|from=test,n=1\n',
    );
    expect(await consume(topic, '-f', '%K,')).toBe('2,0,-1,');
  });

  test('names a line over the limit, appends all others, and exits 2', async () => {
    const topic = newTopic();
    const most = 'm'.repeat(RECORD_BYTES_MAX);
    const finished = await logdrive(['produce', topic, '--create', ...server, '--output', 'json'], {
      stdin: `first\n${most}x\n${most}\nlast\n`,
    });
    expect(finished.code).toBe(2);
    const complaint = JSON.parse(finished.stderr.trim().split('\n')[0]!);
    expect(complaint).toMatchObject({
      code: 'TOO_LARGE',
      outcome: 'none',
      details: { line: 2, limitBytes: RECORD_BYTES_MAX, actualBytes: RECORD_BYTES_MAX + 1 },
    });
    expect(JSON.parse(finished.stdout.toString())).toMatchObject({
      records: 3,
      rejected: 1,
      firstOffset: 0,
      lastOffset: 2,
    });
    expect(await consume(topic)).toBe(`first\n${most}\nlast\n`);
  });

  test('without --create an unknown topic is refused', async () => {
    const finished = await logdrive(['produce', newTopic(), ...server], { stdin: 'a\n' });
    expect(finished.code).toBe(7);
    expect(finished.stderr).toContain('TOPIC_NOT_FOUND');
  });

  test('twice with --create appends to the same topic', async () => {
    const topic = newTopic();
    await produce(topic, 'a\n');
    await produce(topic, 'b\n');
    expect(await consume(topic)).toBe('a\nb\n');
  });

  test('takes more than its buffers hold at once', async () => {
    const { stdout } = await produce(manyTopic, manyLines, '--output', 'json');
    expect(JSON.parse(stdout.toString())).toMatchObject({ records: 300_000, firstOffset: 0, lastOffset: 299_999 });
    expect((await consume(manyTopic)) === manyLines).toBe(true);
  });

  test('interrupted, ends with what it has read appended', async () => {
    const topic = newTopic();
    const producing = new Running(['produce', topic, '--create', ...server, '--output', 'json']);
    await producing.feed(Buffer.from('a\nb\nunfinished'));
    await eventually(async () => (await consume(topic)) === 'a\nb\n', { what: 'the whole lines to arrive' });
    producing.process.kill('SIGINT');
    const finished = await producing.finished();
    expect(finished.code).toBe(130);
    expect(JSON.parse(finished.stdout.toString())).toMatchObject({ records: 2, lastOffset: 1 });
    expect(await consume(topic)).toBe('a\nb\n');
  });
});

describe('consume', () => {
  let numbers: string;
  beforeAll(async () => {
    numbers = newTopic();
    await produce(numbers, Array.from({ length: 100 }, (_, at) => `${at}\n`).join(''));
  });
  const from = async (...words: readonly string[]): Promise<string[]> => {
    const { stdout } = await logdriveOk(['consume', numbers, ...server, '-e', ...words]);
    return stdout.toString().split('\n').slice(0, -1);
  };

  test('starts where it is told', async () => {
    expect(await from('-o', '95')).toEqual(['95', '96', '97', '98', '99']);
    expect(await from('-o', '-2')).toEqual(['98', '99']);
    expect(await from('-o', '-1000')).toHaveLength(100);
    expect(await from('-o', 'latest')).toEqual([]);
    expect(await from('-o', '100')).toEqual([]);
    expect(await from('-o', '@0')).toHaveLength(100);
    expect(await from('-o', `@${Date.now() + 60_000}`)).toEqual([]);
  });

  test('stops after as many records as it is told', async () => {
    expect(await from('-o', '10', '-n', '3')).toEqual(['10', '11', '12']);
    const { stdout } = await logdriveOk(['consume', numbers, ...server, '-o', '98', '-n', '2']);
    expect(stdout.toString()).toBe('98\n99\n');
  });

  test('writes one JSON document a line', async () => {
    for (const words of [['--json'], ['--output', 'ndjson'], ['--output', 'json']]) {
      const lines = await from('-o', '98', ...words);
      expect(lines.map((line) => JSON.parse(line))).toEqual([
        expect.objectContaining({ topic: numbers, partition: 0, offset: 98, key: null, value: '98', headers: {} }),
        expect.objectContaining({ offset: 99, value: '99', timestamp: expect.any(Number) }),
      ]);
    }
  });

  test('past the tail is OUT_OF_RANGE and names the tail', async () => {
    const finished = await logdrive(['consume', numbers, ...server, '-e', '-o', '101', '--output', 'json']);
    expect(finished.code).toBe(7);
    expect(JSON.parse(finished.stderr)).toMatchObject({ code: 'OUT_OF_RANGE', details: { tail: 100, earliest: 0 } });
  });

  test.each(['NaN', '1.5', '9007199254740992', '--', ''])('refuses %j as an offset', async (offset) => {
    const finished = await logdrive(['consume', numbers, ...server, '-e', `--offset=${offset}`]);
    expect(finished.code).toBe(2);
    expect(finished.stderr).toContain('--offset');
  });

  test('with -e stops at the tail as it was, without it goes on, and Ctrl-C ends it with 130', async () => {
    const topic = newTopic();
    await produce(topic, 'a\n');
    const following = new Running(['consume', topic, ...server, '-o', 'earliest']);
    await eventually(() => following.stdout.toString() === 'a\n', { what: 'the first record' });
    await produce(topic, 'b\n');
    await eventually(() => following.stdout.toString() === 'a\nb\n', { what: 'the second record' });
    following.process.kill('SIGINT');
    expect(await following.finished()).toMatchObject({ code: 130 });
  });

  test('names the serving node with -v, on stderr alone', async () => {
    const { stdout, stderr } = await logdriveOk(['consume', numbers, ...server, '-e', '-o', '99', '-v']);
    expect(stdout.toString()).toBe('99\n');
    expect(stderr).toMatch(/served by n1\b/);
  });

  test('a reader that has seen enough is no error', async () => {
    const script = `"$0" "$1" consume ${manyTopic} ${server.join(' ')} -o earliest | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script, process.execPath, LOGDRIVE]);
    expect(stdout).toBe(`${manyLines.split('\n', 1)[0]}\n0\n`);
    expect(stderr).toBe('');
  });

  test('an unknown topic and an unknown partition are told apart', async () => {
    const noTopic = await logdrive(['consume', 'nowhere', ...server, '-e']);
    expect([noTopic.code, noTopic.stderr]).toEqual([7, expect.stringContaining('TOPIC_NOT_FOUND')]);
    const noPartition = await logdrive(['consume', numbers, ...server, '-e', '--partition', '7']);
    expect([noPartition.code, noPartition.stderr]).toEqual([7, expect.stringContaining('PARTITION_NOT_FOUND')]);
  });
});

describe('topic', () => {
  test('create, info, ls, rm', async () => {
    const topic = newTopic();
    await logdriveOk(['topic', 'create', topic, '--partitions', '3', ...server]);
    await produce(topic, 'x\n', '-p', '2');
    const info = JSON.parse(
      (await logdriveOk(['topic', 'info', topic, ...server, '--output', 'json'])).stdout.toString(),
    );
    expect(info).toMatchObject({ name: topic });
    expect(info.partitions.map((each: { tail: number }) => each.tail)).toEqual([0, 0, 1]);
    expect(await consume(topic, '--partition', '2')).toBe('x\n');
    expect((await logdriveOk(['topic', 'ls', ...server])).stdout.toString()).toMatch(new RegExp(`^${topic}\\b`, 'm'));
    await logdriveOk(['topic', 'rm', topic, '--yes', ...server]);
    expect((await logdriveOk(['topic', 'ls', ...server])).stdout.toString()).not.toMatch(
      new RegExp(`^${topic}\\b`, 'm'),
    );
    expect((await logdrive(['topic', 'info', topic, ...server])).code).toBe(7);
  });

  test('a name that is taken, and one that is none', async () => {
    const topic = newTopic();
    await logdriveOk(['topic', 'create', topic, ...server]);
    const again = await logdrive(['topic', 'create', topic, ...server]);
    expect([again.code, again.stderr]).toEqual([8, expect.stringContaining('TOPIC_EXISTS')]);
    for (const name of ['.hidden', 'a b', 'a/b', 'x'.repeat(201)]) {
      expect((await logdrive(['topic', 'create', name, ...server])).code).toBe(2);
    }
  });

  test('deleting asks for --yes when nobody can be asked', async () => {
    const topic = newTopic();
    await logdriveOk(['topic', 'create', topic, ...server]);
    const refused = await logdrive(['topic', 'rm', topic, ...server]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--yes')]);
    await logdriveOk(['topic', 'info', topic, ...server]);
  });
});

test('cluster info names the nodes', async () => {
  const { stdout } = await logdriveOk(['cluster', 'info', ...server, '--output', 'json']);
  expect(JSON.parse(stdout.toString())).toMatchObject({
    clusterId: expect.any(String),
    nodes: [expect.objectContaining({ id: 'n1', isUp: true })],
  });
  expect((await logdriveOk(['cluster', 'info', ...server])).stdout.toString()).toMatch(/^n1\s/m);
});

describe('words', () => {
  test.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['prodce', 'x'], /did you mean produce\?/],
    [['topic', 'lst'], /did you mean ls\?/],
    [['topic'], /a command is missing: create, ls, info, rm/],
    [[], /a command is missing/],
    [['consume', 'x', '--patition', '1'], /unknown flag --patition; did you mean --partition\?/],
    [['consume', 'x', '-Z'], /unknown flag -Z/],
    [['consume', 'x', 'y'], /unexpected word 'y'/],
    [['consume'], /a word is missing/],
    [['consume', 'x', '-o'], /-?o/],
    [['serve', '--data-dri', '/tmp'], /did you mean --data-dir\?/],
    [['serve', '--raft-heartbeat-ms', '0'], /raft\.heartbeatMs/],
    [['consume', 'x', '--output', 'yaml'], /table, json, ndjson/],
    [['consume', 'x', '-s', 'ftp://a'], /ftp:\/\/a/],
    [['dev', '--nodes', 'three'], /--nodes wants/],
  ])('%j is refused with 2 and a hint', async (words, hint) => {
    const finished = await logdrive(words);
    expect(finished.stderr).toMatch(hint);
    expect(finished.code).toBe(2);
    expect(finished.stdout.toString()).toBe('');
  });

  test('help and version succeed, on stdout', async () => {
    const help = await logdriveOk(['--help']);
    for (const name of ['serve', 'dev', 'topic', 'produce', 'consume', 'cluster', 'wal', 'bench', 'version']) {
      expect(help.stdout.toString()).toContain(`logdrive ${name}`);
    }
    expect((await logdriveOk(['consume', '--help'])).stdout.toString()).toContain('--offset');
    const { stdout } = await logdriveOk(['version', '--output', 'json']);
    expect(JSON.parse(stdout.toString())).toMatchObject({ logdrive: expect.any(String), node: process.versions.node });
  });

  test('a node that is not there is a matter of seconds and exit code 3', async () => {
    const finished = await logdrive(['topic', 'ls', '-s', '127.0.0.1:9', '--timeout', '1s', '--output', 'json']);
    expect(finished.code).toBe(3);
    expect(JSON.parse(finished.stderr)).toMatchObject({ code: 'CONNECTION', outcome: 'none' });
  });

  test('the server may come from the environment', async () => {
    await logdriveOk(['topic', 'ls'], { env: { LOGDRIVE_SERVER: cluster.nodes[0]!.address } });
  });
});

test('bench fsync measures the disk for four sizes', async () => {
  const words = ['bench', 'fsync', '--data-dir', cluster.dir, '--duration', '50ms', '--output', 'json'];
  const rows = JSON.parse((await logdriveOk(words)).stdout.toString());
  expect(rows.map((row: { bytes: number }) => row.bytes)).toEqual([4096, 65536, 262144, 1048576]);
  for (const row of rows) expect(row.p99Ms).toBeGreaterThanOrEqual(row.p50Ms);
});
