/**
 * Recent entries of a log, in memory: what consumers at the tail and followers in step ask for. A cache, never the
 * only copy: entries that are not flushed yet are kept by storage itself, so that eviction here is always allowed.
 *
 * All caches of a node share one budget of bytes. When it is spent, the log that was appended to longest ago gives up
 * its oldest entries first: idle partitions do not hold memory that busy ones need.
 */
import { entryBytes, type LogEntry, type LogIndex, type Offset } from '../../storage/index.ts';

/** What an entry takes beside its bytes: entry, header, two views and their stores; measured at 0.7 to 1.8 KB. */
const ENTRY_OVERHEAD_BYTES = 1024;

/** What an entry counts for in the budget. */
export function cachedBytes(entry: LogEntry): number {
  return entryBytes(entry) + ENTRY_OVERHEAD_BYTES;
}

/** The bytes all tail caches of a node may hold together. */
export class CacheBudget {
  readonly #bytesMax: number;
  #bytes = 0;
  /** Least recently appended first. */
  readonly #caches = new Set<TailCache>();
  /** The last of them. */
  #newest: TailCache | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `cache` grew by `bytes`. */
  grew(cache: TailCache, bytes: number): void {
    this.#bytes += bytes;
    // A set that is changed with each append leaves its tables as garbage in V8's old space.
    if (this.#newest !== cache) {
      this.#caches.delete(cache);
      this.#caches.add(cache);
      this.#newest = cache;
    }
    while (this.#bytes > this.#bytesMax) {
      const [coldest] = this.#caches;
      if (coldest === undefined) return;
      if (!coldest.dropOldest()) this.forget(coldest);
    }
  }

  /** `cache` is empty and may stay so. */
  forget(cache: TailCache): void {
    this.#caches.delete(cache);
    if (this.#newest === cache) this.#newest = undefined;
  }

  shrank(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export class TailCache {
  readonly #budget: CacheBudget;
  /** Contiguous entries; those before #head were dropped. */
  #entries: (LogEntry | undefined)[] = [];
  #head = 0;

  constructor(budget: CacheBudget) {
    this.#budget = budget;
  }

  get firstIndex(): LogIndex | undefined {
    return this.#entries[this.#head]?.header.index;
  }

  /** Entries follow the last one here, or begin anew when there is none. */
  append(entries: readonly LogEntry[]): void {
    let bytes = 0;
    for (const entry of entries) {
      this.#entries.push(entry);
      bytes += cachedBytes(entry);
    }
    this.#budget.grew(this, bytes);
  }

  get(index: LogIndex): LogEntry | undefined {
    const first = this.firstIndex;
    if (first === undefined || index < first) return undefined;
    return this.#entries[this.#head + index - first];
  }

  /**
   * Entries from `from` on up to `last`, at least one, stopping before `bytesMax` is exceeded; undefined when `from` is
   * not here.
   */
  slice(from: LogIndex, last: LogIndex, bytesMax: number): LogEntry[] | undefined {
    if (this.get(from) === undefined) return undefined;
    const found: LogEntry[] = [];
    let bytes = 0;
    for (let index = from; index <= last; index += 1) {
      const entry = this.get(index);
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return found;
  }

  /** Index of the batch entry that holds `offset`; undefined when it is not here. */
  indexOfOffset(offset: Offset): LogIndex | undefined {
    let low = this.#head;
    let high = this.#entries.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const header = this.#entries[middle]!.header;
      if (header.baseOffset + header.recordCount <= offset) low = middle + 1;
      else if (header.baseOffset > offset) high = middle - 1;
      else return header.index;
    }
    return undefined;
  }

  truncateSuffix(from: LogIndex): void {
    for (
      let last = this.#entries.at(-1);
      last !== undefined && last.header.index >= from;
      last = this.#entries.at(-1)
    ) {
      this.#entries.pop();
      this.#budget.shrank(cachedBytes(last));
    }
    if (this.#entries.length <= this.#head) this.#reset();
  }

  /** Gives up what is at or below `index`. */
  dropUpTo(index: LogIndex): void {
    for (let first = this.firstIndex; first !== undefined && first <= index; first = this.firstIndex) this.dropOldest();
  }

  clear(): void {
    while (this.dropOldest());
    this.#budget.forget(this);
  }

  /** Gives up the oldest entry; false when there is none. Called by the budget. */
  dropOldest(): boolean {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return false;
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    this.#budget.shrank(cachedBytes(entry));
    if (this.#head === this.#entries.length) this.#reset();
    else if (this.#head >= 1024 && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return true;
  }

  #reset(): void {
    this.#entries = [];
    this.#head = 0;
  }
}
