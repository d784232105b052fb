/**
 * The producer: collects records into batches, one open batch a partition, and gives sealed ones to that partition's
 * lane (lane.ts), which gets them into the log once and in order. What this file owns is room: every byte of a record
 * that was taken and not acknowledged counts against maxBufferedBytes.
 *
 * A batch is sealed when it is full, when it lingered long enough or, without linger, at the end of the turn if nothing
 * of its partition is in flight. Otherwise it fills until the batches ahead of it are answered: under load batches grow
 * by themselves, and a lone record waits for nobody.
 */
import type { TimerHandle } from '../env.ts';
import { type AckMessage, BATCH_OVERHEAD_BYTES, LogError, recordBytes, type TopicInfo } from '../protocol/index.ts';
import type { BatchBuffers } from './batch-buffers.ts';
import type { Codec } from './codec.ts';
import { Fifo } from './fifo.ts';
import { Lane, type LaneHost } from './lane.ts';
import { heldBack } from './lane-failures.ts';
import { ackOf, OpenBatch, type Waiter } from './open-batch.ts';
import { abortedError, closedError } from './operation.ts';
import { partitionOfKey, StickyPartition } from './partitioner.ts';
import type { Producer } from './producer.ts';
import { type ProducerOptions, type ProducerSettings, producerIdOf, producerSettings } from './producer-options.ts';
import { AckFeed, recordSink } from './producer-streams.ts';
import {
  type Ack,
  checkRecordBytes,
  encodeInto,
  type NewRecord,
  newScratch,
  ownedCopy,
  type RecordScratch,
} from './record.ts';
import { asLogError } from './requests.ts';

/** What the client needs of a producer besides. */
export interface OpenProducer {
  flush(): Promise<void>;
  /** Without waiting: what is open fails with CLOSED. */
  abort(): void;
}

export interface ProducerHost extends LaneHost {
  /** Shared by all producers of the client. */
  readonly buffers: BatchBuffers;
  onProducerOpened(producer: OpenProducer): void;
  onProducerClosed(producer: OpenProducer): void;
}

interface PartitionState {
  readonly partition: number;
  readonly lane: Lane;
  open: OpenBatch | undefined;
  linger: TimerHandle | undefined;
  isSealDue: boolean;
  /** The last batch took more than half of what one may: the next is likely to, and is not grown step by step. */
  fillsBatches: boolean;
}

/** A record that waits for room, or for the topic to be known. */
interface WaitingRecord {
  readonly record: RecordScratch;
  readonly partition: number | undefined;
  readonly bytes: number;
  readonly waiter: Waiter | undefined;
}

/** With the records that wait for room, up to twice maxBufferedBytes are held; above that everything is refused. */
const BUFFERED_SHARE_MAX = 2;

