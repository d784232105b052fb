/**
 * The main job: a package index goes in through `logdrive produce` while each node in turn is killed and started again,
 * and comes back from each node by itself, byte for byte. Run on the whole index by main-job.ts and on a slice by
 * main-job.test.ts.
 */
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { eventually } from '../../support/eventually.ts';
import { freePorts } from '../../support/free-ports.ts';
import { logdriveOk, Running } from './command-line.ts';
import type { PackageRecord } from './package-index.ts';
import { TestCluster } from './test-cluster.ts';
import type { TestNode } from './test-node.ts';

export interface JobReport {
  readonly records: number;
  readonly bytes: number;
  readonly produceMs: number;
  /** By node id. */
  readonly consumeMs: Readonly<Record<string, number>>;
}

const TOPIC = 'packages';
const FEED_BYTES = 64 * 1024;

export async function runPackageJob(
  records: readonly PackageRecord[],
  say: (line: string) => void,
): Promise<JobReport> {
  await using cluster = await TestCluster.create();
  say(`three nodes in ${cluster.dir}`);
  const produceMs = await produceWhileKilling(cluster, records, say);
  const values = Buffer.from(records.map((record) => `${record.value}\n`).join(''));
  const consumeMs: Record<string, number> = {};
  for (const node of cluster.nodes) consumeMs[node.id] = await consumeFrom(cluster, node, records, values, say);
  return { records: records.length, bytes: values.length, produceMs, consumeMs };
}

async function produceWhileKilling(
  cluster: TestCluster,
  records: readonly PackageRecord[],
  say: (line: string) => void,
): Promise<number> {
  // JSON text holds no raw tab, so the first one ends the key.
  const input = Buffer.from(records.map((record) => `${record.key}\t${record.value}\n`).join(''));
  const words = [
    'produce',
    TOPIC,
    '--create',
    '-k',
    '\\t',
    '-s',
    cluster.servers,
    '--timeout',
    '30s',
    '--output',
    'json',
  ];
  const begunMs = performance.now();
  const producing = new Running(words);
  // One third of the input a node: a part before it is killed, a part while it is dead, a part while it comes back.
  const parts = cut(input, 3 * cluster.nodes.length);
  for (const [at, node] of cluster.nodes.entries()) {
    await feed(producing, parts[3 * at]!);
    await node.kill();
    say(`killed ${node.id}`);
    await feed(producing, parts[3 * at + 1]!);
    node.start();
    await feed(producing, parts[3 * at + 2]!);
    await node.ready();
    say(`${node.id} is back`);
  }
  producing.process.stdin.end();
  const finished = await producing.finished(120_000);
  equal(finished.code, 0, `produce failed: ${finished.stderr}`);
  const summary = JSON.parse(finished.stdout.toString()) as Record<string, number>;
  say(`produced: ${JSON.stringify(summary)}`);
  equal(summary.records, records.length, 'records in the summary');
  equal(summary.firstOffset, 0, 'firstOffset in the summary');
  equal(summary.lastOffset, records.length - 1, 'lastOffset in the summary');
  return performance.now() - begunMs;
}

function cut(input: Buffer, count: number): Buffer[] {
  const size = Math.ceil(input.length / count);
  return Array.from({ length: count }, (_, at) => input.subarray(at * size, (at + 1) * size));
}

async function feed(producing: Running, part: Buffer): Promise<void> {
  for (let at = 0; at < part.length; at += FEED_BYTES) await producing.feed(part.subarray(at, at + FEED_BYTES));
}

/** Asks `node` alone: the other two have their client ports closed meanwhile. */
async function consumeFrom(
  cluster: TestCluster,
  node: TestNode,
  records: readonly PackageRecord[],
  values: Buffer,
  say: (line: string) => void,
): Promise<number> {
  for (const each of cluster.nodes) await letServe(each, each === node);
  await Promise.all(cluster.nodes.map((each) => each.ready()));
  for (const each of cluster.nodes) {
    equal(await each.isUsualPortOpen(), each === node, `whether clients reach ${each.id} at its port`);
  }
  await caughtUp(node, records.length);

  const begunMs = performance.now();
  const words = ['consume', TOPIC, '-o', 'earliest', '-e', '-s', node.address];
  const raw = await logdriveOk([...words, '-f', 'raw', '-v']);
  const elapsedMs = performance.now() - begunMs;
  equal(firstDifference(raw.stdout, values), -1, `first byte in which the records of ${node.id} differ`);
  ok(new RegExp(`served by ${node.id}\\b`).test(raw.stderr), `the answer names ${node.id}: ${raw.stderr}`);

  const json = await logdriveOk([...words, '--json']);
  const lines = json.stdout.toString().trimEnd().split('\n');
  equal(lines.length, records.length, `records of ${node.id}`);
  lines.forEach((line, offset) => {
    const record = JSON.parse(line) as { offset: number; key: string; value: string };
    deepStrictEqual([record.offset, record.key, record.value], [offset, records[offset]!.key, records[offset]!.value]);
  });
  say(`${node.id} alone gives back ${lines.length} records, byte for byte, in ${elapsedMs.toFixed(0)} ms`);
  return elapsedMs;
}

/** Opens or closes the usual client port of a node, by a restart when that is a change; its peers always reach it. */
async function letServe(node: TestNode, isServing: boolean): Promise<void> {
  if ((await node.isUsualPortOpen()) === isServing) return;
  await node.drain();
  const [elsewhere] = await freePorts(1);
  node.start(isServing ? {} : { clientPort: elsewhere! });
}

/** A replica that was away serves what it has; here it must have everything before it is asked. */
async function caughtUp(node: TestNode, count: number): Promise<void> {
  await eventually(
    async () => {
      const answer = (await node.get(`/v1/topics/${TOPIC}/records?offset=${count - 1}&limit=1&waitMs=1000`)) as {
        appliedOffset: number;
      };
      return answer.appliedOffset === count;
    },
    { what: `${node.id} to hold ${count} records`, timeoutMs: 60_000 },
  );
}

function firstDifference(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return -1;
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) if (a[at] !== b[at]) return at;
  return shorter;
}
