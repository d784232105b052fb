/**
 * What a failure of a log means for whoever hosts its partition. The codes are storage's; the broker sees these words.
 */
import { canPass, StorageError } from '../../storage/index.ts';

function hasCode(error: unknown, code: StorageError['code']): error is StorageError {
  return error instanceof StorageError && error.code === code;
}

/** A log that cannot be opened for this reason can be replaced by what the other replicas hold. */
export function isLogLost(error: unknown): error is StorageError {
  return hasCode(error, 'CORRUPT');
}

/** A write failed, and onFatal was told: the process ends by it, and what happens until then is of no account (W4). */
export function isFatal(error: unknown): boolean {
  return hasCode(error, 'FLUSH_FAILED');
}

/** Nothing can be written or opened now, and perhaps later: the same work can be done again. */
export function isOutOfRoom(error: unknown): error is StorageError {
  return canPass(error);
}
