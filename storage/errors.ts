/**
 * The one error class of this room and its closed table of codes. Users match on `code`; the text is for people.
 * Expected outcomes are values; a StorageError means that the world (disk, bytes, another process) or the caller did
 * something that cannot be answered with one.
 */

export type StorageErrorCode =
  /** Bytes that were proven durable fail their checksum, or a file that must exist is missing. Nothing was changed. */
  | 'CORRUPT'
  /** Nothing can be written for now: no space, or a read-only file system. Everything durable stays; new entries are
   *  refused until that is over. */
  | 'FULL'
  /** A write or flush failed. What is on disk is unknown; the process must end (W4). */
  | 'FLUSH_FAILED'
  /** Any other failure of the operating system, such as a read error. */
  | 'IO'
  /** The data directory belongs to a living process. */
  | 'LOCKED'
  /** A newer format version, or an entry kind or flag this build does not know. Nothing is guessed. */
  | 'UNSUPPORTED'
  /** The bytes are sound and belong to another cluster, node, disk or group. */
  | 'FOREIGN'
  /** The log or the directory was closed. */
  | 'CLOSED'
  /** Below the first stored entry. */
  | 'TRIMMED'
  /** Above the last stored entry, or a repair that does not fit its place. */
  | 'OUT_OF_RANGE';

export interface StorageErrorDetails {
  readonly file?: string | undefined;
  /** First byte of `file` that is meant. */
  readonly position?: number | undefined;
  /** Log index that is meant. */
  readonly index?: number | undefined;
  /** LOCKED: the process that holds the lock. */
  readonly pid?: number | undefined;
  readonly cause?: unknown;
}

export class StorageError extends Error {
  readonly code: StorageErrorCode;
  readonly file: string | undefined;
  readonly position: number | undefined;
  readonly index: number | undefined;
  readonly pid: number | undefined;

  constructor(code: StorageErrorCode, message: string, details: StorageErrorDetails = {}) {
    const where = [
      details.file === undefined ? '' : ` in ${details.file}`,
      details.position === undefined ? '' : ` at byte ${details.position}`,
      details.index === undefined ? '' : ` (index ${details.index})`,
    ].join('');
    super(`${message}${where}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'StorageError';
    this.code = code;
    this.file = details.file;
    this.position = details.position;
    this.index = details.index;
    this.pid = details.pid;
  }
}

export function isStorageError(error: unknown, code?: StorageErrorCode): error is StorageError {
  return error instanceof StorageError && (code === undefined || error.code === code);
}

/** The medium cannot give bytes back that are there: they are as lost as bytes that fail their checksum (F36). Not for
 *  other failures of a read, such as too many open files, which say nothing of the bytes. */
export function isUnreadable(error: unknown): boolean {
  return isStorageError(error, 'IO') && (error.cause as { readonly code?: unknown } | undefined)?.code === 'EIO';
}
