/** What a partition of this node is opened with: the node's options, and what is its own. */
import type { PartitionOptions } from '../partition/index.ts';
import type { BrokerOptions } from './options.ts';

export type OwnOptions = Pick<
  PartitionOptions,
  'groupId' | 'clusterId' | 'firstOffset' | 'createMachine' | 'heartbeatPhase' | 'mayCampaignNow'
> & {
  /** At its birth. */
  readonly voters: readonly string[];
};

export function partitionOptions(options: BrokerOptions, { voters, ...own }: OwnOptions): PartitionOptions {
  const { nodeId, tickMs, timing, lease, segmentBytes, appendBytesMax, inflightBytesMax, uncommittedBytesMax } =
    options;
  return {
    ...own,
    nodeId,
    membership: { voters, votersOutgoing: [], learners: [] },
    timing,
    lease: lease && { driftPercent: lease.driftPercent, stallMs: timing.heartbeatTicks * tickMs },
    // The first tick after a heartbeat may follow at once, so the promise is a tick short of what is kept.
    promiseMs: lease === undefined ? 0 : (timing.electionTicksMin - 1) * tickMs,
    segmentBytes,
    appendBytesMax,
    inflightBytesMax,
    uncommittedBytesMax,
  };
}
