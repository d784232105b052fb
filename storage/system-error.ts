/**
 * Errors of the operating system as StorageErrors: which of them mean that nothing can be written for now, and what the
 * others mean, in words for whoever reads the last line of a log.
 */
import { StorageError } from './errors.ts';

const MEANINGS: Readonly<Record<string, string>> = {
  EACCES: 'this process may not',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file would grow beyond the limit for files',
  EIO: 'the medium failed',
  EMFILE: 'this process has too many open files; raise its limit (ulimit -n)',
  ENFILE: 'the system has too many open files',
  ENOSPC: 'no space or no inode is left on the device',
  EROFS: 'the file system is read-only, perhaps since it met an error: see the log of the kernel',
};

/** A write fails by them for a reason that can pass, and says so each time it is tried (F38, F39). */
const PASSING: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS'];

/**
 * FULL where nothing can be written for now, and perhaps later: a full disk or quota, a limit for files, a read-only
 * file system, and a file to be written to that cannot be opened because too many are. IO for the rest. The operating
 * system's error is the cause.
 */
export function diskError(error: unknown, action: string, file: string): StorageError {
  const code = codeOf(error);
  const isFull = PASSING.includes(code) || (action === 'open to write' && isOutOfHandles(error));
  const meaning = MEANINGS[code ?? ''];
  const what = `${action} failed: ${code ?? String(error)}${meaning === undefined ? '' : ` (${meaning})`}`;
  return new StorageError(isFull ? 'FULL' : 'IO', what, { file, cause: error });
}

/** Too many files are open: it says nothing of the file that was to be opened, and passes. */
export function isOutOfHandles(error: unknown): boolean {
  const code = error instanceof StorageError ? codeOf(error.cause) : codeOf(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

/** Nothing was done, for a reason that can pass: no room, or no handle to open a file with. It is done again later. */
export function canPass(error: unknown): error is StorageError {
  return error instanceof StorageError && (error.code === 'FULL' || isOutOfHandles(error));
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
