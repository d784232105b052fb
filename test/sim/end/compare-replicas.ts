/** At the end: every replica read to its end through its own broker, as the oracle wants it. */
import type { Broker } from '../../../src/broker/index.ts';
import { decodeRecords } from '../../../src/protocol/index.ts';
import type { SimTopic } from '../clients/client-world.ts';
import { sightingOf } from '../clients/client-world.ts';
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
  for (const { name } of topics) {
    for (const { id, broker } of cluster.running()) {
      const description = await broker.describeTopic(name);
      if (!description.partitions[0]!.replicas.includes(id) || isLost(id)) continue;
      const replica = await readAll(broker, name).catch((error: unknown) => {
        // What rotted there and was trimmed by all others meanwhile cannot be had any more.
        if (!isDamaged(id)) throw error;
        return undefined;
      });
      if (replica !== undefined) recorder.note({ kind: 'replica', partition: name, node: id, ...replica });
    }
  }
}

async function readAll(
  broker: Broker,
  name: string,
): Promise<{ earliest: number; tail: number; records: readonly Sighting[] }> {
  const records: Sighting[] = [];
  let offset: number | undefined;
  for (;;) {
    const start = offset === undefined ? ({ kind: 'earliest' } as const) : ({ kind: 'offset', offset } as const);
    const request = { topic: { name }, partition: 0, start, bytesMax: READ_BYTES, waitMs: 0, level: 'any' } as const;
    const { batches, fromOffset, nextOffset, earliest, tail } = await broker.read(request);
    for (const batch of batches) {
      for (const record of decodeRecords(batch)) {
        if (record.offset >= fromOffset) records.push(sightingOf(record.offset, Buffer.from(record.value).toString()));
      }
    }
    offset = nextOffset;
    if (batches.length === 0) return { earliest, tail, records };
  }
}
