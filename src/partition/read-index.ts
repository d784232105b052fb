/**
 * Linearizable reads, the leader's part (R7, thesis 6.4). A question is answered with a commit index that covers
 * everything acknowledged anywhere before it was asked:
 *
 *   1. not before the no-op of the term is committed: until then commits of earlier terms may be unknown here (R4);
 *   2. the commit index is recorded, then a heartbeat round is begun, so begun after the question;
 *   3. answered once a quorum answered that round or a later one, in the same term; or at once while a lease is held,
 *      which stands in for the round (lease.ts).
 *
 * One round is under way at a time. Questions that come meanwhile share the next one, which begins the moment it ends:
 * any number of readers costs a leader at most one round per round trip. A lost message costs them the time to the
 * next heartbeat, whose answers confirm earlier rounds too.
 */
import type { Clock } from '../env.ts';
import type { LogIndex, Message, Raft, Term } from '../raft/index.ts';
import { Lease, type LeaseOptions } from './lease.ts';

export type ReadIndexOutcome =
  | {
      readonly kind: 'confirmed';
      /** How it was confirmed. */
      readonly level: 'linearizable' | 'lease';
      /** A replica that has applied it may serve the read. */
      readonly index: LogIndex;
      readonly term: Term;
    }
  /** This replica does not lead, or lost its leadership before the answer was known. */
  | { readonly kind: 'not-leader' };

type Settle = (outcome: ReadIndexOutcome) => void;

interface Round {
  readonly number: number;
  readonly term: Term;
  /** Commit index when it began. */
  readonly index: LogIndex;
  readonly questions: readonly Settle[];
}

export interface ReadIndexParts {
  readonly raft: Raft;
  readonly clock: Clock;
  /** undefined: leases are off. */
  readonly lease: LeaseOptions | undefined;
  /** After the core was told something. */
  run(): void;
}

const NOT_LEADER = { kind: 'not-leader' } as const;

export class ReadIndex {
  readonly #parts: ReadIndexParts;
  readonly #lease: Lease;
  /** Not part of a round yet. Bounded by what sessions may have in flight. */
  #waiting: Settle[] = [];
  #round: Round | undefined;
  #isClosed = false;

  constructor(parts: ReadIndexParts) {
    this.#parts = parts;
    this.#lease = new Lease(parts.raft, parts.clock, parts.lease);
  }

  /** @param mayLease A lease is good enough; without one it is a round all the same. */
  ask(mayLease: boolean): Promise<ReadIndexOutcome> {
    const { raft } = this.#parts;
    if (this.#isClosed || raft.role !== 'leader') return Promise.resolve(NOT_LEADER);
    // First the commit index, then the clock: a lease that is held after the index was read was held when it was.
    const { commit: index, term } = raft;
    if (mayLease && this.#isNoopCommitted() && this.#lease.isHeld()) {
      return Promise.resolve({ kind: 'confirmed', level: 'lease', index, term });
    }
    return new Promise((settle) => {
      this.#waiting.push(settle);
      this.advance();
    });
  }

  /** A message of the core is about to leave. */
  onSending(message: Message): void {
    this.#lease.onSending(message);
  }

  /** A message was stepped into the core. */
  onReceived(message: Message): void {
    this.#lease.onReceived(message);
    if (message.kind === 'heartbeat-reply') this.advance();
  }

  onTick(): void {
    this.#lease.onTick();
  }

  /** Leadership is being handed over: no lease in this term any more (R8). */
  forbidLease(): void {
    this.#lease.forbidInTerm();
  }

  /** The core may know more now: an answer to a round came, or the commit index moved. */
  advance(): void {
    const { raft, run } = this.#parts;
    if (this.#round === undefined && this.#waiting.length === 0) return;
    if (raft.role !== 'leader') return;
    for (;;) {
      this.#settleConfirmed();
      if (this.#round !== undefined || this.#waiting.length === 0 || !this.#isNoopCommitted()) return;
      const { commit: index, term } = raft;
      const number = raft.startRound();
      if (number === undefined) return;
      this.#round = { number, term, index, questions: this.#waiting.splice(0) };
      // Sends it. A leader that is a majority by itself has its answer in the next walk through this loop.
      run();
    }
  }

  /** Role, term or leader changed: nothing that was asked before can be answered by what is known now (R7). */
  reset(): void {
    const dropped = [...(this.#round?.questions ?? []), ...this.#waiting.splice(0)];
    this.#round = undefined;
    this.#lease.drop();
    for (const settle of dropped) settle(NOT_LEADER);
  }

  close(): void {
    this.#isClosed = true;
    this.reset();
  }

  #isNoopCommitted(): boolean {
    const { raft } = this.#parts;
    return raft.firstIndexOfTerm !== undefined && raft.commit >= raft.firstIndexOfTerm;
  }

  #settleConfirmed(): void {
    const { raft } = this.#parts;
    const round = this.#round;
    if (round === undefined || round.term !== raft.term || raft.confirmedRound < round.number) return;
    this.#round = undefined;
    const { index, term } = round;
    for (const settle of round.questions) settle({ kind: 'confirmed', level: 'linearizable', index, term });
  }
}
