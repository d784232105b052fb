/**
 * One partition of a subscription: keeps a SUBSCRIBE alive on some node, checks what arrives, and holds it until it is
 * taken. It never goes back and never skips: whatever breaks (the connection, a node that lags, a damaged byte), it
 * subscribes again at the next offset it has not received, on another node if there is one.
 *
 *     connecting -> open -> resting -> connecting ...       stopped: ended, failed or closed; seek() starts it again
 *
 * Memory is bounded by credit: bytes granted and not used, plus bytes received and not taken, never exceed the window
 * (a node may overdraw by one batch).
 */
import type { TimerHandle } from '../env.ts';
import {
  type DataMessage,
  formatReadToken,
  LogError,
  type PositionMessage,
  type StartAt as WireStartAt,
} from '../protocol/index.ts';
import { Backoff } from './backoff.ts';
import type { Connection } from './connection.ts';
import type { EventHub } from './events.ts';
import { Fifo } from './fifo.ts';
import type { LaneHost } from './lane.ts';
import type { WantedLevel } from './read-level.ts';
import { checkData, type ReceivedBatch } from './received-data.ts';
import { asLogError } from './requests.ts';
import type { PartitionRef } from './topic-directory.ts';

export interface ReaderHost extends LaneHost {
  readonly hub: EventHub;
}

export interface ReaderOptions {
  readonly windowBytes: number;
  readonly onTrimmed: 'error' | 'earliest';
  /** Nothing at or past it is asked for; undefined: no end. */
  readonly endOffset: number | undefined;
  /** Of every beginning, on whatever node. */
  readonly wanted: WantedLevel;
}

export interface ReaderEvents {
  /** Something can be taken, or position or tail moved, or it reached its end. */
  onChange(): void;
  /** It stopped and does not go on by itself. */
  onFailure(error: LogError): void;
}

/** Bad bytes or bad order at one offset, from whatever node, before it is called a failure. */
const FAULTS_MAX = 3;

export class PartitionReader {
  readonly #host: ReaderHost;
  readonly #ref: PartitionRef;
  readonly #options: ReaderOptions;
  readonly #events: ReaderEvents;
  readonly #backoff: Backoff;
  readonly #queue = new Fifo<ReceivedBatch>();
  #state: 'connecting' | 'open' | 'resting' | 'stopped' = 'stopped';
  #start: WireStartAt;
  /** The next offset to receive; undefined until a node resolved the start. */
  #received: number | undefined;
  /** The next offset the application will see. <= #received. */
  #delivered: number | undefined;
  /** Of the last record the application saw; undefined: none since the start. */
  #deliveredTerm: number | undefined;
  /** One past the last batch taken: the application has not seen all of it while #delivered is below. */
  #taken = 0;
  #tail: number | undefined;
  /** Counts attempts; messages for an earlier one are ignored. */
  #attempt = 0;
  #connection: Connection | undefined;
  #channel = 0;
  /** Credit the node may still use; below 0 when it overdrew. */
  #grantedBytes = 0;
  /** In #queue. */
  #queuedBytes = 0;
  #avoid: string | undefined;
  #rest: TimerHandle | undefined;
  #faults = 0;
  #faultOffset = -1;
  /** Monotonic: since when no node would serve our position. */
  #strandedSinceMs: number | undefined;

  constructor(host: ReaderHost, ref: PartitionRef, start: WireStartAt, options: ReaderOptions, events: ReaderEvents) {
    this.#host = host;
    this.#ref = ref;
    this.#start = start;
    this.#options = options;
    this.#events = events;
    this.#backoff = new Backoff(host.platform.random, host.settings.backoff);
  }

  get topicId(): number {
    return this.#ref.topicId;
  }

  get partition(): number {
    return this.#ref.partition;
  }

  /** The next offset the application will see; undefined until the start is resolved. */
  get position(): number | undefined {
    return this.#delivered;
  }

  /** Where it would begin to go on as it is. */
  get standing(): WireStartAt {
    return this.#delivered === undefined ? this.#start : { kind: 'offset', offset: this.#delivered };
  }

  /** One past the last committed record, as far as a node told; never goes down. */
  get tail(): number | undefined {
    return this.#tail;
  }

  /** Everything that was committed when a node last spoke was seen by the application. */
  get isCaughtUp(): boolean {
    return this.#delivered !== undefined && this.#tail !== undefined && this.#delivered >= this.#tail;
  }

  /** The application has seen everything below the end it asked for. */
  get isFinished(): boolean {
    const { endOffset } = this.#options;
    return endOffset !== undefined && this.#delivered !== undefined && this.#delivered >= endOffset;
  }

  get endOffset(): number | undefined {
    return this.#options.endOffset;
  }

