/** The only door of the storage room: a durable log, a library on its own. See docs/storage.md. */
export { EMPTY_CHAIN, sameChain } from './chain.ts';
export { crc32c } from './checksum.ts';
export { DataDirectory, type DataDirectoryOptions } from './data-directory.ts';
export { type Difference, diffLogs, type IndexRange, type LogDiff } from './diff.ts';
export type { DirectoryItem, Disk, DiskLock, File, OpenMode } from './disk.ts';
export { type DiskStep, DryRunDisk } from './dry-run-disk.ts';
export { isStorageError, StorageError, type StorageErrorCode, type StorageErrorDetails } from './errors.ts';
export { type FileState, type FileVerdict, type Finding, isBad, type Unmended } from './file-verdict.ts';
export { decodeEntries, ENTRY_HEADER_BYTES, encodeEntry, entryBytes, type NewEntry } from './format.ts';
export { IncomingSnapshot, type SnapshotKey, sameSnapshot } from './incoming-snapshot.ts';
export {
  type DirectoryReport,
  inspectDirectory,
  inspectMarks,
  inspectSegment,
  type LogReport,
  type Problem,
  type SegmentItem,
  type SegmentReport,
  type SnapshotReport,
} from './inspect.ts';
export { Log } from './log.ts';
export { MemoryDisk, type MemoryDiskOptions } from './memory-disk.ts';
export { NodeDisk } from './node-disk.ts';
export { repairDirectory } from './offline-repair.ts';
export type { LogEvent, LogOptions, LogTimers } from './options.ts';
export type { RewritePlan, Rewritten } from './rewrite.ts';
export type { SegmentInfo } from './segment-info.ts';
export type { Marker } from './standing.ts';
export { canPass, isOutOfHandles } from './system-error.ts';
export type {
  ByteCount,
  ChainSum,
  CompactedPayload,
  Damage,
  EntryHeader,
  EntryId,
  EntryKind,
  GroupId,
  HardState,
  LogEntry,
  LogIndex,
  Ms,
  Offset,
  ProducerTuple,
  Snapshot,
  Term,
  TermRun,
} from './types.ts';
export { type LogVerdict, verifyFiles, verifyStart } from './verify.ts';
