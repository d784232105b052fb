/**
 * De-duplication: what each idempotent producer appended last (rules L6, F71; docs/guarantees.md P7).
 *
 * Two layers. *Committed* is replicated state: it moves only while entries are applied, in log order, so that every
 * replica holds the same table, and it is part of the snapshot. *Overlay* is this node's view of entries that are in
 * the log but not applied yet: a leader judges new batches against both, truncation drops the overlay, and it is
 * rebuilt from the headers that are left. Nothing here reads a clock: a producer expires by append times alone.
 */
import assert from 'node:assert';
import type { EntryHeader, LogIndex, ProducerTuple } from '../../storage/index.ts';
import { PRODUCER_WINDOW_BATCHES, PRODUCERS_MAX } from '../protocol/index.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';

/** A producer that appended nothing for this long, measured in append times, is forgotten. */
export const PRODUCER_EXPIRY_MS: number = 7 * 24 * 3_600_000;

/** A batch as it is remembered. */
export interface RememberedBatch {
  readonly sequence: number;
  readonly recordCount: number;
  readonly baseOffset: number;
  readonly index: LogIndex;
  readonly term: number;
  readonly appendTimeMs: number;
}

interface ProducerState {
  epoch: number;
  /** Sequence number the next record must carry. */
  nextSequence: number;
  /** Append time of the last batch. */
  lastAppendTimeMs: number;
  /** The last batches of this epoch, oldest first, at most PRODUCER_WINDOW_BATCHES. */
  batches: RememberedBatch[];
}

interface OverlayState extends ProducerState {
  /** Entries of this producer in the log and not applied; the state goes when it is 0. */
  pending: number;
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

export class ProducerTable {
  /** Least recently appended first; the order is part of the replicated state, because eviction follows it. */
  readonly #committed = new Map<string, ProducerState>();
  readonly #overlay = new Map<string, OverlayState>();

  get size(): number {
    return this.#committed.size;
  }

  /** Judges a batch against everything in the log, applied or not. Changes nothing. */
  check(producer: ProducerTuple, recordCount: number): ProducerVerdict {
    const state = this.#overlay.get(producer.id) ?? this.#committed.get(producer.id);
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
    let state = this.#overlay.get(producer.id);
    if (state === undefined) {
      const committed = this.#committed.get(producer.id);
      state =
        committed === undefined
          ? { epoch: producer.epoch, nextSequence: 0, lastAppendTimeMs: 0, batches: [], pending: 0 }
          : { ...committed, batches: committed.batches.slice(), pending: 0 };
      this.#overlay.set(producer.id, state);
    }
    state.pending += 1;
    remember(state, producer, header);
  }

  /** The suffix of the log was cut: what is left of it, not applied, is given in order. */
  truncated(remaining: Iterable<EntryHeader>): void {
    this.#overlay.clear();
    for (const header of remaining) this.appended(header);
  }

  /** An entry was applied. Called for every batch entry in log order, producer or not, so that expiry is the same everywhere. */
  applied(header: EntryHeader): void {
    const producer = header.producer;
    if (producer !== undefined) {
      const state = this.#committed.get(producer.id) ?? {
        epoch: producer.epoch,
        nextSequence: 0,
        lastAppendTimeMs: 0,
        batches: [],
      };
      remember(state, producer, header);
      this.#committed.delete(producer.id);
      this.#committed.set(producer.id, state);
      const overlay = this.#overlay.get(producer.id);
      if (overlay !== undefined) {
        overlay.pending -= 1;
        if (overlay.pending === 0) this.#overlay.delete(producer.id);
      }
    }
    this.#expire(header.appendTimeMs);
  }

  #expire(nowMs: number): void {
    for (const [id, state] of this.#committed) {
      const isExpired = state.lastAppendTimeMs + PRODUCER_EXPIRY_MS < nowMs;
      if (!isExpired && this.#committed.size <= PRODUCERS_MAX) return;
      this.#committed.delete(id);
    }
  }

  /** Bytes of the committed layer, for a snapshot. */
  encode(writer: ByteWriter): void {
    writer.u8(STATE_VERSION);
    writer.u32(this.#committed.size);
    for (const [id, state] of this.#committed) {
      writer.hex(id, 16);
      writer.u32(state.epoch);
      writer.u53(state.nextSequence);
      writer.u53(state.lastAppendTimeMs);
      writer.u8(state.batches.length);
      for (const batch of state.batches) {
        writer.u53(batch.sequence);
        writer.u32(batch.recordCount);
        writer.u53(batch.baseOffset);
        writer.u53(batch.index);
        writer.u53(batch.term);
        writer.u53(batch.appendTimeMs);
      }
    }
  }

  /** Replaces everything by the bytes of encode(). */
  restore(reader: ByteReader): void {
    assert.equal(reader.u8(), STATE_VERSION, 'version of the producer table in a snapshot');
    this.#committed.clear();
    this.#overlay.clear();
    const count = reader.u32();
    for (let i = 0; i < count; i += 1) {
      const id = reader.hex(16);
      const state: ProducerState = {
        epoch: reader.u32(),
        nextSequence: reader.u53(),
        lastAppendTimeMs: reader.u53(),
        batches: [],
      };
      const batchCount = reader.u8();
      if (batchCount > PRODUCER_WINDOW_BATCHES) assert.fail(`batches of producer ${id} in a snapshot: ${batchCount}`);
      for (let k = 0; k < batchCount; k += 1) {
        state.batches.push({
          sequence: reader.u53(),
          recordCount: reader.u32(),
          baseOffset: reader.u53(),
          index: reader.u53(),
          term: reader.u53(),
          appendTimeMs: reader.u53(),
        });
      }
      this.#committed.set(id, state);
    }
  }
}

/** Moves a state past one more batch. The leader checked it; a follower trusts the log, which is the same for all. */
function remember(state: ProducerState, producer: ProducerTuple, header: EntryHeader): void {
  if (producer.epoch !== state.epoch) {
    state.epoch = producer.epoch;
    state.batches = [];
  }
  state.nextSequence = producer.sequence + header.recordCount;
  state.lastAppendTimeMs = header.appendTimeMs;
  state.batches.push({
    sequence: producer.sequence,
    recordCount: header.recordCount,
    baseOffset: header.baseOffset,
    index: header.index,
    term: header.term,
    appendTimeMs: header.appendTimeMs,
  });
  if (state.batches.length > PRODUCER_WINDOW_BATCHES) state.batches.shift();
}
