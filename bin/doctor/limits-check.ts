/** What the system allows a process: open files, memory, threads, and the Node it runs on. */
import { type Finding, failure, ok, warning } from './finding.ts';

/** A node reads through 128 files, holds two a partition, and one a connection. */
const OPEN_FILES_MIN = 512;
const OPEN_FILES_GOOD = 4_096;
const MiB = 1024 * 1024;
const MEMORY_GOOD_BYTES = 512 * MiB;
/** Flushes take three threads, reads need some beside them. */
const THREADS_MIN = 4;
/** As in package.json: the first minor version of each major one; of those above, any. */
const NODE_MIN: Readonly<Record<number, number>> = { 20: 19, 22: 12 };
const NODE_MAJOR_BOUNDED = 22;
const NODE_TESTED: readonly number[] = [20, 22, 24, 26];

/** `softLimit` undefined: not known, or unlimited. */
export function checkOpenFiles({ softLimit }: { readonly softLimit: number | undefined }): Finding {
  const check = 'open files';
  if (softLimit === undefined) return ok(check, 'no limit known');
  const remedy = `raise the limit (ulimit -n, LimitNOFILE) to ${OPEN_FILES_GOOD}`;
  const advice = `two files a partition and one a connection: ${remedy}`;
  if (softLimit < OPEN_FILES_MIN) return failure(check, `at most ${softLimit}`, advice);
  return softLimit < OPEN_FILES_GOOD
    ? warning(check, `at most ${softLimit}`, advice)
    : ok(check, `at most ${softLimit}`);
}

/** The soft limit in the text of /proc/self/limits. */
export function openFilesOf(limits: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? undefined : Number(soft);
}

export interface MemoryReadings {
  /** Of the cgroup; undefined: none. */
  readonly limitBytes: number | undefined;
  /** What V8 would let the heap grow to. */
  readonly heapLimitBytes: number;
}

export function checkMemory({ limitBytes, heapLimitBytes }: MemoryReadings): Finding {
  const check = 'memory';
  const mebibytes = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`;
  if (limitBytes === undefined) return ok(check, `no limit; heap up to ${mebibytes(heapLimitBytes)}`);
  const found = `limit ${mebibytes(limitBytes)}, heap up to ${mebibytes(heapLimitBytes)}`;
  if (limitBytes < MEMORY_GOOD_BYTES) {
    return warning(
      check,
      found,
      `below ${mebibytes(MEMORY_GOOD_BYTES)} a busy node may be killed by the kernel: raise it`,
    );
  }
  if (heapLimitBytes > limitBytes) {
    const advice = 'the kernel kills the node before V8 tidies up: start it with --max-old-space-size below the limit';
    return warning(check, found, advice);
  }
  return ok(check, found);
}

/** Memory limit in the text of memory.max (cgroup 2) or memory.limit_in_bytes (cgroup 1). */
export function memoryLimitOf(text: string | undefined): number | undefined {
  const bytes = Number(text?.trim());
  // Version 1 says "no limit" with a number near 2^63.
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

export function checkRuntime({
  version,
  threadPoolSize,
}: {
  readonly version: string;
  /** UV_THREADPOOL_SIZE of the environment; the command line sets 12 when there is none. */
  readonly threadPoolSize: number;
}): Finding[] {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const isOld = major <= NODE_MAJOR_BOUNDED && minor < (NODE_MIN[major] ?? Infinity);
  const node = isOld
    ? failure('node', version, `logdrive needs 20.19, or 22.12 or later`)
    : NODE_TESTED.includes(major)
      ? ok('node', version)
      : warning('node', version, `logdrive is tested on ${NODE_TESTED.join(', ')}`);
  const found = `UV_THREADPOOL_SIZE ${threadPoolSize}`;
  const threads =
    threadPoolSize < THREADS_MIN
      ? warning(
          'threads',
          found,
          `flushes take all of them and reads wait: set at least ${THREADS_MIN}, or leave it unset`,
        )
      : ok('threads', found);
  return [node, threads];
}
