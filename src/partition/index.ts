/** The only door of this room: one topic partition, and what it needs of the world. */

export {
  crc32c,
  type DataDirectory,
  decodeEntries,
  type EntryId,
  entryBytes,
  type LogEntry,
  type LogEvent,
} from '../../storage/index.ts';
export {
  isJoint,
  isMember,
  type LostAcks,
  type Membership,
  type MembershipTarget,
  type NodeId,
  type Pace,
} from '../raft/index.ts';
export type { Appended, AppendOutcome, AppendRefusal } from './append-queue.ts';
export { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
export type { FeedWaiter, WakeReason } from './commit-feed.ts';
export type { CompactionOutcome, CompactionPolicy, CompactionRun } from './compactor.ts';
export { Compactor } from './compactor.ts';
export { UnsupportedEntry } from './control.ts';
export { isFatal, isLogLost, isOutOfRoom } from './disk-trouble.ts';
export type { OneSupply, SuppliedEntry, Supply, WantedEntry } from './entry-supply.ts';
export { encodeFirstEntry, type FirstEntry } from './first-entry.ts';
export { KeyMap } from './key-map.ts';
export type { LeaseOptions } from './lease.ts';
export type { LostEntry } from './lost-entries.ts';
export type { MembershipChange } from './membership-change.ts';
export type { PartitionEvents, PartitionOptions, PartitionWorld, RaftTiming } from './options.ts';
export { Partition } from './partition.ts';
export type { ReadIndexOutcome } from './read-index.ts';
export type { OffsetOutcome, ReadOutcome, TermOutcome, Unreadable } from './reads.ts';
export { newMarker } from './rejoining.ts';
export { SnapshotPace } from './snapshot-pace.ts';
export type { StateMachine } from './state.ts';
export type { PartitionStatus } from './status.ts';
export { CacheBudget } from './tail-cache.ts';
export type { Lane, Transport } from './transport.ts';
