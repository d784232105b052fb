/** What a broker is made of. */
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { DataDirectory, RaftTiming } from '../partition/index.ts';
import type { Peers } from './peers.ts';
import type { ScrubOptions } from './scrubber.ts';

/** How often compaction does what it does, ms. */
export interface CompactionPeriods {
  /** Between two looks for a partition that is worth a pass. */
  readonly lookMs: number;
  /** After a pass that was given up, its partition waits this long. */
  readonly retryMs: number;
  /** Between two looks at how far all replicas have come. */
  readonly tellMs: number;
}

export interface BrokerOptions {
  readonly nodeId: string;
  /** All nodes of the cluster as configured, this one included, in the order of --peers: the first may found it. */
  readonly nodeIds: readonly string[];
  /** Whether this node may found a cluster when it is the first of `nodeIds` (design 5, "Birth of a cluster"). */
  readonly bootstrap: boolean;
  readonly version: string;
  /** Where clients reach this node: ws://host:port/v1/ws; undefined without a listener. */
  readonly clientUrl: string | undefined;
  /** Where its peers reach it: host:port. */
  readonly peerAddress: string;
  readonly tickMs: number;
  readonly timing: RaftTiming;
  /** Leases for reads. Absent: this node takes none and promises none. */
  readonly lease?: { readonly driftPercent: number } | undefined;
  readonly segmentBytes: number;
  readonly batchBytesMax: number;
  readonly appendBytesMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly cacheBytesMax: number;
  /** How snapshots leave this node. Absent: in chunks of the usual size, as fast as they are taken. */
  readonly snapshots?: { readonly bytesPerSecond: number; readonly chunkBytes?: number };
  /** Rungs of free space, each the lesser of its bytes and its share of the disk (space-watch.ts). */
  readonly space: {
    readonly warnBelowBytes: number;
    readonly warnBelowPercent: number;
    readonly rejectBelowBytes: number;
    readonly rejectBelowPercent: number;
  };
  readonly scrub: ScrubOptions;
  /** Bytes a second that compaction reads and writes, over all partitions of this node. */
  readonly compactionBytesPerSecond: number;
  /** What the table of keys of one pass takes. */
  readonly compactionMapBytes: number;
  /** Absent: the usual ones (compaction.ts). */
  readonly compactionPeriods?: CompactionPeriods;
}

export interface BrokerWorld {
  readonly env: Env;
  readonly metrics: Metrics;
  readonly directory: DataDirectory;
  readonly peers: Peers;
}
