/**
 * The one way records travel to a partition: a pipeline of sealed batches under one producer id. Several are in flight;
 * they are answered, and if need be sent again, so that the log holds each of them once and in this order (P3, P7).
 *
 *     detached --submit--> attaching --connected--> sending --refusal or loss--> settling --all answered--> resting
 *        ^                     ^                       |                                                      |
 *        |                     '------------------------------------- after a delay --------------------------'
 *        '---- nothing left ---------------------------'          halted: an outcome is unknown for good
 *
 * The rules, each of which guards against a loss, a copy or a swap:
 * - A batch keeps its epoch and sequence for as long as it may be in the log; only then does the server recognise it.
 * - After a refusal nothing new is sent until everything in flight was answered. Batches behind a refused one come back
 *   as SEQUENCE_GAP; then all are sent again, from the oldest on.
 * - A batch that surely is not in the log and never will be leaves a hole in the sequence. The rest goes on under the
 *   next epoch from 0, never under new numbers of the same epoch: a late copy of an old attempt would fit into those.
 * - When the fate of a batch stays unknown, everything behind it stops: halted, until the application says resume().
 */
import type { TimerHandle } from '../env.ts';
import { type AckMessage, assert, type LogError } from '../protocol/index.ts';
import { type Backoff, operationBackoff } from './backoff.ts';
import type { Connection } from './connection.ts';
import { ackProblem, heldBack, isAboutPlace, timeUp, withOutcome } from './lane-failures.ts';
import type { NodePool } from './node-pool.ts';
import { abortedError, closedError } from './operation.ts';
import type { Settings } from './options.ts';
import type { Platform } from './platform.ts';
import { asLogError } from './requests.ts';
import { type Pending, type SealedBatch, SendQueue } from './send-queue.ts';
import type { PartitionRef, TopicDirectory } from './topic-directory.ts';

/** What lanes need of the client. */
export interface LaneHost {
  readonly platform: Platform;
  readonly settings: Settings;
  readonly pool: NodePool;
  readonly directory: TopicDirectory;
}

export interface LaneIdentity {
  /** 32 hex digits. */
  readonly producerId: string;
  readonly epoch: number;
}

type LaneState = 'detached' | 'attaching' | 'sending' | 'settling' | 'resting' | 'halted' | 'closed';

/** Share of an operation's time that one attempt may take at the server. */
const ATTEMPT_SHARE = 1 / 2;
/** A producer the server has forgotten, again and again, is no accident any more. */
const GAPS_MAX = 3;

export class Lane {
  readonly #host: LaneHost;
  readonly #ref: PartitionRef;
  /** Batches were answered: there is room, and maybe nothing in flight. */
  readonly #onProgress: () => void;
  readonly #backoff: Backoff;
  readonly #queue: SendQueue;
  #state: LaneState = 'detached';
  #connection: Connection | undefined;
  /** Finish what is in flight, then look for the leader again. */
  #isMoving = false;
  /** What is known of the leader led nowhere. */
  #isStale = false;
  #avoid: string | undefined;
  #term = 0;
  /** SEQUENCE_GAPs of the oldest batch since the last ack. */
  #gaps = 0;
  /**
   * The oldest batch, when the server does not know this producer any more: a new epoch begins once all is answered.
   */
  #forgotten: Pending | undefined;
  #retryAfterMs = 0;
  #lastProgressMs = 0;
  /** The one that will say when it has room. */
  #fullConnection: Connection | undefined;
  #rest: TimerHandle | undefined;
  #deadline: TimerHandle | undefined;
  #halt: LogError | undefined;

  constructor(host: LaneHost, ref: PartitionRef, identity: LaneIdentity, maxInFlight: number, onProgress: () => void) {
    this.#host = host;
    this.#ref = ref;
    this.#queue = new SendQueue(identity.producerId, identity.epoch, maxInFlight);
    this.#onProgress = onProgress;
    const { backoff, requestTimeoutMs } = host.settings;
    this.#backoff = operationBackoff(host.platform.random, backoff, requestTimeoutMs);
  }

  /** Batches submitted and not answered. */
  get pendingCount(): number {
    return this.#queue.length;
  }

  /** Batches sent and not answered. */
  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /** Why nothing more is taken: an outcome that stayed unknown. */
  get halt(): LogError | undefined {
    return this.#halt;
  }

