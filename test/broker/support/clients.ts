/** Clients of a cluster that append to topics and read them. */
import type { AppendResult } from '../../../src/broker/index.ts';
import { decodeRecords, LogError } from '../../../src/protocol/index.ts';
import { endLater } from './endings.ts';
import { batchOf, SimCluster } from './sim-cluster.ts';

export async function started(ids: readonly string[], overrides = {}): Promise<SimCluster> {
  const cluster = new SimCluster(ids, overrides);
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  return cluster;
}

export const THREE = ['n1', 'n2', 'n3'] as const;
export const PRODUCER: string = 'ab'.repeat(16);

export interface AppendOptions {
  readonly on?: string;
  readonly producer?: { readonly id: string; readonly epoch: number; readonly sequence: number };
  readonly redirect?: boolean;
  readonly timeoutMs?: number;
}

export function append(
  cluster: SimCluster,
  topic: string,
  values: readonly string[],
  options: AppendOptions = {},
): Promise<AppendResult> {
  const { on = 'n1', producer, redirect = false, timeoutMs } = options;
  const sent = cluster.broker(on).append({
    client: { inflightBytes: 0 },
    topic: { name: topic },
    partition: 0,
    batch: batchOf(values),
    producer,
    redirect,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  sent.catch(() => undefined);
  return sent;
}

export async function valuesOn(cluster: SimCluster, on: string, topic: string): Promise<string[]> {
  const values: string[] = [];
  let offset: number | undefined;
  for (;;) {
    const result = await cluster.wait(
      cluster.broker(on).read({
        topic: { name: topic },
        partition: 0,
        start: offset === undefined ? { kind: 'earliest' } : { kind: 'offset', offset },
        bytesMax: 1_000,
        waitMs: 0,
        level: 'any',
      }),
    );
    if (result.batches.length === 0) return values;
    for (const batch of result.batches) {
      for (const record of decodeRecords(batch)) {
        if (record.offset >= result.fromOffset) values.push(`${record.offset}:${Buffer.from(record.value).toString()}`);
      }
    }
    offset = result.nextOffset;
  }
}

export function leaderOf(cluster: SimCluster, topic: string, on = 'n1'): Promise<string | undefined> {
  return cluster.wait(cluster.broker(on).describeTopic(topic)).then(({ partitions }) => partitions[0]?.leader);
}

export function failure(promise: Promise<unknown>): Promise<LogError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => {
      if (!LogError.is(error)) throw error;
      return error;
    },
  );
}
