/**
 * Committed batches by offset: from the tail cache, else from disk. Never at or above the high watermark (L1, P6),
 * never below the log start, and never a byte that fails its checksum: a damaged entry is fetched from a peer and put
 * back first, or the read fails by name (W24, design 5 "Repair").
 */
import {
  isOutOfHandles,
  type Log,
  type LogEntry,
  type LogIndex,
  type Offset,
  StorageError,
  type Term,
} from '../../storage/index.ts';
import { CommitFeed, type FeedWaiter, type WakeReason } from './commit-feed.ts';
import type { PartitionState } from './state.ts';
import type { TailCache } from './tail-cache.ts';

/** Stored bytes that cannot be served. */
export interface Unreadable {
  /** 'busy': too many files are open, which says nothing of the bytes, and passes. */
  readonly kind: 'damaged' | 'busy';
  readonly file: string | undefined;
  readonly position: number | undefined;
}

export type ReadOutcome =
  | {
      readonly kind: 'batches';
      /** Whole batches as stored; the first may begin below the offset asked for. Frozen. None when compaction left no
       *  record between the offset asked for and the high watermark. */
      readonly batches: readonly Uint8Array[];
      /** Where to read on: behind the last batch, and behind what compaction took out of the log there. */
      readonly nextOffset: Offset;
      /** Records between the offset asked for and nextOffset may be missing: compaction took them out. */
      readonly isCompacted: boolean;
    }
  | { readonly kind: 'at-tail' }
  | { readonly kind: 'trimmed' }
  | { readonly kind: 'out-of-range' }
  /** The partition was closed: it may be open again, or gone with its topic. */
  | { readonly kind: 'closed' }
  | Unreadable;

export type OffsetOutcome =
  | { readonly kind: 'offset'; readonly offset: Offset }
  | { readonly kind: 'closed' }
  | Unreadable;

export type TermOutcome =
  | { readonly kind: 'term'; readonly term: Term }
  /** The record is no longer stored here. */
  | { readonly kind: 'trimmed' }
  | { readonly kind: 'closed' }
  | Unreadable;

export interface ReadsParts {
  readonly log: Log;
  readonly state: PartitionState;
  readonly cache: TailCache;
  /** Puts a damaged entry back from a peer. False: no peer could supply it. */
  repair(index: LogIndex): Promise<boolean>;
}

/** Read at once of entries without records: each is a header alone, and thousands fit into little. */
const HOLE_BYTES = 256 * 1024;
const CLOSED = { kind: 'closed' } as const;

/** What readers see ends at `tail` and `appliedIndex`, until the entry at `until` is applied. */
interface Veil {
  readonly tail: Offset;
  readonly appliedIndex: LogIndex;
  readonly until: LogIndex;
}

export class Reads {
  readonly #parts: ReadsParts;
  /** Who waits for the high watermark, and for the applied index. */
  readonly #offsets = new CommitFeed();
  readonly #indexes = new CommitFeed();
  #veil: Veil | undefined;
  #isClosed = false;

  constructor(parts: ReadsParts) {
    this.#parts = parts;
  }

