/** The producer as an application sees it; topic-producer.ts is the one there is. */
import type { Ack, NewRecord } from './record.ts';

export interface Producer<V, K = Uint8Array> extends AsyncDisposable {
  /** Resolves once the record is fsynced on a majority. @throws LogError; `outcome` says what became of the record. */
  send(record: NewRecord<V, K>, options?: { readonly signal?: AbortSignal }): Promise<Ack>;
  /**
   * Takes the record without a promise of its own; flush() tells of failures. False: above maxBufferedBytes, wait for
   * drained(). @throws LogError OVERLOADED at twice that; INVALID, TOO_LARGE, CLOSED, or what holds the producer back.
   */
  enqueue(record: NewRecord<V, K>): boolean;
  /** Resolves when less than maxBufferedBytes is waiting. */
  drained(): Promise<void>;
  /**
   * Sends what is open and resolves when all that was taken before is acknowledged. @throws the first failure since.
   */
  flush(): Promise<void>;
  /** Goes on after an unknown outcome, under the next epoch. Nothing happens when nothing was held back. */
  resume(): void;
  /** Records written to it are enqueued, with back-pressure. Closing it flushes. */
  readonly writable: WritableStream<NewRecord<V, K>>;
  /** Acks of all records, per partition in order. From the first use on, acks not read yet count as buffered. */
  readonly acks: ReadableStream<Ack>;
  readonly bufferedBytes: number;
  /** Batches sent and not answered, over all partitions. */
  readonly inFlight: number;
  readonly lastAck: Ack | undefined;
  /** Flushes, then closes. @throws as flush(). */
  close(): Promise<void>;
}
