/**
 * De-duplication: what each idempotent producer appended last (rules L6, F71; docs/guarantees.md P7).
 *
 * Two layers. *Committed* is replicated state: it moves only while entries are applied, in log order, so that every
 * replica holds the same table, and it is part of the snapshot. *Overlay* is this node's view of entries that are in
 * the log but not applied yet: a leader judges new batches against both, truncation drops the overlay, and it is
 * rebuilt from the headers that are left. Nothing here reads a clock: a producer expires by append times alone.
 *
 * What is known of a producer is one row, and rows are never changed, only replaced: a view of all of them, for a
 * snapshot that is encoded over many turns, is the list of the rows as they were, whatever is applied meanwhile.
 *
 *   producer table   u8 version (1)   u32 rows   rows, least recently appended first
 *   row              16B id   u32 epoch   u53 next sequence   u53 last append time   u8 batches   batches, oldest first
 *   batch            u53 sequence   u32 records   u53 base offset   u53 index   u53 term   u53 append time
 */
import assert from 'node:assert';
import type { EntryHeader, ProducerTuple } from '../../storage/index.ts';
import { PRODUCER_WINDOW_BATCHES, PRODUCERS_MAX } from '../protocol/index.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { Pieces } from './pieces.ts';
import { type ProducerRow, ProducerRows, type RememberedBatch } from './producer-rows.ts';

/** A producer that appended nothing for this long, measured in append times, is forgotten. */
export const PRODUCER_EXPIRY_MS: number = 7 * 24 * 3_600_000;

interface Overlay {
  row: ProducerRow;
  /** Entries of this producer in the log and not applied; the overlay goes when it is 0. */
  pending: number;
}

/** The committed layer as it was at one moment. */
export interface FrozenProducers {
  /** What encode() will write. */
  readonly bytes: number;
  encode(writer: ByteWriter): Pieces<void>;
}

export type ProducerVerdict =
  /** To be appended. */
  | { readonly kind: 'new' }
  /** In the log already; committed only when `batch.index` is applied. */
  | { readonly kind: 'duplicate'; readonly batch: RememberedBatch }
  /** In the log, so long ago that its offset is not remembered. */
  | { readonly kind: 'old-duplicate' }
  | { readonly kind: 'fenced'; readonly epoch: number }
  | { readonly kind: 'gap'; readonly expected: number };

const STATE_VERSION = 1;
const HEAD_BYTES = 1 + 4;
const ROW_BYTES = 16 + 4 + 8 + 8 + 1;
const BATCH_BYTES = 8 + 4 + 8 + 8 + 8 + 8;
/** A row takes one to three microseconds to write or read: a piece is a few milliseconds, far below a heartbeat. */
export const ROWS_PER_PIECE: number = 1_000;

export class ProducerTable {
  /** Least recently appended first; the order is part of the replicated state, because eviction follows it. */
  #committed = new ProducerRows();
  #overlay = new Map<string, Overlay>();

  get size(): number {
    return this.#committed.size;
  }

  /** Judges a batch against everything in the log, applied or not. Changes nothing. */
  check(producer: ProducerTuple, recordCount: number): ProducerVerdict {
    const state = this.#overlay.get(producer.id)?.row ?? this.#committed.get(producer.id);
    if (state === undefined || producer.epoch > state.epoch) {
      return producer.sequence === 0 ? { kind: 'new' } : { kind: 'gap', expected: 0 };
    }
    if (producer.epoch < state.epoch) return { kind: 'fenced', epoch: state.epoch };
    if (producer.sequence === state.nextSequence) return { kind: 'new' };
    for (const batch of state.batches) {
      if (batch.sequence === producer.sequence && batch.recordCount === recordCount)
        return { kind: 'duplicate', batch };
    }
    const oldest = state.batches[0];
    const isOlder = oldest !== undefined && producer.sequence + recordCount <= oldest.sequence;
    return isOlder ? { kind: 'old-duplicate' } : { kind: 'gap', expected: state.nextSequence };
  }

