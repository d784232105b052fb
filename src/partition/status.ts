/** What a partition tells of itself at once: for status pages, readiness and tests. */
import type { Damage, Log, LogIndex, Offset } from '../../storage/index.ts';
import type { Raft, RaftStatus } from '../raft/index.ts';
import type { Reads } from './reads.ts';
import type { Rejoining } from './rejoining.ts';

export interface PartitionStatus extends RaftStatus {
  readonly earliest: Offset;
  /** High watermark. */
  readonly tail: Offset;
  readonly commit: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** Follows or leads, and has applied an entry of that leader's term: everything committed before it is known here. */
  readonly hasCaughtUp: boolean;
  readonly bytes: number;
  readonly damage: readonly Damage[];
  /** Why this replica takes no part until it has rejoined; undefined when it does. */
  readonly rejoining: string | undefined;
}

export function statusOf(parts: {
  readonly raft: Raft;
  readonly reads: Reads;
  readonly log: Log;
  readonly rejoining: Rejoining;
}): PartitionStatus {
  const { role, term, leader, commit } = parts.raft;
  const { earliest, tail, appliedIndex } = parts.reads;
  const { lastIndex, bytes, damage } = parts.log;
  const hasCaughtUp = leader !== undefined && parts.log.termAt(appliedIndex) === term;
  const rejoining = parts.rejoining.reason;
  return {
    role,
    term,
    leader,
    commit,
    earliest,
    tail,
    appliedIndex,
    lastIndex,
    hasCaughtUp,
    bytes,
    damage,
    rejoining,
  };
}
