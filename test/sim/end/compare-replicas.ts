/** At the end: every replica read to its end through its own broker, as the oracle wants it. */
import { isDeepStrictEqual } from 'node:util';
import type { Broker } from '../../../src/broker/index.ts';
import { decodeRecords } from '../../../src/protocol/index.ts';
import type { SimTopic } from '../clients/client-world.ts';
import { sightingOf } from '../clients/records.ts';
import type { Recorder, Sighting } from '../oracle/index.ts';
import type { SimCluster } from '../world/cluster.ts';

const READ_BYTES = 64 * 1024;

export async function compareReplicas(
  cluster: SimCluster,
  topics: readonly SimTopic[],
  recorder: Recorder,
  isLost: (node: string) => boolean,
  isDamaged: (node: string) => boolean,
): Promise<void> {
  for (const { name, compaction } of topics) {
    const read = compaction === undefined ? readAll : readSettled;
    for (const { id, broker } of cluster.running()) {
      const description = await broker.describeTopic(name);
      if (!description.partitions[0]!.replicas.includes(id) || isLost(id)) continue;
      const replica = await read(broker, name).catch((error: unknown) => {
        // What rotted there and was trimmed by all others meanwhile cannot be had any more.
        if (!isDamaged(id)) throw error;
        return undefined;
      });
      if (replica !== undefined) recorder.note({ kind: 'replica', partition: name, node: id, ...replica });
    }
  }
}

interface Contents {
  readonly earliest: number;
  readonly tail: number;
  readonly records: readonly Sighting[];
}

/** As of one moment, between two readings that are equal: a pass of compaction takes records out behind a reader's back
 *  whose place it has passed, and those it has not come to. */
async function readSettled(broker: Broker, name: string): Promise<Contents> {
  let before: Contents | undefined;
  for (;;) {
    const now = await readAll(broker, name);
    if (before !== undefined && isDeepStrictEqual(before, now)) return now;
    before = now;
  }
}

async function readAll(broker: Broker, name: string): Promise<Contents> {
  const records: Sighting[] = [];
  let offset: number | undefined;
  for (;;) {
    const start = offset === undefined ? ({ kind: 'earliest' } as const) : ({ kind: 'offset', offset } as const);
    const request = { topic: { name }, partition: 0, start, bytesMax: READ_BYTES, waitMs: 0, level: 'any' } as const;
    const { batches, fromOffset, nextOffset, earliest, tail } = await broker.read(request);
    for (const batch of batches) {
      for (const record of decodeRecords(batch)) {
        if (record.offset >= fromOffset) records.push(sightingOf(record));
      }
    }
    const isAtEnd = batches.length === 0 && nextOffset === tail;
    offset = nextOffset;
    if (isAtEnd) return { earliest, tail, records };
  }
}
