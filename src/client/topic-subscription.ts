/**
 * A subscription: partitions merged into one iteration, each of them in order. Batches come from partition-reader.ts,
 * checked and in order; this file turns them into records for the application and knows how far it has got.
 *
 * One consumer at a time: two loops over one subscription share its records between them.
 */
import { LogError } from '../protocol/index.ts';
import type { Codec } from './codec.ts';
import { decodeBatch, type RecordBatch } from './decode.ts';
import { abortedError, closedError } from './operation.ts';
import { integer } from './options.ts';
import { PartitionReader, type ReaderHost } from './partition-reader.ts';
import { type WantedLevel, wantedLevels } from './read-level.ts';
import type { LogRecord } from './record.ts';
import { batchIterator, RecordIterator, type RecordSource, type Taken } from './record-iterator.ts';
import { asLogError, type Requests } from './requests.ts';
import { checkedCount, type StartAt, wireStartAt } from './start-at.ts';
import { type Position, SUBSCRIBE_DEFAULTS, type SubscribeOptions, type Subscription } from './subscription.ts';

export interface SubscriptionHost extends ReaderHost {
  readonly requests: Requests;
  onSubscriptionOpened(subscription: OpenSubscription): void;
  onSubscriptionClosed(subscription: OpenSubscription): void;
}

export interface OpenSubscription {
  /** Ends it; a waiting iteration ends with `error`, or plainly without one. */
  end(error: LogError | undefined): void;
}

const BUFFERED_BYTES_MIN = 64 * 1024;
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024;

export class TopicSubscription<V, K> implements Subscription<V, K>, OpenSubscription, RecordSource {
  readonly #host: SubscriptionHost;
  readonly #topicName: string;
  readonly #codec: Codec<V, K>;
  readonly #options: SubscribeOptions;
  readonly #maxBufferedBytes: number;
  readonly #onAbort = (): void => this.end(abortedError('none'));
  #readers: PartitionReader[] = [];
  /** Where the search for the next batch begins: after the partition that gave the last one. */
  #turn = 0;
  #generation = 0;
  readonly #wantedOf: (partition: number) => WantedLevel;
  #isOpen = false;
  #isPaused = false;
  #isClosed = false;
  /** Thrown by the iteration, until a seek. */
  #failure: LogError | undefined;
  #from: StartAt;
  /** By partition, other starts than #from: seeks that came before the partitions were known. */
  readonly #starts = new Map<number, StartAt>();
  /** Those who wait for a batch or for caughtUp(). */
  #watchers: (() => void)[] = [];
  #readable: ReadableStream<LogRecord<V, K>> | undefined;

  constructor(host: SubscriptionHost, topicName: string, codec: Codec<V, K>, options: SubscribeOptions) {
    this.#host = host;
    this.#topicName = topicName;
    this.#codec = codec;
    this.#options = options;
    this.#from = options.from ?? SUBSCRIBE_DEFAULTS.from;
    // Checked now: a mistake in the call is thrown by the call.
    wireStartAt(this.#from);
    this.#wantedOf = wantedLevels(options.level, options.tokens);
    if (typeof options.to === 'object') checkedCount(options.to.offset, 'The end of a subscription');
    for (const partition of options.partitions ?? []) checkedCount(partition, 'A partition');
    this.#maxBufferedBytes = integer(
      'maxBufferedBytes',
      options.maxBufferedBytes ?? SUBSCRIBE_DEFAULTS.maxBufferedBytes,
      BUFFERED_BYTES_MIN,
      BUFFERED_BYTES_MAX,
    );
    host.onSubscriptionOpened(this);
    if (options.signal?.aborted === true) {
      this.end(abortedError('none'));
      return;
    }
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    void this.#open();
  }

  get position(): Position {
    return this.#byPartition((reader) => reader.position);
  }

  get tokens(): ReadonlyMap<number, string> {
    return this.#byPartition((reader) => reader.token);
  }

  get tail(): Position {
    return this.#byPartition((reader) => reader.tail);
  }

