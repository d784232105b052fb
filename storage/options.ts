/** Options of a log: unit, default and check per field. */
import assert from 'node:assert/strict';
import type { StorageError } from './errors.ts';
import type { ByteCount, EntryId, Ms, Offset } from './types.ts';

/** What a log tells for logs and metrics. Storage reads no clock: durations are the caller's to measure. */
export type LogEvent =
  | { readonly kind: 'flush'; readonly entries: number; readonly bytes: ByteCount }
  | { readonly kind: 'torn-end'; readonly file: string; readonly position: ByteCount; readonly bytes: ByteCount }
  /** A copy or derived file was damaged and was written anew from what is known elsewhere. */
  | { readonly kind: 'mended'; readonly file: string }
  /** A sealed segment was not there when the log was opened: its entries are damage, and told of as that too. */
  | { readonly kind: 'missing-segment'; readonly file: string }
  | { readonly kind: 'damage'; readonly file: string; readonly position: ByteCount; readonly index: number };

/** One-shot timers; storage starts none of its own. */
export interface LogTimers {
  after(delayMs: Ms, fn: () => void): { cancel(): void };
}

export interface LogOptions {
  /** A segment is sealed before a flush would take it beyond this. 64 MiB; at least 8 KiB. */
  readonly segmentBytes?: ByteCount;
  /** Entries collected in one flush frame. 4 MiB; at least 4 KiB. One larger entry is written by itself. */
  readonly flushBytesMax?: ByteCount;
  /** How long after a flush without a successor an empty frame proves it. 20 ms. */
  readonly idleProofMs?: Ms;
  /** Offset of the first record of a log that is made now; 0. A log that exists goes on as it is. */
  readonly firstOffset?: Offset;
  readonly timers: LogTimers;
  /** Stamped into every file of the log; another one's files are refused. */
  readonly clusterId: string;
  /** Everything up to `at` is durable. Called once per flush, after it. */
  onFlushed(at: EntryId): void;
  /** A segment that ends at `last` was sealed: a snapshot is due when applied reaches it. */
  onSealed?(last: EntryId): void;
  /** Nothing can be written for now: what was accepted waits in memory, append() throws FULL until onSpace. */
  onFull?(cause: StorageError): void;
  onSpace?(): void;
  observe?(event: LogEvent): void;
}

export interface LogLimits {
  readonly segmentBytes: ByteCount;
  readonly flushBytesMax: ByteCount;
  readonly idleProofMs: Ms;
}

export function limitsOf(options: LogOptions): LogLimits {
  const segmentBytes = options.segmentBytes ?? 64 * 1024 * 1024;
  const flushBytesMax = options.flushBytesMax ?? 4 * 1024 * 1024;
  const idleProofMs = options.idleProofMs ?? 20;
  assert(segmentBytes >= 8 * 1024 && segmentBytes <= 2 ** 40, `segmentBytes ${segmentBytes}`);
  assert(flushBytesMax >= 4096 && flushBytesMax <= 64 * 1024 * 1024, `flushBytesMax ${flushBytesMax}`);
  assert(idleProofMs >= 1 && idleProofMs <= 60_000, `idleProofMs ${idleProofMs}`);
  return { segmentBytes, flushBytesMax, idleProofMs };
}
