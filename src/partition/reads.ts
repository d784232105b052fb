/**
 * Committed batches by offset: from the tail cache, else from disk. Never at or above the high watermark (L1, P6),
 * never below the log start, and never a byte that fails its checksum: a damaged entry is fetched from a peer and put
 * back first, or the read fails by name (W24, design 5 "Repair").
 */
import type { Log, LogEntry, LogIndex, Offset } from '../../storage/index.ts';
import { StorageError } from '../../storage/index.ts';
import type { PartitionState } from './state.ts';
import type { TailCache } from './tail-cache.ts';

export type ReadOutcome =
  | {
      readonly kind: 'batches';
      /** Whole batches as stored; the first may begin below the offset asked for. Frozen. */
      readonly batches: readonly Uint8Array[];
      /** One past the last record of the batches. */
      readonly nextOffset: Offset;
    }
  | { readonly kind: 'at-tail' }
  | { readonly kind: 'trimmed' }
  | { readonly kind: 'out-of-range' }
  | { readonly kind: 'damaged'; readonly file: string | undefined; readonly position: number | undefined };

export interface ReadsParts {
  readonly log: Log;
  readonly state: PartitionState;
  readonly cache: TailCache;
  /** Puts a damaged entry back from a peer. False: no peer could supply it. */
  repair(index: LogIndex): Promise<boolean>;
}

export class Reads {
  readonly #parts: ReadsParts;

  constructor(parts: ReadsParts) {
    this.#parts = parts;
  }

  async read(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    const { state, cache } = this.#parts;
    if (offset > state.highWatermark) return { kind: 'out-of-range' };
    if (offset < state.logStart) return { kind: 'trimmed' };
    if (offset === state.highWatermark) return { kind: 'at-tail' };
    const cached = cache.indexOfOffset(offset);
    if (cached !== undefined) {
      const found = batchesOf(cache.slice(cached, state.appliedIndex, bytesMax) ?? []);
      if (found !== undefined) return found;
    }
    return this.#readFromDisk(offset, bytesMax);
  }

  async #readFromDisk(offset: Offset, bytesMax: number): Promise<ReadOutcome> {
    const { log, state } = this.#parts;
    for (;;) {
      try {
        const index = await log.indexOfOffset(offset);
        const entries = await log.read(index, bytesMax);
        // What was appended since and is not committed is not for readers.
        const found = batchesOf(entries.filter(({ header }) => header.index <= state.appliedIndex));
        return found ?? { kind: 'at-tail' };
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        if (error.code === 'TRIMMED') return { kind: 'trimmed' };
        const isMended =
          error.code === 'CORRUPT' && error.index !== undefined && (await this.#parts.repair(error.index));
        if (isMended) continue;
        if (error.code === 'CORRUPT') return { kind: 'damaged', file: error.file, position: error.position };
        throw error;
      }
    }
  }
}

/** The batches among the entries; undefined when there are none. */
function batchesOf(entries: readonly LogEntry[]): ReadOutcome | undefined {
  const batches: Uint8Array[] = [];
  let nextOffset = 0;
  for (const { header, payload } of entries) {
    if (header.kind !== 'batch') continue;
    batches.push(payload);
    nextOffset = header.baseOffset + header.recordCount;
  }
  return batches.length === 0 ? undefined : { kind: 'batches', batches, nextOffset };
}
