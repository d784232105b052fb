/**
 * The judge of random runs. It is told every append that begins, every answer, and every record that anybody read; at
 * the end it is given the whole log, and names each promise that was broken (docs/guarantees.md, P1 to P8):
 *
 * - an acknowledged batch is in the log, whole, at its offset, once;
 * - a batch whose every attempt ended with outcome 'none' is nowhere, and was never read;
 * - what was read at an offset is what is there at the end, and nothing read is gone; offsets have no hole;
 * - an idempotent producer's batches lie in their order without a gap within an epoch, and epochs do not mix;
 * - what began after another append was acknowledged lies behind it.
 */

/** One batch a writer appends; its records are `<key>/0`, `<key>/1`, ... */
export interface Batch {
  readonly key: string;
  readonly writer: string;
  readonly records: number;
  /** undefined: a plain append. */
  readonly tuple: { readonly epoch: number; readonly sequence: number } | undefined;
}

export type Answer =
  | { readonly kind: 'acked'; readonly offset: number | undefined }
  | { readonly kind: 'none' | 'unknown' };

interface Tracked extends Batch {
  readonly beganMs: number;
  openAttempts: number;
  mayHaveLanded: boolean;
  ackedMs: number | undefined;
  ackedOffset: number | undefined;
}

export interface ReadRecord {
  readonly offset: number;
  readonly value: string;
}

export class Oracle {
  readonly #batches = new Map<string, Tracked>();
  /** What was read at each offset. */
  readonly #seen = new Map<number, string>();
  readonly problems: string[] = [];

  began(batch: Batch, atMs: number): void {
    const known = this.#batches.get(batch.key);
    if (known !== undefined) known.openAttempts += 1;
    else {
      const fate = { openAttempts: 1, mayHaveLanded: false, ackedMs: undefined, ackedOffset: undefined };
      this.#batches.set(batch.key, { ...batch, beganMs: atMs, ...fate });
    }
  }

  answered(key: string, answer: Answer, atMs: number): void {
    const batch = this.#batches.get(key)!;
    batch.openAttempts -= 1;
    if (answer.kind === 'unknown') batch.mayHaveLanded = true;
    if (answer.kind !== 'acked') return;
    batch.ackedMs ??= atMs;
    if (answer.offset === undefined) return;
    if (batch.ackedOffset !== undefined && batch.ackedOffset !== answer.offset) {
      this.problems.push(`${key} was acknowledged at ${batch.ackedOffset} and at ${answer.offset}`);
    }
    batch.ackedOffset = answer.offset;
  }

  /** Somebody was given these records. */
  read(who: string, records: readonly ReadRecord[]): void {
    for (const { offset, value } of records) {
      const seen = this.#seen.get(offset);
      if (seen === undefined) this.#seen.set(offset, value);
      else if (seen !== value) this.problems.push(`${who} read ${value} at ${offset}, where ${seen} had been read`);
    }
  }

