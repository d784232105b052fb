/** What the logs of a node did, as metrics and as lines in the log of the node. */
import type { LogEvent } from '../partition/index.ts';
import type { Catalog } from './catalog.ts';
import type { BrokerWorld } from './options.ts';

export function reportLogEvent(
  { env, metrics, catalog }: Pick<BrokerWorld, 'env' | 'metrics'> & { readonly catalog: Catalog },
  groupId: number,
  event: LogEvent,
): void {
  if (event.kind === 'flush') {
    metrics.add('logdrive_wal_flushes_total');
    metrics.add('logdrive_wal_flush_bytes_total', event.bytes);
    metrics.observe('logdrive_wal_flush_entries', event.entries);
    return;
  }
  const topic = catalog.topicOfGroup(groupId);
  const partition = topic?.partitions.find((placed) => placed.groupId === groupId)?.partition;
  const fields = { topic: topic?.name, partition, group: groupId, ...event };
  switch (event.kind) {
    case 'torn-end':
      metrics.add('logdrive_wal_torn_ends_total');
      env.logger.warn(fields, 'recovery cut a torn end: bytes that no flush had proven');
      return;
    case 'mended':
      env.logger.warn(fields, 'a damaged copy was written anew from what is known elsewhere');
      return;
    case 'missing-segment':
      env.logger.error(fields, 'a segment that the manifest lists is missing: its entries are fetched from a peer');
      return;
    case 'damage':
      metrics.add('logdrive_wal_damage_total');
      env.logger.error(fields, 'stored bytes are damaged: they are kept, and mended from a peer');
      return;
    default:
      event satisfies never;
  }
}
