/** The only door of this room: one topic partition, and what it needs of the world. */

export {
  crc32c,
  type DataDirectory,
  decodeEntries,
  entryBytes,
  type LogEntry,
  type LogEvent,
} from '../../storage/index.ts';
export type { NodeId } from '../raft/index.ts';
export type { Appended, AppendOutcome, AppendRefusal } from './append-queue.ts';
export { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
export type { FeedWaiter, WakeReason } from './commit-feed.ts';
export { UnsupportedEntry } from './control.ts';
export type { SuppliedEntry } from './entry-supply.ts';
export { encodeFirstEntry, type FirstEntry } from './first-entry.ts';
export type { PartitionEvents, PartitionOptions, PartitionWorld, RaftTiming } from './options.ts';
export { Partition, type PartitionStatus } from './partition.ts';
export type { OffsetOutcome, ReadOutcome, Unreadable } from './reads.ts';
export type { StateMachine } from './state.ts';
export { CacheBudget } from './tail-cache.ts';
export type { Lane, Transport } from './transport.ts';
