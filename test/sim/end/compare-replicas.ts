/** At the end: every replica read to its end through its own broker, as the oracle wants it. */
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
): Promise<void> {
  for (const { name } of topics) {
    for (const { id, broker } of cluster.running()) {
      const description = await broker.describeTopic(name);
      if (!description.partitions[0]!.replicas.includes(id) || isLost(id)) continue;
      const records: Sighting[] = [];
      let offset: number | undefined;
      for (;;) {
        const start = offset === undefined ? ({ kind: 'earliest' } as const) : ({ kind: 'offset', offset } as const);
        const request = {
          topic: { name },
          partition: 0,
          start,
          bytesMax: READ_BYTES,
          waitMs: 0,
          level: 'any',
        } as const;
        const { batches, fromOffset, nextOffset, earliest, tail } = await broker.read(request);
        for (const batch of batches) {
          for (const record of decodeRecords(batch)) {
            if (record.offset >= fromOffset)
              records.push(sightingOf(record.offset, Buffer.from(record.value).toString()));
          }
        }
        offset = nextOffset;
        if (batches.length > 0) continue;
        recorder.note({ kind: 'replica', partition: name, node: id, earliest, tail, records });
        break;
      }
    }
  }
}