  submit(batch: SealedBatch): void {
    const refusal = this.#state === 'closed' ? closedError('producer') : this.#halt;
    if (refusal !== undefined) {
      batch.onFailure(heldBack(refusal));
      return;
    }
    const nowMs = this.#nowMs();
    if (this.#queue.length === 0) this.#lastProgressMs = nowMs;
    this.#queue.push(batch, nowMs + this.#host.settings.requestTimeoutMs);
    if (this.#deadline === undefined) this.#armDeadline();
    if (this.#state === 'detached') this.#attach();
    else if (this.#state === 'sending') this.#pump();
  }

  /** Goes on after an unknown outcome, under the next epoch: late copies of what was given up are fenced by it. */
  resume(): void {
    if (this.#state !== 'halted') return;
    this.#halt = undefined;
    this.#state = 'detached';
    this.#queue.restartEpoch();
  }

  /** Gives up on a batch whose caller does not wait any more. Its fate is 'none' only if it was never sent. */
  abandon(batch: SealedBatch): void {
    for (const pending of this.#queue) {
      if (pending.batch !== batch) continue;
      pending.verdict = abortedError('none');
      this.#queue.giveUpWaiting(pending);
    }
    this.#concludeHead();
  }

  /** Fails what is open: outcome unknown for what may be in the log. */
  close(error: LogError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#rest?.cancel();
    this.#deadline?.cancel();
    this.#failAll(error);
  }

  #nowMs(): number {
    return this.#host.platform.clock.monotonicMs();
  }

  // Connection.

  #attach(): void {
    this.#state = 'attaching';
    this.#connection = undefined;
    const { pool, directory } = this.#host;
    const operation = pool.begin();
    directory
      .connectToLeader(this.#ref, this.#isStale, this.#avoid, operation)
      .then(
        (connection) => this.#onAttached(connection),
        (error: unknown) => this.#onUnattached(asLogError(error)),
      )
      .finally(() => pool.end(operation));
  }

  #onAttached(connection: Connection): void {
    if (this.#state !== 'attaching') return;
    this.#connection = connection;
    this.#isMoving = false;
    this.#isStale = false;
    this.#state = 'sending';
    this.#pump();
  }

  #onUnattached(error: LogError): void {
    if (this.#state !== 'attaching') return;
    for (const pending of this.#queue) pending.lastError = error;
    if (!error.retriable || !this.#host.settings.retries) {
      for (const pending of this.#queue) pending.verdict ??= error;
      this.#state = 'detached';
      this.#concludeHead();
      return;
    }
    this.#takeRest();
  }

  #takeRest(): void {
    this.#state = 'resting';
    const delayMs = this.#backoff.next(this.#retryAfterMs);
    this.#retryAfterMs = 0;
    this.#rest = this.#host.platform.timers.after(delayMs, () => {
      this.#rest = undefined;
      if (this.#queue.length === 0) this.#state = 'detached';
      else this.#attach();
    });
  }

  // Sending.

  /** Sends what may be sent, in order. */
  #pump(): void {
    const connection = this.#connection;
    assert(connection !== undefined, 'a lane that sends has a connection');
    if (!connection.isReady) this.#isMoving = true;
    if (this.#isMoving) {
      if (this.#queue.inFlight > 0) return;
      if (this.#queue.length === 0) this.#state = 'detached';
      else this.#attach();
      return;
    }
    if (this.#queue.head?.verdict !== undefined) {
      // It waited for older ones, and these are done now.
      this.#concludeHead();
      return;
    }
    for (let next = this.#queue.nextToSend(); next !== undefined; next = this.#queue.nextToSend()) {
      if (!connection.hasRoomFor(next.batch.bytes.length)) {
        this.#waitForRoom(connection);
        return;
      }
      this.#send(connection, next);
    }
  }

  #waitForRoom(connection: Connection): void {
    if (this.#fullConnection === connection) return;
    this.#fullConnection = connection;
    connection.whenRoom(() => {
      if (this.#fullConnection === connection) this.#fullConnection = undefined;
      if (this.#state === 'sending') this.#pump();
    });
  }

  #send(connection: Connection, pending: Pending): void {
    const producer = this.#queue.begin(pending);
    const { attempt } = pending;
    connection.append(
      {
        topic: { id: this.#ref.topicId },
        partition: this.#ref.partition,
        producer,
        redirect: false,
        timeoutMs: Math.max(1, Math.round(this.#host.settings.requestTimeoutMs * ATTEMPT_SHARE)),
      },
      pending.batch.bytes,
      {
        onAck: (ack) => {
          if (pending.attempt === attempt) this.#onAck(pending, ack);
        },
        onNack: (error) => {
          if (pending.attempt === attempt) this.#onNack(pending, error);
        },
      },
    );
  }

  // Answers.

  #onAck(pending: Pending, ack: AckMessage): void {
    this.#queue.answered(pending);
    const problem = ackProblem(pending.batch, this.#ref, ack);
    if (problem !== undefined) {
      pending.mayBeDone = true;
      pending.verdict = problem;
      this.#settle();
      return;
    }
    this.#queue.remove(pending);
    this.#lastProgressMs = this.#nowMs();
    this.#backoff.reset();
    this.#avoid = undefined;
    this.#gaps = 0;
    if (ack.term !== this.#term) this.#onTerm(ack.term);
    pending.batch.onAck(ack);
    this.#afterAnswer();
    this.#onProgress();
  }

  #onNack(pending: Pending, error: LogError): void {
    this.#queue.answered(pending);
    pending.lastError = error;
    if (error.outcome === 'unknown') pending.mayBeDone = true;
    this.#retryAfterMs = Math.max(this.#retryAfterMs, error.details.retryAfterMs ?? 0);
    if (!this.#host.settings.retries) pending.verdict = error;
    else if (error.code === 'SEQUENCE_GAP') this.#onGap(pending, error);
    else if (error.code === 'TOPIC_NOT_FOUND') this.#isStale = true;
    else if (!error.retriable) pending.verdict = error;
    if (isAboutPlace(error)) {
      this.#isStale = true;
      this.#avoid = this.#connection?.nodeId;
    }
    this.#settle();
  }

  /**
   * Behind a batch that was refused a gap is what must come. For the oldest one it means that the server has forgotten
   * this producer (it was silent for long): go on under a new epoch, unless the batch may be in the log already.
   */
  #onGap(pending: Pending, error: LogError): void {
    if (pending !== this.#queue.head) return;
    this.#gaps++;
    if (pending.mayBeDone || this.#gaps > GAPS_MAX) pending.verdict = error;
    else this.#forgotten = pending;
  }

  /** Something was refused: nothing new until the rest is answered. */
  #settle(): void {
    if (this.#state === 'sending') this.#state = 'settling';
    this.#afterAnswer();
  }

  #afterAnswer(): void {
    if (this.#state === 'sending') this.#pump();
    else if (this.#state === 'settling' && this.#queue.inFlight === 0) this.#onSettled();
  }

  #onSettled(): void {
    const { head } = this.#queue;
    if (head !== undefined && head === this.#forgotten && !head.mayBeDone) this.#queue.restartEpoch();
    this.#forgotten = undefined;
    this.#state = 'detached';
    this.#concludeHead();
    if (this.#state === 'detached' && this.#queue.length > 0) this.#takeRest();
  }

  /** Another leader answered than the one that was known: once nothing is in flight, go there directly. */
  #onTerm(term: number): void {
    this.#term = term;
    const known = this.#host.directory.known(this.#ref.topic)?.partitions[this.#ref.partition];
    if (known === undefined || known.term >= term) return;
    this.#host.directory.refresh(this.#ref.topic).then(
      (topic) => {
        const leader = topic.partitions[this.#ref.partition]?.leader;
        if (leader === undefined || leader === this.#connection?.nodeId || this.#state !== 'sending') return;
        this.#isMoving = true;
        this.#pump();
      },
      // Only a shortcut: without it the node that is connected goes on forwarding.
      () => {},
    );
  }

  // Ends.

  /** Tells the oldest batches whose fate is decided, as long as the oldest one is. */
  #concludeHead(): void {
    for (let head = this.#queue.head; head?.verdict !== undefined; head = this.#queue.head) {
      const { verdict } = head;
      if (head.mayBeDone || verdict.outcome === 'unknown') {
        this.#haltOn(withOutcome(verdict, 'unknown'));
        return;
      }
      this.#queue.dropHead();
      head.batch.onFailure(verdict);
      this.#onProgress();
    }
    if (this.#state === 'settling' && this.#queue.inFlight === 0) this.#onSettled();
    else if (this.#state === 'sending') this.#pump();
    else if (this.#state === 'resting' && this.#queue.length === 0) {
      // The next batch is another operation, with all of its time before it.
      this.#rest?.cancel();
      this.#state = 'detached';
    }
  }

  #haltOn(error: LogError): void {
    this.#halt = error;
    this.#state = 'halted';
    this.#rest?.cancel();
    this.#deadline?.cancel();
    this.#deadline = undefined;
    this.#failAll(error);
    this.#onProgress();
  }

  #failAll(error: LogError): void {
    for (const { batch, mayBeDone, verdict = error } of this.#queue.takeAll()) {
      batch.onFailure(mayBeDone ? withOutcome(verdict, 'unknown') : heldBack(verdict));
    }
  }

  #armDeadline(): void {
    const { head } = this.#queue;
    this.#deadline = undefined;
    if (head === undefined) return;
    const { requestTimeoutMs } = this.#host.settings;
    const dueMs = Math.max(head.deadlineMs, this.#lastProgressMs + requestTimeoutMs);
    this.#deadline = this.#host.platform.timers.after(Math.max(1, dueMs - this.#nowMs()), () => this.#onDeadline());
  }

  /** Time is up for what is older than the limit, if nothing was answered for as long. */
  #onDeadline(): void {
    this.#deadline = undefined;
    const nowMs = this.#nowMs();
    const { requestTimeoutMs } = this.#host.settings;
    if (nowMs - this.#lastProgressMs >= requestTimeoutMs) {
      for (const pending of this.#queue) {
        if (pending.deadlineMs > nowMs) break;
        this.#queue.giveUpWaiting(pending);
        pending.verdict ??= timeUp(pending.lastError, requestTimeoutMs);
      }
      this.#concludeHead();
    }
    if (this.#deadline === undefined && this.#queue.length > 0) this.#armDeadline();
  }
}
