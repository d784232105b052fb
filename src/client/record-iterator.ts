/**
 * The two async iterators of a subscription. Records of a batch that is there already are handed out as resolved
 * promises, without a generator and without waiting for anything: the cost of a record is two small objects.
 */
import type { DecodedRecord, LogError } from '../protocol/index.ts';
import type { Codec } from './codec.ts';
import { decodeNew, decodeRecord, type RecordBatch } from './decode.ts';
import type { PartitionReader } from './partition-reader.ts';
import type { ReceivedBatch } from './received-data.ts';
import type { LogRecord } from './record.ts';
import { asLogError } from './requests.ts';

/** A batch taken for the application, and whom to tell how far it got. */
export interface Taken {
  readonly reader: PartitionReader;
  readonly batch: ReceivedBatch;
  /** Of the subscription: a seek since then makes the rest of it void. */
  readonly generation: number;
}

/** The subscription, as its iterators need it. */
export interface RecordSource {
  readonly isPaused: boolean;
  /** Whether what was taken may be handed out now. */
  isCurrent(taken: Taken): boolean;
  /** Whether what was taken is void for good. */
  isVoid(taken: Taken): boolean;
  /** The next batch that is there already. */
  takeNow(): Taken | undefined;
  hasBatch(): boolean;
  /** Resolves once it is worth asking again; false: the iteration is over. @throws what it failed with. */
  changed(isReached: () => boolean): Promise<boolean>;
  /** What was handed out may be what somebody waits for. */
  onChange(): void;
  /** The iteration throws `error` from now on. */
  fail(error: LogError): void;
  close(): Promise<void>;
}

const NO_RECORDS: readonly DecodedRecord[] = Object.freeze([]);

export class RecordIterator<V, K> implements AsyncIterator<LogRecord<V, K>> {
  readonly #subscription: RecordSource;
  readonly #topic: string;
  readonly #codec: Codec<V, K>;
  #taken: Taken | undefined;
  #records: readonly DecodedRecord[] = NO_RECORDS;
  #at = 0;

  constructor(subscription: RecordSource, topic: string, codec: Codec<V, K>) {
    this.#subscription = subscription;
    this.#topic = topic;
    this.#codec = codec;
  }

  next(): Promise<IteratorResult<LogRecord<V, K>>> {
    const taken = this.#taken;
    if (taken !== undefined && this.#at < this.#records.length && this.#subscription.isCurrent(taken)) {
      try {
        return Promise.resolve({ value: this.#hand(taken), done: false });
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#nextLater();
  }

  /** The loop was left: nobody will read on. */
  async return(): Promise<IteratorResult<LogRecord<V, K>>> {
    await this.#subscription.close();
    return { value: undefined, done: true };
  }

  #hand(taken: Taken): LogRecord<V, K> {
    const { reader, batch } = taken;
    const decoded = this.#records[this.#at]!;
    let record: LogRecord<V, K>;
    try {
      record = decodeRecord(decoded, this.#topic, reader.partition, this.#codec);
    } catch (error) {
      this.#subscription.fail(asLogError(error));
      throw error;
    }
    this.#at++;
    if (this.#at < this.#records.length) reader.delivered(decoded.offset + 1, batch.term);
    else {
      reader.delivered(Math.max(decoded.offset + 1, batch.nextOffset), batch.term);
      this.#subscription.onChange();
    }
    return record;
  }

  async #nextLater(): Promise<IteratorResult<LogRecord<V, K>>> {
    const subscription = this.#subscription;
    for (;;) {
      const taken = this.#taken;
      const hasRest = taken !== undefined && this.#at < this.#records.length && !subscription.isVoid(taken);
      if (hasRest && subscription.isCurrent(taken)) return { value: this.#hand(taken), done: false };
      if (!hasRest) {
        this.#take();
        if (this.#at < this.#records.length) continue;
      }
      const goesOn = await subscription.changed(() => (hasRest ? !subscription.isPaused : subscription.hasBatch()));
      if (!goesOn) return { value: undefined, done: true };
    }
  }

  #take(): void {
    this.#records = NO_RECORDS;
    this.#at = 0;
    this.#taken = this.#subscription.takeNow();
    if (this.#taken === undefined) return;
    const { reader, batch } = this.#taken;
    try {
      this.#records = decodeNew(batch, reader);
    } catch (error) {
      this.#subscription.fail(asLogError(error));
      throw error;
    }
    if (this.#records.length > 0) return;
    // All of it lies past the end that was asked for.
    reader.delivered(batch.nextOffset, batch.term);
    this.#subscription.onChange();
  }
}

/** @param decode Throws when the batch cannot be read; then the subscription has failed at its first record. */
export function batchIterator<V, K>(
  subscription: RecordSource,
  decode: (taken: Taken) => RecordBatch<V, K>,
): AsyncIterator<RecordBatch<V, K>> {
  return {
    async next() {
      for (;;) {
        const taken = subscription.takeNow();
        if (taken !== undefined) {
          let batch: RecordBatch<V, K>;
          try {
            batch = decode(taken);
          } catch (error) {
            subscription.fail(asLogError(error));
            throw error;
          }
          taken.reader.delivered(taken.batch.nextOffset, taken.batch.term);
          subscription.onChange();
          if (batch.records.length > 0) return { value: batch, done: false };
        } else if (!(await subscription.changed(() => subscription.hasBatch()))) {
          return { value: undefined, done: true };
        }
      }
    },
    async return() {
      await subscription.close();
      return { value: undefined, done: true };
    },
  };
}
