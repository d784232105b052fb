/** A partition at one moment, for status pages. */
import type { Damage, Log, LogIndex, Offset } from '../../storage/index.ts';
import type { Raft, RaftStatus } from '../raft/index.ts';
import type { PartitionState } from './state.ts';

export interface PartitionStatus extends RaftStatus {
  readonly earliest: Offset;
  /** High watermark. */
  readonly tail: Offset;
  readonly commit: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly bytes: number;
  readonly damage: readonly Damage[];
}

export function statusOf(raft: Raft, log: Log, state: PartitionState): PartitionStatus {
  const { role, term, leader, commit } = raft;
  const { logStart, highWatermark, appliedIndex } = state;
  const { lastIndex, bytes, damage } = log;
  return {
    role,
    term,
    leader,
    commit,
    earliest: logStart,
    tail: highWatermark,
    appliedIndex,
    lastIndex,
    bytes,
    damage,
  };
}