  open(): void {
    if (this.#state === 'stopped') this.#connect();
  }

  /** The oldest batch not taken yet. Taking it pays for another one. */
  take(): ReceivedBatch | undefined {
    const batch = this.#queue.shift();
    if (batch === undefined) return undefined;
    this.#queuedBytes -= batch.bytes.length;
    this.#taken = batch.nextOffset;
    this.#topUp();
    return batch;
  }

  get hasBatch(): boolean {
    return this.#queue.length > 0;
  }

  /** The application saw everything below `offset`; the last of it was appended in `term`. */
  delivered(offset: number, term: number): void {
    // The last batch may reach beyond the end; its records there were left out.
    const end = Math.min(offset, this.#options.endOffset ?? offset);
    if (end !== this.#delivered) this.#deliveredTerm = term;
    this.#delivered = end;
    this.#passGap();
  }

  /** Of the last record the application saw; undefined: none since the start. */
  get token(): string | undefined {
    if (this.#delivered === undefined || this.#deliveredTerm === undefined) return undefined;
    const { topicId, partition } = this.#ref;
    return formatReadToken({ topicId, partition, offset: this.#delivered - 1, term: this.#deliveredTerm });
  }

  /** Forgets what was received and starts anew, also after a failure. */
  seek(start: WireStartAt): void {
    this.stop();
    this.#start = start;
    this.#received = undefined;
    this.#delivered = undefined;
    this.#deliveredTerm = undefined;
    this.#taken = 0;
    this.#faults = 0;
    this.#strandedSinceMs = undefined;
    this.#backoff.reset();
    this.#connect();
  }

  stop(): void {
    this.#leave();
    this.#queue.takeAll();
    this.#queuedBytes = 0;
    this.#state = 'stopped';
  }

  // Connecting.

  #connect(): void {
    const { pool, directory } = this.#host;
    const attempt = ++this.#attempt;
    this.#state = 'connecting';
    const operation = pool.begin();
    directory
      .connectToReplica(this.#ref, this.#avoid, operation)
      .then(
        (connection) => {
          if (attempt === this.#attempt) this.#subscribe(connection, attempt);
        },
        (error: unknown) => {
          if (attempt === this.#attempt) this.#onEnd(asLogError(error));
        },
      )
      .finally(() => pool.end(operation));
  }

  #subscribe(connection: Connection, attempt: number): void {
    const isCurrent = (): boolean => attempt === this.#attempt;
    this.#connection = connection;
    this.#state = 'open';
    this.#grantedBytes = Math.max(0, this.#options.windowBytes - this.#queuedBytes);
    this.#channel = connection.subscribe(
      {
        topic: { id: this.#ref.topicId },
        partition: this.#ref.partition,
        start: this.#received === undefined ? this.#start : { kind: 'offset', offset: this.#received },
        creditBytes: this.#grantedBytes,
        ...this.#options.wanted,
      },
      {
        onPosition: (message) => {
          if (isCurrent()) this.#onPosition(message);
        },
        onData: (message, payload) => {
          if (isCurrent()) this.#onData(message, payload);
        },
        onLeaving: () => {
          if (!isCurrent()) return;
          this.#leave();
          this.#connect();
        },
        onEnd: (error) => {
          if (isCurrent()) this.#onEnd(error ?? new LogError('CONNECTION', 'The node ended the subscription.'));
        },
      },
    );
  }

  /** Ends what is under way without a word to the application. */
  #leave(): void {
    if (this.#state === 'open') this.#connection?.unsubscribe(this.#channel);
    this.#attempt++;
    this.#rest?.cancel();
    this.#rest = undefined;
    this.#connection = undefined;
    this.#grantedBytes = 0;
  }

  #takeRest(error: LogError): void {
    this.#leave();
    this.#state = 'resting';
    this.#rest = this.#host.platform.timers.after(this.#backoff.next(error.details.retryAfterMs), () => {
      this.#rest = undefined;
      this.#connect();
    });
  }

  // Messages.

  #onPosition(message: PositionMessage): void {
    if (message.topicId !== this.#ref.topicId) {
      this.#onFault(
        new LogError('INVALID', `The node answered for topic ${message.topicId}, not ${this.#ref.topicId}.`),
      );
      return;
    }
    const asked = this.#received ?? (this.#start.kind === 'offset' ? this.#start.offset : undefined);
    if (asked !== undefined && message.offset !== asked) {
      this.#onFault(new LogError('INVALID', `The node began at offset ${message.offset} when asked for ${asked}.`));
      return;
    }
    if (this.#received === undefined) {
      this.#received = message.offset;
      this.#delivered = message.offset;
    }
    this.#strandedSinceMs = undefined;
    this.#avoid = undefined;
    this.#backoff.reset();
    this.#moveTail(message.tail);
    if (this.#isComplete()) this.#end();
    this.#events.onChange();
  }

  #onData(message: DataMessage, payload: Uint8Array): void {
    const position = this.#received;
    this.#grantedBytes -= payload.length;
    if (position === undefined) {
      this.#onFault(new LogError('INVALID', 'The node sent records before it said where they begin.'));
      return;
    }
    let batches: ReceivedBatch[];
    try {
      batches = checkData(message, payload, position, this.#host.platform.crc32c);
    } catch (error) {
      this.#onFault(asLogError(error));
      return;
    }
    for (const batch of batches) {
      this.#queue.push(batch);
      this.#queuedBytes += batch.bytes.length;
    }
    this.#received = message.nextOffset;
    this.#moveTail(message.tail);
    if (this.#isComplete()) this.#end();
    this.#events.onChange();
  }

  #onFault(error: LogError): void {
    const offset = this.#received ?? -1;
    this.#faults = offset === this.#faultOffset ? this.#faults + 1 : 1;
    this.#faultOffset = offset;
    if (this.#faults >= FAULTS_MAX || !this.#host.settings.retries) {
      const details = { ...error.details, ...this.#place() };
      this.#fail(new LogError(error.code, error.message, { details, outcome: 'none', cause: error }));
      return;
    }
    this.#avoid = this.#connection?.nodeId;
    this.#takeRest(error);
  }

  #onEnd(error: LogError): void {
    if (!this.#host.settings.retries) this.#fail(error);
    else if (error.code === 'TRIMMED') this.#onTrimmed(error);
    else if (error.code === 'STORAGE_CORRUPT' || error.code === 'CRC') this.#onFault(error);
    // A node that does not have what was received from another one only lags.
    else if (error.code === 'OUT_OF_RANGE' && this.#received !== undefined) this.#onStranded(error);
    else if (error.code === 'TOPIC_NOT_FOUND') this.#onTopicGone(error);
    else if (error.retriable) {
      this.#avoid = this.#connection?.nodeId ?? this.#avoid;
      this.#takeRest(error);
    } else this.#fail(error);
  }

  #onTrimmed(error: LogError): void {
    const { earliest } = error.details;
    const position = this.#received ?? (this.#start.kind === 'offset' ? this.#start.offset : undefined);
    const isAhead = earliest !== undefined && (position === undefined || earliest > position);
    if (this.#options.onTrimmed === 'error' || !isAhead) {
      this.#fail(error);
      return;
    }
    if (position !== undefined) {
      const { topic, partition } = this.#ref;
      this.#host.hub.emit({ kind: 'trimmed', topic, partition, from: position, to: earliest });
    }
    this.#leave();
    // What was received before the gap is still delivered; the gap lies behind it.
    this.#received = earliest;
    this.#passGap();
    this.#connect();
  }

  /** A gap that retention left at the end of what was received is passed once everything before it was seen. */
  #passGap(): void {
    if (this.#queue.length > 0 || this.#received === undefined) return;
    const delivered = this.#delivered ?? 0;
    if (delivered < this.#taken || delivered >= this.#received) return;
    this.#delivered = this.#received;
    this.#deliveredTerm = undefined;
  }

  /** No node so far has our position. One will, unless the log itself went back, which is not for us to hide. */
  #onStranded(error: LogError): void {
    const nowMs = this.#host.platform.clock.monotonicMs();
    this.#strandedSinceMs ??= nowMs;
    if (nowMs - this.#strandedSinceMs >= this.#host.settings.requestTimeoutMs) {
      this.#fail(error);
      return;
    }
    this.#avoid = this.#connection?.nodeId;
    this.#takeRest(error);
  }

  /** The node may only not know the topic yet: ask what is known of the name. */
  #onTopicGone(error: LogError): void {
    const node = this.#connection?.nodeId;
    this.#leave();
    this.#state = 'connecting';
    const attempt = this.#attempt;
    this.#host.directory.refresh(this.#ref.topic).then(
      (topic) => {
        if (attempt !== this.#attempt) return;
        if (topic.id !== this.#ref.topicId) {
          this.#fail(error);
          return;
        }
        this.#onStranded(error);
        this.#avoid = node;
      },
      (failure: unknown) => {
        if (attempt !== this.#attempt) return;
        const told = asLogError(failure);
        if (told.code === 'TOPIC_NOT_FOUND') this.#fail(error);
        else this.#onEnd(told);
      },
    );
  }

  // State.

  #moveTail(tail: number): void {
    this.#tail = Math.max(this.#tail ?? 0, tail, this.#received ?? 0);
  }

  #isComplete(): boolean {
    const { endOffset } = this.#options;
    return endOffset !== undefined && this.#received !== undefined && this.#received >= endOffset;
  }

  /** Nothing more is wanted; what is queued is still to be taken. */
  #end(): void {
    this.#leave();
    this.#state = 'stopped';
  }

  #fail(error: LogError): void {
    this.#leave();
    this.#state = 'stopped';
    this.#events.onFailure(error);
  }

  #place(): { readonly topic: string; readonly partition: number; readonly offset?: number } {
    const { topic, partition } = this.#ref;
    return this.#received === undefined ? { topic, partition } : { topic, partition, offset: this.#received };
  }

  /** Grants what was taken, in halves of the window: not a message for every batch. */
  #topUp(): void {
    if (this.#state !== 'open') return;
    const bytes = this.#options.windowBytes - this.#queuedBytes - this.#grantedBytes;
    if (bytes * 2 < this.#options.windowBytes) return;
    this.#grantedBytes += bytes;
    this.#connection?.grant(this.#channel, { bytes });
  }
}
