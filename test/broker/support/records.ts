/** Records of single topics, one at a time: appended by whoever is asked, and counted as it serves them. */
import type { AppendResult } from '../../../src/broker/index.ts';
import { batchOf, type SimCluster } from './sim-cluster.ts';

export function append(cluster: SimCluster, on: string, value: string, topic = 't'): Promise<AppendResult> {
  const request = { client: { inflightBytes: 0 }, topic: { name: topic }, partition: 0, producer: undefined };
  return cluster.wait(cluster.broker(on).append({ ...request, batch: batchOf([value]), redirect: false }));
}

/** Reads from offset `from` to the tail, an entry at a time. @returns the offset it came to. */
export async function readToTail(cluster: SimCluster, on: string, from = 0): Promise<number> {
  let offset = from;
  for (;;) {
    const start = { kind: 'offset', offset } as const;
    const request = { topic: { name: 't' }, partition: 0, start, bytesMax: 1, waitMs: 0, level: 'any' } as const;
    const { nextOffset } = await cluster.wait(cluster.broker(on).read(request));
    if (nextOffset === offset) return offset;
    offset = nextOffset;
  }
}