  /** First offset that can be read: the log start, and never one that readers do not see yet. */
  get earliest(): Offset {
    return Math.min(this.#parts.state.logStart, this.tail);
  }

  /** First offset that readers do not see: the high watermark, but under a veil. */
  get tail(): Offset {
    return this.#veil?.tail ?? this.#parts.state.highWatermark;
  }

  /** As of what readers see. */
  get appliedIndex(): LogIndex {
    return this.#veil?.appliedIndex ?? this.#parts.state.appliedIndex;
  }

  /**
   * Entries come from which a compaction took records that later ones supersede, those up to `until` at most. Without
   * them a reader would be given neither: nothing new is seen before the last of them is applied.
   */
  veil(until: LogIndex): void {
    if (until <= this.#parts.state.appliedIndex) return;
    const { tail, appliedIndex } = this;
    this.#veil = { tail, appliedIndex, until: Math.max(until, this.#veil?.until ?? 0) };
  }

  /** Reads end with 'closed' from here on, and waits end. */
  close(): void {
    this.#isClosed = true;
    this.#offsets.close();
    this.#indexes.close();
  }

  /** Entries were applied: whoever waited for them is woken. */
  applied(): void {
    if (this.#veil !== undefined && this.#parts.state.appliedIndex >= this.#veil.until) this.#veil = undefined;
    this.#offsets.advanced(this.tail);
    this.#indexes.advanced(this.appliedIndex);
  }

  watch(offset: Offset, wake: (reason: WakeReason) => void): FeedWaiter {
    return this.#offsets.watch(offset, wake);
  }

  watchApplied(index: LogIndex, wake: (reason: WakeReason) => void): FeedWaiter {
    return this.#indexes.watch(index - 1, wake);
  }

  async read(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    // Nothing is left to wait for at the tail of a closed partition: whoever looks there must not look again.
    if (this.#isClosed) return CLOSED;
    if (offset > this.tail) return { kind: 'out-of-range' };
    if (offset < this.earliest) return { kind: 'trimmed' };
    if (offset === this.tail) return { kind: 'at-tail' };
    let outcome = await this.#readAt(offset, bytesMax);
    // Behind a hole the next record is looked for: nobody has to ask for each of the entries that hold none any more.
    while (outcome.kind === 'batches' && outcome.batches.length === 0 && outcome.nextOffset < this.tail) {
      const behind = await this.#readAt(outcome.nextOffset, Math.min(bytesMax, HOLE_BYTES));
      if (behind.kind !== 'batches') return behind.kind === 'at-tail' ? outcome : behind;
      outcome = { ...behind, isCompacted: true };
    }
    return outcome;
  }

  async #readAt(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    const { cache } = this.#parts;
    const cached = cache.indexOfOffset(offset);
    if (cached !== undefined) {
      const found = batchesOf(cache.slice(cached, this.appliedIndex, bytesMax) ?? []);
      if (found !== undefined) return found;
    }
    return this.#fromDisk(() => this.#readFromDisk(offset, bytesMax));
  }

  /** First offset whose append time is at or after `timestampMs`, within what can be read. */
  offsetOfTime(timestampMs: number): Promise<OffsetOutcome> {
    return this.#fromDisk(async () => {
      const found = await this.#parts.log.offsetOfTime(timestampMs);
      return { kind: 'offset', offset: Math.min(Math.max(found, this.earliest), this.tail) };
    });
  }

  /** Term of the entry that holds the record at `offset`, which is below the high watermark. */
  termOf(offset: Offset): Promise<TermOutcome> {
    const { log, cache } = this.#parts;
    return this.#fromDisk(async () => {
      try {
        const term = log.termAt(cache.indexOfOffset(offset) ?? (await log.indexOfOffset(offset)));
        return term === undefined ? { kind: 'trimmed' } : { kind: 'term', term };
      } catch (error) {
        if (error instanceof StorageError && error.code === 'TRIMMED') return { kind: 'trimmed' };
        throw error;
      }
    });
  }

  async #readFromDisk(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    const { log } = this.#parts;
    try {
      const index = await log.indexOfOffset(offset);
      const entries = await log.read(index, bytesMax);
      // What was appended since and is not committed is not for readers.
      return batchesOf(entries.filter(({ header }) => header.index <= this.appliedIndex)) ?? { kind: 'at-tail' };
    } catch (error) {
      if (error instanceof StorageError && error.code === 'TRIMMED') return { kind: 'trimmed' };
      throw error;
    }
  }

  /** Reads again what could be mended; what cannot is an outcome. */
  async #fromDisk<T>(read: () => Promise<T>): Promise<T | Unreadable | typeof CLOSED> {
    let mended: LogIndex | undefined;
    for (;;) {
      if (this.#isClosed) return CLOSED;
      try {
        return await read();
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        if (this.#isClosed || error.code === 'CLOSED') return CLOSED;
        const { code, index, file, position } = error;
        // What fails again behind a repair that had nothing to do would fail for ever.
        const isNews = code === 'CORRUPT' && index !== undefined && index !== mended;
        if (isNews && (await this.#parts.repair(index))) {
          mended = index;
          continue;
        }
        // A disk that cannot read its bytes back has damaged them as far as a reader is concerned (F36).
        if (isOutOfHandles(error)) return { kind: 'busy', file, position };
        if (code === 'CORRUPT' || code === 'IO') return { kind: 'damaged', file, position };
        throw error;
      }
    }
  }
}

/** The batches among the entries, as far as compaction left them; undefined when there are none. */
function batchesOf(entries: readonly LogEntry[]): ReadOutcome | undefined {
  const batches: Uint8Array[] = [];
  let nextOffset: Offset | undefined;
  let isCompacted = false;
  for (const { header, payload } of entries) {
    if (header.kind !== 'batch') continue;
    if (header.compacted !== undefined) isCompacted = true;
    if (payload.length > 0) batches.push(payload);
    nextOffset = header.baseOffset + header.recordCount;
  }
  return nextOffset === undefined ? undefined : { kind: 'batches', batches, nextOffset, isCompacted };
}