  get lag(): number {
    return this.#readers.reduce(
      (sum, { tail, position }) =>
        sum + (tail === undefined || position === undefined ? 0 : Math.max(0, tail - position)),
      0,
    );
  }

  get readable(): ReadableStream<LogRecord<V, K>> {
    if (this.#readable === undefined) {
      const records = this[Symbol.asyncIterator]();
      this.#readable = new ReadableStream<LogRecord<V, K>>(
        {
          pull: async (controller) => {
            const result = await records.next();
            if (result.done === true) controller.close();
            else controller.enqueue(result.value);
          },
          cancel: () => this.close(),
        },
        // Nothing is taken ahead of the reader: what is taken counts as seen.
        { highWaterMark: 0 },
      );
    }
    return this.#readable;
  }

  [Symbol.asyncIterator](): AsyncIterator<LogRecord<V, K>> {
    return new RecordIterator(this, this.#topicName, this.#codec);
  }

  batches(): AsyncIterable<RecordBatch<V, K>> {
    return { [Symbol.asyncIterator]: () => batchIterator(this, (taken) => this.#decode(taken)) };
  }

  async caughtUp(): Promise<Position> {
    await this.#until(
      () => this.#isOpen && this.#readers.every(({ isCaughtUp, isFinished }) => isCaughtUp || isFinished),
    );
    return this.position;
  }

  seek(at: StartAt, partition?: number): void {
    const start = wireStartAt(at);
    if (this.#isClosed) throw closedError('subscription');
    const hadFailed = this.#failure !== undefined;
    this.#failure = undefined;
    this.#generation++;
    if (!this.#isOpen) {
      if (partition === undefined) {
        this.#from = at;
        this.#starts.clear();
      } else this.#starts.set(partition, at);
      if (hadFailed) void this.#open();
      return;
    }
    for (const reader of this.#readers) {
      // A batch that was handed out and not finished is void now: what is left of it is asked for again.
      reader.seek(partition === undefined || reader.partition === partition ? start : reader.standing);
    }
    this.onChange();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.onChange();
  }

  close(): Promise<void> {
    this.end(undefined);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  end(error: LogError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#failure = error;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    for (const reader of this.#readers) reader.stop();
    this.#host.onSubscriptionClosed(this);
    this.onChange();
  }

  /** Until seek(). */
  fail(error: LogError): void {
    if (this.#isClosed || this.#failure !== undefined) return;
    this.#failure = error;
    for (const reader of this.#readers) reader.stop();
    this.onChange();
  }

  // For the iterators.

  isCurrent(taken: Taken): boolean {
    return taken.generation === this.#generation && !this.#isPaused && !this.#isClosed && this.#failure === undefined;
  }

  isVoid(taken: Taken): boolean {
    return taken.generation !== this.#generation;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  takeNow(): Taken | undefined {
    if (this.#isPaused || this.#isClosed || this.#failure !== undefined) return undefined;
    for (let tried = 0; tried < this.#readers.length; tried++) {
      const reader = this.#readers[(this.#turn + tried) % this.#readers.length]!;
      const batch = reader.take();
      if (batch === undefined) continue;
      this.#turn = (this.#turn + tried + 1) % this.#readers.length;
      return { reader, batch, generation: this.#generation };
    }
    return undefined;
  }

  async changed(isReached: () => boolean): Promise<boolean> {
    await this.#until(() => this.#isOver() || isReached(), true);
    return !this.#isOver();
  }

  hasBatch(): boolean {
    return !this.#isPaused && this.#readers.some((reader) => reader.hasBatch);
  }

  onChange(): void {
    if (this.#watchers.length === 0) return;
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watch of watchers) watch();
  }

  // Inside.

  /** Nothing will come any more, and that is no failure. */
  #isOver(): boolean {
    if (this.#isClosed) return true;
    return this.#isOpen && this.#readers.every((reader) => reader.isFinished);
  }

  #until(isReached: () => boolean, isIteration = false): Promise<void> {
    return new Promise((resolve, reject) => {
      const watch = (): void => {
        if (this.#failure !== undefined) reject(this.#failure);
        else if (isReached()) resolve();
        else if (this.#isClosed && !isIteration) reject(closedError('subscription'));
        else this.#watchers.push(watch);
      };
      watch();
    });
  }

  #byPartition<T>(of: (reader: PartitionReader) => T | undefined): ReadonlyMap<number, T> {
    const map = new Map<number, T>();
    for (const reader of this.#readers) {
      const value = of(reader);
      if (value !== undefined) map.set(reader.partition, value);
    }
    return map;
  }

  #decode(taken: Taken): RecordBatch<V, K> {
    const { reader, batch } = taken;
    return decodeBatch(batch, reader, this.#topicName, this.#codec);
  }

  async #open(): Promise<void> {
    try {
      const topic = await this.#host.directory.lookup(this.#topicName);
      const all = topic.partitions.map(({ partition }) => partition);
      const partitions = [...new Set(this.#options.partitions ?? all)];
      const missing = partitions.find((partition) => !all.includes(partition));
      if (missing !== undefined) {
        throw new LogError('PARTITION_NOT_FOUND', `Topic "${this.#topicName}" has no partition ${missing}.`, {
          details: { topic: this.#topicName, partition: missing },
        });
      }
      const ends = await Promise.all(partitions.map((partition) => this.#endOffset(topic.id, partition)));
      if (this.#isClosed) return;
      const windowBytes = Math.max(BUFFERED_BYTES_MIN, Math.floor(this.#maxBufferedBytes / partitions.length));
      const onTrimmed = this.#options.onTrimmed ?? SUBSCRIBE_DEFAULTS.onTrimmed;
      const events = { onChange: () => this.onChange(), onFailure: (error: LogError) => this.fail(error) };
      this.#readers = partitions.map((partition, at) => {
        const ref = { topic: topic.name, topicId: topic.id, partition };
        const wanted = this.#wantedOf(partition);
        const start = wireStartAt(this.#starts.get(partition) ?? this.#from);
        const options = { windowBytes, onTrimmed, endOffset: ends[at], wanted };
        return new PartitionReader(this.#host, ref, start, options, events);
      });
      this.#isOpen = true;
      for (const reader of this.#readers) reader.open();
    } catch (error) {
      this.fail(asLogError(error));
    }
  }

  async #endOffset(topicId: number, partition: number): Promise<number | undefined> {
    const { to } = this.#options;
    if (to === undefined) return undefined;
    if (to !== 'tail') return to.offset;
    // Linearizable: a replica's own tail may lag behind what this application appended itself.
    const question = { kind: 'tail', topic: { id: topicId }, partition, level: 'linearizable' } as const;
    const { body } = await this.#host.requests.ask(question, 'tail');
    return body.tail;
  }
}