  /** An entry was accepted into the log. */
  appended(header: EntryHeader): void {
    const producer = header.producer;
    if (producer === undefined) return;
    const overlay = this.#overlay.get(producer.id);
    if (overlay === undefined) {
      const row = rowAfter(this.#committed.get(producer.id), producer, header);
      this.#overlay.set(producer.id, { row, pending: 1 });
    } else {
      overlay.row = rowAfter(overlay.row, producer, header);
      overlay.pending += 1;
    }
  }

  /** The suffix of the log was cut: what is left of it, not applied, is given in order. */
  truncated(remaining: Iterable<EntryHeader>): void {
    this.#overlay.clear();
    for (const header of remaining) this.appended(header);
  }

  /**
   * An entry was applied. Called for every batch entry in log order, producer or not, so that expiry is the same
   * everywhere.
   */
  applied(header: EntryHeader): void {
    const producer = header.producer;
    if (producer !== undefined) {
      const row = rowAfter(this.#committed.get(producer.id), producer, header);
      this.#committed.put(row);
      const overlay = this.#overlay.get(producer.id);
      if (overlay !== undefined) {
        overlay.pending -= 1;
        if (overlay.pending === 0) this.#noneIsPending(producer.id);
      }
    }
    this.#expire(header.appendTimeMs);
  }

  /** The last one out leaves a new map: one that lives long gets its tables from V8's old space, at every few appends
   *  that fill and empty it. */
  #noneIsPending(id: string): void {
    if (this.#overlay.size === 1) this.#overlay = new Map();
    else this.#overlay.delete(id);
  }

  #expire(nowMs: number): void {
    for (;;) {
      const { oldest } = this.#committed;
      if (oldest === undefined) return;
      const isExpired = oldest.lastAppendTimeMs + PRODUCER_EXPIRY_MS < nowMs;
      if (!isExpired && this.#committed.size <= PRODUCERS_MAX) return;
      this.#committed.removeOldest();
    }
  }

  /** The committed layer as it is now, for a snapshot. Copies references only: a few milliseconds at PRODUCERS_MAX. */
  freeze(): FrozenProducers {
    const rows = this.#committed.list();
    const bytes = HEAD_BYTES + rows.length * ROW_BYTES + this.#committed.batches * BATCH_BYTES;
    return { bytes, encode: (writer) => encodeRows(writer, rows) };
  }

  /** Reads what FrozenProducers.encode() wrote. */
  static *decode(reader: ByteReader): Pieces<ProducerRows> {
    assert.equal(reader.u8(), STATE_VERSION, 'version of the producer table in a snapshot');
    const decoded = new ProducerRows();
    const count = reader.u32();
    for (let i = 0; i < count; i += 1) {
      if (i > 0 && i % ROWS_PER_PIECE === 0) yield;
      decoded.put(decodeRow(reader));
    }
    return decoded;
  }

  /** Replaces everything by the layer of a snapshot. Given: the table goes on with it. */
  adopt(decoded: ProducerRows): void {
    this.#committed = decoded;
    this.#overlay.clear();
  }
}

function* encodeRows(writer: ByteWriter, rows: readonly ProducerRow[]): Pieces<void> {
  writer.u8(STATE_VERSION);
  writer.u32(rows.length);
  for (const [i, row] of rows.entries()) {
    if (i > 0 && i % ROWS_PER_PIECE === 0) yield;
    writer.hex(row.id, 16);
    writer.u32(row.epoch);
    writer.u53(row.nextSequence);
    writer.u53(row.lastAppendTimeMs);
    writer.u8(row.batches.length);
    for (const batch of row.batches) {
      writer.u53(batch.sequence);
      writer.u32(batch.recordCount);
      writer.u53(batch.baseOffset);
      writer.u53(batch.index);
      writer.u53(batch.term);
      writer.u53(batch.appendTimeMs);
    }
  }
}

function decodeRow(reader: ByteReader): ProducerRow {
  const id = reader.hex(16);
  const epoch = reader.u32();
  const nextSequence = reader.u53();
  const lastAppendTimeMs = reader.u53();
  const count = reader.u8();
  if (count > PRODUCER_WINDOW_BATCHES) assert.fail(`batches of producer ${id} in a snapshot: ${count}`);
  const batches: RememberedBatch[] = [];
  for (let k = 0; k < count; k += 1) {
    batches.push({
      sequence: reader.u53(),
      recordCount: reader.u32(),
      baseOffset: reader.u53(),
      index: reader.u53(),
      term: reader.u53(),
      appendTimeMs: reader.u53(),
    });
  }
  return { id, epoch, nextSequence, lastAppendTimeMs, batches };
}

/**
 * What is known of a producer after one more batch. The leader checked it; a follower trusts the log, which is the same
 * for all.
 */
function rowAfter(before: ProducerRow | undefined, producer: ProducerTuple, header: EntryHeader): ProducerRow {
  const { id, epoch, sequence } = producer;
  const { recordCount, baseOffset, index, term, appendTimeMs } = header;
  const remembered = before?.epoch === epoch ? before.batches : [];
  const batches = [
    ...(remembered.length < PRODUCER_WINDOW_BATCHES ? remembered : remembered.slice(1)),
    { sequence, recordCount, baseOffset, index, term, appendTimeMs },
  ];
  return { id, epoch, nextSequence: sequence + recordCount, lastAppendTimeMs: appendTimeMs, batches };
}
