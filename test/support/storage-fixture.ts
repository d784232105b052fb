/** Builders for storage tests: timers that are fired by hand, entries that continue a log, a directory on a disk. */
import { createHash } from 'node:crypto';
import type { Disk, LogEntry, LogOptions, LogTimers, NewEntry } from '../../storage/index.ts';
import { crc32c, DataDirectory, encodeEntry, type Log, type StorageError } from '../../storage/index.ts';

/** Nothing fires unless the test says so. */
export class ManualTimers implements LogTimers {
  #pending: { delayMs: number; fn: () => void }[] = [];

  after(delayMs: number, fn: () => void): { cancel(): void } {
    const timer = { delayMs, fn };
    this.#pending.push(timer);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((other) => other !== timer);
      },
    };
  }

  get pending(): number {
    return this.#pending.length;
  }

  get delaysMs(): number[] {
    return this.#pending.map(({ delayMs }) => delayMs);
  }

  /** Fires everything that is pending now. */
  fire(): void {
    for (const timer of this.#pending.splice(0)) timer.fn();
  }
}

/** Bytes that look random and are the same in every run. */
export function bytesOf(seed: string | number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, block = 0; at < length; at += 32, block++) {
    bytes.set(
      createHash('sha256')
        .update(`${seed}/${block}`)
        .digest()
        .subarray(0, length - at),
      at,
    );
  }
  return bytes;
}

export interface EntrySpec {
  readonly term?: number;
  readonly payloadBytes?: number;
  /** Records of a batch; absent: a control entry. */
  readonly records?: number;
  readonly appendTimeMs?: number;
  readonly seed?: string | number;
}

/** Entries that continue `log`, one per spec. They are not appended. */
export function nextEntries(log: Log, specs: readonly EntrySpec[]): LogEntry[] {
  let chain = log.lastChain;
  let index = log.lastIndex;
  let baseOffset = log.nextOffset;
  let appendTimeMs = log.lastAppendTimeMs;
  let term = Math.max(1, log.lastTerm);
  return specs.map((spec) => {
    index++;
    term = spec.term ?? term;
    appendTimeMs = spec.appendTimeMs ?? appendTimeMs + 1;
    const recordCount = spec.records ?? 0;
    const payload = bytesOf(spec.seed ?? `${term}.${index}`, spec.payloadBytes ?? 100);
    const fields: NewEntry = {
      kind: spec.records === undefined ? 'control' : 'batch',
      groupId: log.groupId,
      index,
      term,
      baseOffset,
      recordCount,
      appendTimeMs,
      producer: undefined,
      payload: spec.records === undefined ? payload : asBatch(payload),
    };
    const entry = encodeEntry(fields, chain);
    chain = entry.header.chain;
    baseOffset += recordCount;
    return entry;
  });
}

/** Puts the checksum of a batch where it belongs: big-endian at 17, over everything from 21 on. */
export function asBatch(payload: Uint8Array): Uint8Array {
  const batch = new Uint8Array(Math.max(payload.length, 61));
  batch.set(payload);
  const body = encodeEntry(
    {
      kind: 'control',
      groupId: 0,
      index: 1,
      term: 1,
      baseOffset: 0,
      recordCount: 0,
      appendTimeMs: 0,
      producer: undefined,
      payload: batch.subarray(21),
    },
    { high: 0, low: 0 },
  );
  new DataView(batch.buffer).setUint32(17, body.header.payloadChecksum, false);
  return batch;
}

export interface Opened {
  readonly directory: DataDirectory;
  readonly log: Log;
  readonly timers: ManualTimers;
  readonly fatal: StorageError[];
  /** What onFlushed was told, in order. */
  readonly flushed: { term: number; index: number }[];
}

export const CLUSTER_ID = 'cluster-1';
export const DATA_PATH = '/data';

/** Opens log 1 of a data directory on `disk`. */
export async function openLog(
  disk: Disk,
  options: Partial<LogOptions> & { path?: string; nodeId?: string; groupId?: number } = {},
): Promise<Opened> {
  const fatal: StorageError[] = [];
  const flushed: { term: number; index: number }[] = [];
  const timers = new ManualTimers();
  const { path = DATA_PATH, nodeId = 'n1', groupId = 1, ...logOptions } = options;
  const directory = await DataDirectory.open(disk, path, {
    nodeId,
    randomBytes: (count) => bytesOf('disk', count),
    onFatal: (error) => fatal.push(error),
  });
  const log = await directory.openLog(groupId, {
    timers,
    clusterId: CLUSTER_ID,
    segmentBytes: 32 * 1024,
    ...logOptions,
    onFlushed: (at) => {
      flushed.push(at);
      logOptions.onFlushed?.(at);
    },
  });
  return { directory, log, timers, fatal, flushed };
}

/** Every entry of a log, read in small steps. */
export async function readAll(log: Log, bytesMax = 10_000): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (let index = log.firstIndex; index <= log.lastIndex; ) {
    const part = await log.read(index, bytesMax);
    entries.push(...part);
    index += part.length;
  }
  return entries;
}

/** Entries as short text, for comparison: index, term and a digest of the payload. */
export function describeEntries(entries: readonly LogEntry[]): string[] {
  return entries.map(({ header, payload }) => {
    const digest = crc32c(payload).toString(16);
    return `${header.index}/${header.term} ${digest}`;
  });
}
