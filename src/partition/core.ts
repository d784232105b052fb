/** The Raft core of a replica, from its options and what was found on its disk. */
import { ENTRY_HEADER_BYTES, type Log } from '../../storage/index.ts';
import { Raft } from '../raft/index.ts';
import type { PartitionOptions, PartitionWorld } from './options.ts';
import type { PendingEntries } from './pending-entries.ts';
import type { PartitionState } from './state.ts';

/** Appends on their way to one follower. */
const INFLIGHT_MESSAGES_MAX = 256;
/** A learner is in step when it lacks at most so many committed entries: what a leader sends within a few flushes. */
const LEARNER_LAG_ENTRIES = 128;

export interface Found {
  readonly log: Log;
  readonly state: PartitionState;
  readonly pending: PendingEntries;
  /** This replica lost what it may have promised (rejoining.ts). */
  readonly isRejoining: boolean;
}

export function createRaft(
  options: PartitionOptions,
  world: PartitionWorld,
  { log, state, pending, isRejoining }: Found,
): Raft {
  return new Raft(
    {
      id: options.nodeId,
      membership: state.membership ?? options.membership,
      ...options.timing,
      ...(options.heartbeatPhase === undefined ? {} : { heartbeatPhase: options.heartbeatPhase }),
      ...(options.mayCampaignNow === undefined ? {} : { mayCampaignNow: options.mayCampaignNow }),
      appendBytesMax: options.appendBytesMax,
      inflightBytesMax: options.inflightBytesMax,
      inflightMessagesMax: INFLIGHT_MESSAGES_MAX,
      uncommittedBytesMax: options.uncommittedBytesMax,
      learnerLagMax: LEARNER_LAG_ENTRIES,
      noopBytes: ENTRY_HEADER_BYTES,
      promiseMs: options.promiseMs,
      random: () => world.env.random.next(),
    },
    {
      hardState: log.hardState,
      base: log.base,
      termRuns: log.termRuns(),
      commit: state.appliedIndex,
      memberships: pending.memberships(),
      isRejoining,
    },
  );
}
