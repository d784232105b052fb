/** Whether every replica of a compacted topic has taken out what can be, as far as it can be read there. */
import type { CompactionPolicy } from '../../../src/partition/compactor.ts';
import type { SimCluster } from '../world/cluster.ts';

export interface CompactedGroup {
  readonly group: number;
  readonly compaction: CompactionPolicy;
  /** What rotted there and was trimmed by all others is in the way until it is trimmed there. */
  mayBeStuck(node: string, isDamaged: boolean): boolean;
}

export function isCompacted(cluster: SimCluster, { group, compaction, mayBeStuck }: CompactedGroup): boolean {
  return [...cluster.running()].every(({ id, process, partitions }) => {
    const partition = partitions.get(group);
    if (partition === undefined || partition.isClosed) return true;
    if (mayBeStuck(id, partition.status.damage.length > 0)) return true;
    return !partition.compactor.isDue(compaction, process!.env.clock.nowMs());
  });
}

/** How far the compactions of these groups have come, on all nodes together. */
export function cleanRecords(cluster: SimCluster, groups: readonly CompactedGroup[]): number {
  let clean = 0;
  for (const { partitions } of cluster.running()) {
    for (const { group } of groups) clean += partitions.get(group)?.compactor.cleanOffset ?? 0;
  }
  return clean;
}
