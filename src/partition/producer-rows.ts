/**
 * The rows of the producer table, by id and in the order of their last append. A map alone keeps that order too, when a
 * row is deleted and set again; but it leaves a hole at its front each time, and whoever looks for the oldest row then
 * walks over up to a hundred thousand of them at every entry that is applied. So the order is a list of its own.
 *
 * Rows are never changed, only replaced.
 */
import type { LogIndex } from '../../storage/index.ts';

/** A batch as it is remembered. */
export interface RememberedBatch {
  readonly sequence: number;
  readonly recordCount: number;
  readonly baseOffset: number;
  readonly index: LogIndex;
  readonly term: number;
  readonly appendTimeMs: number;
}

/** One producer as of one entry. */
export interface ProducerRow {
  readonly id: string;
  readonly epoch: number;
  /** Sequence number the next record must carry. */
  readonly nextSequence: number;
  /** Append time of the last batch. */
  readonly lastAppendTimeMs: number;
  /** The last batches of this epoch, oldest first, at most PRODUCER_WINDOW_BATCHES. */
  readonly batches: readonly RememberedBatch[];
}

interface Link {
  row: ProducerRow;
  older: Link | undefined;
  newer: Link | undefined;
}

export class ProducerRows {
  readonly #links = new Map<string, Link>();
  #oldest: Link | undefined;
  #newest: Link | undefined;
  /** Batches remembered in all rows: what a snapshot needs to know without looking at each of them. */
  #batches = 0;

  get batches(): number {
    return this.#batches;
  }

  get size(): number {
    return this.#links.size;
  }

  /** The one that was put least recently. */
  get oldest(): ProducerRow | undefined {
    return this.#oldest?.row;
  }

  get(id: string): ProducerRow | undefined {
    return this.#links.get(id)?.row;
  }

  /** Replaces the row of the same id; it is the newest then. */
  put(row: ProducerRow): void {
    let link = this.#links.get(row.id);
    if (link === undefined) {
      link = { row, older: undefined, newer: undefined };
      this.#links.set(row.id, link);
    } else {
      this.#batches -= link.row.batches.length;
      link.row = row;
      this.#unlink(link);
    }
    this.#batches += row.batches.length;
    link.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = link;
    else this.#newest.newer = link;
    this.#newest = link;
  }

  removeOldest(): void {
    const link = this.#oldest;
    if (link === undefined) return;
    this.#links.delete(link.row.id);
    this.#batches -= link.row.batches.length;
    this.#unlink(link);
  }

  /** The rows as they are now, oldest first. */
  list(): ProducerRow[] {
    const rows = new Array<ProducerRow>(this.size);
    let at = 0;
    for (let link = this.#oldest; link !== undefined; link = link.newer) {
      rows[at] = link.row;
      at += 1;
    }
    return rows;
  }

  #unlink(link: Link): void {
    const { older, newer } = link;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    link.older = undefined;
    link.newer = undefined;
  }
}
