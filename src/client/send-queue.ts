/**
 * The batches of one lane that are not answered for good: their order, their numbers, and what is known of each one's
 * fate. Decides what may be sent and under which producer tuple; sends nothing and waits for nothing. lane.ts drives
 * it.
 *
 * Invariants: sequences of one epoch follow each other without a hole; batches are begun in order, so behind one that
 * was never sent there is none that was; a batch keeps its tuple for as long as it may be in the log.
 */
import type { AckMessage, LogError, ProducerTuple } from '../protocol/index.ts';

/** A batch that will not change any more. Exactly one of the two is called, once. */
export interface SealedBatch {
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  onAck(ack: AckMessage): void;
  onFailure(error: LogError): void;
}

export interface Pending {
  readonly batch: SealedBatch;
  /** Monotonic: it fails at this time unless the lane made progress since. */
  readonly deadlineMs: number;
  /** Of its first record, within the epoch. */
  sequence: number;
  /** Which attempt is under way; answers to earlier ones are ignored. 0: none. */
  attempt: number;
  /** Some attempt was made in this epoch. */
  wasSent: boolean;
  /** An attempt ended without a verdict: it may be in the log. */
  mayBeDone: boolean;
  /** Decided, and waiting until nothing older is open. */
  verdict: LogError | undefined;
  /** Of the last attempt. */
  lastError: LogError | undefined;
}

export class SendQueue implements Iterable<Pending> {
  readonly #producerId: string;
  readonly #maxInFlight: number;
  /** Oldest first. */
  #pending: Pending[] = [];
  #epoch: number;
  /** The next batch's. */
  #nextSequence = 0;
  #nextAttempt = 1;
  #inFlight = 0;

  constructor(producerId: string, epoch: number, maxInFlight: number) {
    this.#producerId = producerId;
    this.#epoch = epoch;
    this.#maxInFlight = maxInFlight;
  }

  get length(): number {
    return this.#pending.length;
  }

  /** Attempts under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get head(): Pending | undefined {
    return this.#pending[0];
  }

  [Symbol.iterator](): Iterator<Pending> {
    return this.#pending[Symbol.iterator]();
  }

  push(batch: SealedBatch, deadlineMs: number): void {
    this.#pending.push({
      batch,
      deadlineMs,
      sequence: this.#nextSequence,
      attempt: 0,
      wasSent: false,
      mayBeDone: false,
      verdict: undefined,
      lastError: undefined,
    });
    this.#nextSequence += batch.recordCount;
  }

  /** The oldest that is not under way, if there is room for another one. Nothing goes past a batch that is decided. */
  nextToSend(): Pending | undefined {
    if (this.#inFlight >= this.#maxInFlight) return undefined;
    for (const pending of this.#pending) {
      if (pending.verdict !== undefined) return undefined;
      if (pending.attempt === 0) return pending;
    }
    return undefined;
  }

  /** An attempt begins: `pending.attempt` is its number from now on. */
  begin(pending: Pending): ProducerTuple {
    pending.attempt = this.#nextAttempt++;
    pending.wasSent = true;
    this.#inFlight++;
    return { id: this.#producerId, epoch: this.#epoch, sequence: pending.sequence };
  }

  /** The attempt under way was answered. */
  answered(pending: Pending): void {
    pending.attempt = 0;
    this.#inFlight--;
  }

  /** No answer is awaited any more: from now on it may be in the log. */
  giveUpWaiting(pending: Pending): void {
    if (pending.attempt === 0) return;
    this.answered(pending);
    pending.mayBeDone = true;
  }

  /** It is in the log. */
  remove(pending: Pending): void {
    if (pending === this.#pending[0]) this.#pending.shift();
    else this.#pending.splice(this.#pending.indexOf(pending), 1);
  }

  /**
   * The oldest is surely not in the log and never will be. So nothing behind it can be: its sequence never came. The
   * rest is numbered anew; under a new epoch if copies with the old numbers can be under way.
   */
  dropHead(): Pending | undefined {
    const head = this.#pending.shift();
    if (head?.wasSent === true) this.restartEpoch();
    else if (head !== undefined) this.#renumberFrom(head.sequence);
    return head;
  }

  /** What is open is surely not in the log: the next epoch begins with it, and late answers mean nothing. */
  restartEpoch(): void {
    this.#epoch++;
    this.#inFlight = 0;
    for (const pending of this.#pending) {
      pending.attempt = 0;
      pending.wasSent = false;
      pending.mayBeDone = false;
    }
    this.#renumberFrom(0);
  }

  /** Empties it; what was under way counts as given up. */
  takeAll(): readonly Pending[] {
    const all = this.#pending;
    this.#pending = [];
    for (const pending of all) this.giveUpWaiting(pending);
    return all;
  }

  #renumberFrom(sequence: number): void {
    this.#nextSequence = sequence;
    for (const pending of this.#pending) {
      pending.sequence = this.#nextSequence;
      this.#nextSequence += pending.batch.recordCount;
    }
  }
}