  get acked(): number {
    return [...this.#batches.values()].filter(({ ackedMs }) => ackedMs !== undefined).length;
  }

  /** Batches that were surely not appended, as their writers were told. */
  get refused(): number {
    return [...this.#batches.values()].filter(isSurelyNot).length;
  }

  /** Judges the log at the end, from its first readable offset on. */
  judge(earliest: number, records: readonly ReadRecord[]): string[] {
    this.read('at the end', records);
    const tail = earliest + records.length;
    records.forEach(({ offset }, at) => {
      if (offset !== earliest + at)
        this.problems.push(`record ${at} of the log has offset ${offset}, not ${earliest + at}`);
    });
    for (const [offset, value] of this.#seen) {
      if (offset >= tail) this.problems.push(`${value} was read at ${offset} and is gone: the log ends at ${tail}`);
    }
    let unread = 0;
    for (let offset = 0; offset < tail; offset += 1) if (!this.#seen.has(offset)) unread += 1;
    const places = this.#judgePlaces();
    this.#judgeFates(places, unread);
    this.#judgeOrder(places, unread);
    this.#judgeRealTime(places);
    return this.problems;
  }

  /** Offset of each batch that was seen, of its first record. */
  #judgePlaces(): Map<string, number> {
    const places = new Map<string, number>();
    for (const [offset, value] of this.#seen) {
      const cut = value.lastIndexOf('/');
      const key = value.slice(0, cut);
      const first = offset - Number(value.slice(cut + 1));
      if (!this.#batches.has(key)) this.problems.push(`${value} at ${offset} was never written`);
      const known = places.get(key);
      if (known !== undefined && known !== first) this.problems.push(`${key} is there twice: at ${known} and ${first}`);
      places.set(key, first);
    }
    return places;
  }

  #judgeFates(places: ReadonlyMap<string, number>, unread: number): void {
    for (const batch of this.#batches.values()) {
      const { key, records, ackedMs, ackedOffset } = batch;
      const place = places.get(key);
      if (isSurelyNot(batch) && place !== undefined) this.problems.push(`${key}, surely not done, is at ${place}`);
      if (place !== undefined) {
        for (let i = 0; i < records; i += 1) {
          const there = this.#seen.get(place + i);
          if (there !== undefined && there !== `${key}/${i}`)
            this.problems.push(`${key} is torn at ${place + i}: ${there}`);
        }
      }
      if (ackedMs === undefined) continue;
      if (ackedOffset === undefined && place === undefined && unread === 0) {
        this.problems.push(`${key}, acknowledged as a duplicate, is lost`);
      }
      if (ackedOffset === undefined) continue;
      for (let i = 0; i < records; i += 1) {
        const there = this.#seen.get(ackedOffset + i);
        const isTrimmedUnread = there === undefined && unread > 0;
        if (!isTrimmedUnread && there !== `${key}/${i}`)
          this.problems.push(`${key}, acknowledged at ${ackedOffset}, is lost: there is ${there}`);
      }
    }
  }

  /** Idempotent writers: sequences without a gap within an epoch, epochs from 0 on and never mixed. */
  #judgeOrder(places: ReadonlyMap<string, number>, unread: number): void {
    const inOrder = [...places].sort((a, b) => a[1] - b[1]).flatMap(([key]) => this.#batches.get(key) ?? []);
    const last = new Map<string, { epoch: number; next: number; key: string }>();
    for (const { key, writer, records, tuple } of inOrder) {
      if (tuple === undefined) continue;
      const { epoch, sequence } = tuple;
      const before = last.get(writer) ?? { epoch: -1, next: 0, key: 'nothing' };
      const expected = epoch > before.epoch ? 0 : before.next;
      const isInOrder = epoch >= before.epoch && (unread > 0 ? sequence >= expected : sequence === expected);
      if (!isInOrder) this.problems.push(`${key} follows ${before.key}: ${expected} of epoch ${before.epoch} was due`);
      last.set(writer, { epoch, next: sequence + records, key });
    }
  }

  #judgeRealTime(places: ReadonlyMap<string, number>): void {
    const acked = [...this.#batches.values()]
      .filter(({ ackedMs, key }) => ackedMs !== undefined && places.has(key))
      .sort((a, b) => a.ackedMs! - b.ackedMs!);
    const began = [...this.#batches.values()]
      .filter(({ key }) => places.has(key))
      .sort((a, b) => a.beganMs - b.beganMs);
    let highest = -1;
    let at = 0;
    for (const batch of began) {
      for (; at < acked.length && acked[at]!.ackedMs! < batch.beganMs; at += 1)
        highest = Math.max(highest, places.get(acked[at]!.key)!);
      const place = places.get(batch.key)!;
      if (place <= highest)
        this.problems.push(`${batch.key} at ${place} began after what lies at ${highest} was acknowledged`);
    }
  }
}

function isSurelyNot(batch: Tracked): boolean {
  return batch.openAttempts === 0 && !batch.mayHaveLanded && batch.ackedMs === undefined;
}
