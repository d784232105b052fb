/** The producer's two web streams: records in, acks out. Made only when somebody asks for them. */
import type { AckMessage } from '../protocol/index.ts';
import { ackOf } from './open-batch.ts';
import type { Ack, NewRecord } from './record.ts';

/** What a sink needs of its producer. */
export interface SinkProducer<V, K> {
  enqueue(record: NewRecord<V, K>): boolean;
  drained(): Promise<void>;
  flush(): Promise<void>;
}

/** A sink with the producer's own back-pressure. */
export function recordSink<V, K>(producer: SinkProducer<V, K>): WritableStream<NewRecord<V, K>> {
  return new WritableStream<NewRecord<V, K>>({
    async write(record) {
      if (!producer.enqueue(record)) await producer.drained();
    },
    close: () => producer.flush(),
  });
}

interface UnreadAcks {
  readonly topic: string;
  readonly ack: AckMessage;
  readonly bytes: number;
}

/**
 * Acks as a stream. What is not read yet is kept as one item a batch, whose bytes stay counted as buffered: a reader
 * that stops reading stops the producer, not the process.
 */
export class AckFeed {
  readonly readable: ReadableStream<Ack>;
  readonly #release: (bytes: number) => void;
  readonly #unread: UnreadAcks[] = [];
  #controller: ReadableStreamDefaultController<Ack> | undefined;
  /** A reader waits. */
  #isWanted = false;
  #isClosed = false;

  constructor(release: (bytes: number) => void) {
    this.#release = release;
    this.readable = new ReadableStream<Ack>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#isWanted = true;
          this.#hand();
        },
        cancel: () => {
          this.#isClosed = true;
          for (const { bytes } of this.#unread.splice(0)) this.#release(bytes);
        },
      },
      { highWaterMark: 0 },
    );
  }

  push(topic: string, ack: AckMessage, bytes: number): void {
    if (this.#isClosed) {
      this.#release(bytes);
      return;
    }
    this.#unread.push({ topic, ack, bytes });
    this.#hand();
  }

  /** Acks that were not read yet can still be read. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isWanted = true;
    while (this.#unread.length > 0) {
      this.#hand();
      this.#isWanted = true;
    }
    this.#controller?.close();
  }

  #hand(): void {
    if (!this.#isWanted) return;
    const next = this.#unread.shift();
    if (next === undefined) return;
    this.#isWanted = false;
    for (let index = 0; index < next.ack.recordCount; index++) {
      this.#controller?.enqueue(ackOf(next.topic, next.ack, index));
    }
    this.#release(next.bytes);
  }
}
