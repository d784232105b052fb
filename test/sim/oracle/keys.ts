/**
 * What a compacted partition may lack: of each key all records but the latest, and the latest when it deletes its key
 * and tombstones are forgotten in time. An append of unknown fate may have superseded others and been superseded itself
 * before anybody was given it: it excuses a hole, but never that a key ends in nothing.
 */
import type { PartitionView } from './view.ts';

interface KeyedPlace {
  readonly key: string;
  readonly isTombstone: boolean;
}

/** Appends to a key that may be in the log, nobody knows where. */
interface Unplaced {
  hasTombstone: boolean;
}

export class Keys {
  readonly #isForgetful: boolean;
  /** By value. */
  readonly #records = new Map<string, KeyedPlace>();
  readonly #at = new Map<number, KeyedPlace>();
  /** By key, rising. */
  readonly #places = new Map<string, number[]>();
  readonly #unplaced = new Map<string, Unplaced>();

  constructor(view: PartitionView) {
    this.#isForgetful = view.compaction?.isForgetful === true;
    for (const batch of view.batches) {
      const { keys = [], tombstones = [] } = batch.attempts[0]!.call;
      const place = view.placeOf(batch);
      for (const [at, value] of batch.values.entries()) {
        const key = keys[at] ?? `none: ${value}`;
        const record = { key, isTombstone: tombstones.includes(value) };
        this.#records.set(value, record);
        if (place !== undefined) this.#put(place + at, record);
        else if (!batch.isSurelyNot) this.#mayHave(record);
      }
    }
    for (const places of this.#places.values()) places.sort((a, b) => a - b);
  }

  keyOf(value: string): string | undefined {
    return this.#records.get(value)?.key;
  }

  /** Whether what lies at `offset` may be gone from a log by the time it reached `end`; undefined: in the end. */
  mayBeGone(offset: number, end?: number): boolean {
    const record = this.#at.get(offset);
    // Nobody was told what lies there, or given it: nobody was promised anything.
    if (record === undefined) return true;
    const { key, isTombstone } = record;
    const next = firstAfter(this.#places.get(key)!, offset);
    const isSuperseded = next !== undefined && next < (end ?? Number.POSITIVE_INFINITY);
    if (isSuperseded || (isTombstone && this.#isForgetful)) return true;
    const unplaced = this.#unplaced.get(key);
    // In the end all that is left was given to somebody: of what was not, only a deletion can be the last of its key.
    return unplaced !== undefined && (end !== undefined || (unplaced.hasTombstone && this.#isForgetful));
  }

  /** The last record of a key, when it lies behind `offset` and deletes the key. */
  deletionAfter(key: string, offset: number): number | undefined {
    const last = this.#places.get(key)?.at(-1);
    if (last === undefined || last <= offset) return undefined;
    return this.#at.get(last)?.isTombstone === true ? last : undefined;
  }

  /** Where keys lie deleted, for good. */
  *lastDeletions(): Generator<number> {
    for (const key of this.#places.keys()) {
      const deletion = this.deletionAfter(key, -1);
      if (deletion !== undefined) yield deletion;
    }
  }

  #put(offset: number, record: KeyedPlace): void {
    this.#at.set(offset, record);
    const places = this.#places.get(record.key) ?? [];
    this.#places.set(record.key, places);
    places.push(offset);
  }

  #mayHave({ key, isTombstone }: KeyedPlace): void {
    const unplaced = this.#unplaced.get(key) ?? { hasTombstone: false };
    this.#unplaced.set(key, unplaced);
    unplaced.hasTombstone ||= isTombstone;
  }
}

/** Of rising numbers. */
function firstAfter(places: readonly number[], offset: number): number | undefined {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return places[low];
}