export class TopicProducer<V, K> implements Producer<V, K>, OpenProducer {
  readonly #host: ProducerHost;
  readonly #topicName: string;
  readonly #codec: Codec<V, K>;
  readonly #settings: ProducerSettings;
  readonly #scratch: RecordScratch = newScratch();
  #topic: TopicInfo | undefined;
  #isOpening = false;
  #partitions: PartitionState[] = [];
  #sticky: StickyPartition | undefined;
  readonly #waiting = new Fifo<WaitingRecord>();
  #waitingBytes = 0;
  #bufferedBytes = 0;
  /** Numbers of sealed batches that are not answered. */
  readonly #unanswered = new Set<number>();
  #nextBatch = 1;
  #lastAck: Ack | undefined;
  /** First failure since the last flush(). */
  #failure: LogError | undefined;
  /** Called whenever batches were answered or room came. */
  #watchers: (() => void)[] = [];
  #acks: AckFeed | undefined;
  #writable: WritableStream<NewRecord<V, K>> | undefined;
  #isClosed = false;
  // The promise of send() without a closure of its own: the executor runs inside the constructor and leaves these.
  #resolve: (ack: Ack) => void = () => {};
  #reject: (error: LogError) => void = () => {};
  readonly #capture = (resolve: (ack: Ack) => void, reject: (error: LogError) => void): void => {
    this.#resolve = resolve;
    this.#reject = reject;
  };
  /** Reused for every record: open-batch.ts takes its two functions, not itself. */
  readonly #waiter = { resolve: this.#resolve, reject: this.#reject };

  constructor(host: ProducerHost, topicName: string, codec: Codec<V, K>, options: ProducerOptions) {
    this.#host = host;
    this.#topicName = topicName;
    this.#codec = codec;
    this.#settings = producerSettings(options);
    host.onProducerOpened(this);
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes + this.#waitingBytes;
  }

  get inFlight(): number {
    return this.#partitions.reduce((sum, { lane }) => sum + lane.inFlight, 0);
  }

  get lastAck(): Ack | undefined {
    return this.#lastAck;
  }

  get writable(): WritableStream<NewRecord<V, K>> {
    this.#writable ??= recordSink(this);
    return this.#writable;
  }

  get acks(): ReadableStream<Ack> {
    this.#acks ??= new AckFeed((bytes) => this.#release(bytes));
    return this.#acks.readable;
  }

  send(record: NewRecord<V, K>, options?: { readonly signal?: AbortSignal }): Promise<Ack> {
    if (options?.signal !== undefined) return this.#sendUntil(record, options.signal);
    const promise = new Promise<Ack>(this.#capture);
    this.#waiter.resolve = this.#resolve;
    this.#waiter.reject = this.#reject;
    try {
      this.#take(record, this.#waiter);
    } catch (error) {
      this.#waiter.reject(asLogError(error));
    }
    return promise;
  }

  enqueue(record: NewRecord<V, K>): boolean {
    this.#take(record, undefined);
    return this.bufferedBytes < this.#settings.maxBufferedBytes;
  }

  drained(): Promise<void> {
    return this.#until(() => this.bufferedBytes < this.#settings.maxBufferedBytes);
  }

  async flush(): Promise<void> {
    let awaited: Set<number> | undefined;
    await this.#until(() => {
      if (this.#waiting.length > 0) return false;
      if (awaited === undefined) {
        for (const state of this.#partitions) this.#seal(state);
        awaited = new Set(this.#unanswered);
      }
      for (const batch of awaited) if (!this.#unanswered.has(batch)) awaited.delete(batch);
      return awaited.size === 0;
    });
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  resume(): void {
    if (this.#isClosed) throw closedError('producer');
    const halt = this.#halt();
    // Whoever was fenced has a successor: going on would fence that one in turn.
    if (halt?.code === 'PRODUCER_FENCED') throw heldBack(halt);
    for (const { lane } of this.#partitions) lane.resume();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      await this.flush();
    } finally {
      this.abort();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  abort(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const error = closedError('producer');
    const isDropping = this.#waiting.length > 0 || this.#partitions.some(({ open }) => open !== undefined);
    for (const state of this.#partitions) {
      state.linger?.cancel();
      state.lane.close(error);
      state.open?.rejectAll(heldBack(error));
      state.open = undefined;
    }
    this.#dropWaiting(heldBack(error));
    // A flush() that waits must not take the end of waiting for acks.
    if (isDropping) this.#fail(heldBack(error));
    this.#acks?.close();
    this.#host.onProducerClosed(this);
    this.#wake();
  }

  // Taking records.

  async #sendUntil(record: NewRecord<V, K>, signal: AbortSignal): Promise<Ack> {
    if (signal.aborted) throw abortedError('none');
    return await new Promise<Ack>((resolve, reject) => {
      // The record stays in its batch: others lie behind it there. Only the waiting is given up.
      const onAbort = (): void => reject(abortedError('unknown'));
      signal.addEventListener('abort', onAbort, { once: true });
      const end = (): void => signal.removeEventListener('abort', onAbort);
      this.send(record).then(resolve, reject).finally(end);
    });
  }

  #take(record: NewRecord<V, K>, waiter: Waiter | undefined): void {
    this.#checkOpen();
    const scratch = this.#scratch;
    encodeInto(scratch, record, this.#codec, this.#host.platform.clock.nowMs());
    const topic = this.#topic;
    if (topic !== undefined && this.#waiting.length === 0 && this.#bufferedBytes < this.#settings.maxBufferedBytes) {
      this.#add(scratch, record.partition, waiter);
      return;
    }
    this.#wait(scratch, record.partition, waiter);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError('producer');
    const halt = this.#halt();
    if (halt !== undefined) throw heldBack(halt);
  }

  #halt(): LogError | undefined {
    for (const { lane } of this.#partitions) if (lane.halt !== undefined) return lane.halt;
    return undefined;
  }

  #wait(record: RecordScratch, partition: number | undefined, waiter: Waiter | undefined): void {
    const bytes = recordBytes(record);
    const { onFull, maxBufferedBytes } = this.#settings;
    const isRefused = waiter !== undefined && onFull === 'reject' && this.bufferedBytes >= maxBufferedBytes;
    if (isRefused || this.bufferedBytes + bytes > maxBufferedBytes * BUFFERED_SHARE_MAX) {
      throw new LogError('OVERLOADED', `${this.bufferedBytes} bytes of this producer wait to be acknowledged.`, {
        details: { limitBytes: maxBufferedBytes, actualBytes: this.bufferedBytes + bytes },
      });
    }
    // Copies: the caller may reuse its buffers as soon as this call returns.
    this.#waiting.push({ record: ownedCopy(record), partition, bytes, waiter: waiter && { ...waiter } });
    this.#waitingBytes += bytes;
    if (this.#topic === undefined) this.#openTopic();
  }

  #openTopic(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    const { platform, directory } = this.#host;
    Promise.all([directory.lookup(this.#topicName), producerIdOf(this.#settings.id, platform)]).then(
      ([topic, producerId]) => {
        this.#isOpening = false;
        if (this.#isClosed) return;
        this.#topic = topic;
        this.#sticky = new StickyPartition(
          topic.partitions.length,
          Math.floor(platform.random.next() * topic.partitions.length),
        );
        this.#partitions = topic.partitions.map(({ partition }) => this.#openPartition(topic, partition, producerId));
        this.#admitWaiting();
      },
      (error: unknown) => {
        this.#isOpening = false;
        this.#fail(asLogError(error));
        this.#dropWaiting(asLogError(error));
        this.#wake();
      },
    );
  }

  #openPartition(topic: TopicInfo, partition: number, producerId: string): PartitionState {
    const ref = { topic: topic.name, topicId: topic.id, partition };
    const identity = { producerId, epoch: this.#settings.epoch };
    const lane = new Lane(this.#host, ref, identity, this.#settings.maxInFlight, () => this.#onProgress(state));
    const state: PartitionState = {
      partition,
      lane,
      open: undefined,
      linger: undefined,
      isSealDue: false,
      fillsBatches: false,
    };
    return state;
  }

  #admitWaiting(): void {
    // One by one: adding a record can fill a batch, and what follows from that can call this again.
    while (this.#bufferedBytes < this.#settings.maxBufferedBytes) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      const { record, partition, bytes, waiter } = next;
      this.#waitingBytes -= bytes;
      try {
        this.#add(record, partition, waiter);
      } catch (error) {
        this.#fail(asLogError(error));
        waiter?.reject(asLogError(error));
      }
    }
    this.#wake();
  }

  #dropWaiting(error: LogError): void {
    this.#waitingBytes = 0;
    for (const { waiter } of this.#waiting.takeAll()) waiter?.reject(error);
  }

  #add(record: RecordScratch, partition: number | undefined, waiter: Waiter | undefined): void {
    const limits = this.#host.pool.limits;
    if (limits !== undefined) checkRecordBytes(record, limits.recordBytesMax);
    const state = this.#choose(record, partition);
    let open = state.open !== undefined && state.open.recordCount > 0 ? state.open : this.#openBatch(state, record);
    let before = open.bytes;
    if (!open.tryAdd(record, waiter)) {
      this.#seal(state);
      open = this.#openBatch(state, record);
      before = open.bytes;
      open.tryAdd(record, waiter);
    }
    // The first record of a batch brings its header along.
    this.#bufferedBytes += open.bytes - (open.recordCount === 1 ? 0 : before);
    if (open.recordCount >= this.#settings.maxBatchRecords || open.bytes >= this.#settings.maxBatchBytes) {
      this.#seal(state);
    } else if (open.recordCount === 1) this.#planSeal(state);
  }

  #choose(record: RecordScratch, partition: number | undefined): PartitionState {
    const states = this.#partitions;
    if (partition !== undefined) {
      const state = Number.isInteger(partition) ? states[partition] : undefined;
      if (state !== undefined) return state;
      throw new LogError('PARTITION_NOT_FOUND', `Topic "${this.#topicName}" has no partition ${partition}.`, {
        details: { topic: this.#topicName, partition },
      });
    }
    if (states.length === 1) return states[0]!;
    if (record.key !== undefined) return states[partitionOfKey(record.key, states.length)]!;
    return states[this.#sticky!.current]!;
  }

  #openBatch(state: PartitionState, record: RecordScratch): OpenBatch {
    const { maxBatchBytes, maxBatchRecords } = this.#settings;
    const limitBytes = this.#limitBytes();
    // A record that is larger than a batch should be may still be as large as a batch can be.
    const isLarge = BATCH_OVERHEAD_BYTES + recordBytes(record) > maxBatchBytes;
    const bytesMax = isLarge ? limitBytes : Math.min(maxBatchBytes, limitBytes);
    const buffer = isLarge || !state.fillsBatches ? undefined : this.#host.buffers.take(bytesMax);
    const open = new OpenBatch(bytesMax, isLarge ? 1 : maxBatchRecords, buffer);
    state.open = open;
    return open;
  }

  /** What the cluster allows one batch. */
  #limitBytes(): number {
    return this.#host.pool.limits?.batchBytesMax ?? this.#settings.maxBatchBytes;
  }

  // Sealing.

  #planSeal(state: PartitionState): void {
    const { timers } = this.#host.platform;
    const { lingerMs } = this.#settings;
    if (lingerMs > 0) {
      state.linger ??= timers.after(lingerMs, () => {
        state.linger = undefined;
        this.#seal(state);
      });
      return;
    }
    if (state.isSealDue) return;
    state.isSealDue = true;
    timers.soon(() => {
      state.isSealDue = false;
      if (state.lane.pendingCount === 0) this.#seal(state);
    });
  }

  #seal(state: PartitionState): void {
    const { open } = state;
    if (open === undefined || open.recordCount === 0) return;
    state.open = undefined;
    state.linger?.cancel();
    state.linger = undefined;
    this.#sticky?.onBatchClosed(state.partition);
    const batch = this.#nextBatch++;
    this.#unanswered.add(batch);
    const bytes = open.build(this.#host.platform.crc32c);
    state.fillsBatches = bytes.length * 2 > Math.min(this.#settings.maxBatchBytes, this.#limitBytes());
    state.lane.submit({
      bytes,
      recordCount: open.recordCount,
      onAck: (ack) => this.#onAck(batch, open, bytes.length, ack),
      onFailure: (error) => {
        this.#unanswered.delete(batch);
        this.#release(bytes.length);
        this.#fail(error);
        open.rejectAll(error);
      },
    });
  }

  // Answers.

  #onAck(batch: number, open: OpenBatch, bytes: number, ack: AckMessage): void {
    this.#unanswered.delete(batch);
    this.#lastAck = ackOf(this.#topicName, ack, ack.recordCount - 1);
    open.resolveAll(this.#topicName, ack);
    // Not after a failure: an attempt whose fate is open may still be on its way to a socket.
    if (open.buffer !== undefined) this.#host.buffers.give(open.buffer);
    if (this.#acks === undefined) this.#release(bytes);
    else this.#acks.push(this.#topicName, ack, bytes);
  }

  #onProgress(state: PartitionState): void {
    const halt = this.#halt();
    if (halt !== undefined) this.#dropWaiting(heldBack(halt));
    // Records already taken for this partition cannot go past the one whose fate is open; those of others still go.
    if (state.lane.halt !== undefined) this.#seal(state);
    else if (state.open !== undefined && state.linger === undefined) this.#planSeal(state);
    this.#wake();
  }

  #release(bytes: number): void {
    this.#bufferedBytes -= bytes;
    if (this.#waiting.length > 0 && this.#topic !== undefined && this.#halt() === undefined) this.#admitWaiting();
    else this.#wake();
  }

  #fail(error: LogError): void {
    this.#failure ??= error;
  }

  // Waiting for a state of this producer.

  #until(isReached: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const watch = (): void => {
        if (this.#isClosed || isReached()) resolve();
        else this.#watchers.push(watch);
      };
      watch();
    });
  }

  #wake(): void {
    if (this.#watchers.length === 0) return;
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watch of watchers) watch();
  }
}
