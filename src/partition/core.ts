/** The Raft core of a partition, from its options and from what was found on disk. */
import { ENTRY_HEADER_BYTES, type Log } from '../../storage/index.ts';
import { Raft } from '../raft/index.ts';
import type { PartitionOptions, PartitionWorld } from './options.ts';
import type { PartitionState } from './state.ts';

/** Appends on their way to one follower. */
const INFLIGHT_MESSAGES_MAX = 256;

export function createRaft(options: PartitionOptions, world: PartitionWorld, log: Log, state: PartitionState): Raft {
  return new Raft(
    {
      id: options.nodeId,
      membership: state.membership ?? options.membership,
      ...options.timing,
      ...(options.heartbeatPhase === undefined ? {} : { heartbeatPhase: options.heartbeatPhase }),
      appendBytesMax: options.appendBytesMax,
      inflightBytesMax: options.inflightBytesMax,
      inflightMessagesMax: INFLIGHT_MESSAGES_MAX,
      uncommittedBytesMax: options.uncommittedBytesMax,
      noopBytes: ENTRY_HEADER_BYTES,
      random: () => world.env.random.next(),
    },
    { hardState: log.hardState, base: log.base, termRuns: log.termRuns(), commit: state.appliedIndex },
  );
}
