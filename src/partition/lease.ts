/**
 * The leader's lease (R8, thesis 6.4.1): for how long no other node can have been elected, so that a read needs no
 * round. It rests on promises: a voter that answers a heartbeat helps nobody else to lead for promiseMs by its own
 * clock (src/raft/election.ts), and says so in the answer. A quorum of such promises is the lease.
 *
 *   until = the time the round was *sent* + promiseMs, less the drift bound; a quorum's worth of them
 *
 * Sent, not answered: the voter's promise began between the two. By the monotonic clock alone; wall clocks jump. It is
 * void, and rounds begun before count for nothing, when
 *   - role or term changed: the owner calls drop();
 *   - leadership is being transferred: those votes ignore promises, and the order to campaign may arrive late. For the
 *     rest of the term;
 *   - the membership changed: another quorum may elect;
 *   - no tick came for longer than a heartbeat: after a pause or a stall this node may be deposed and not know it
 *     (R24).
 */
import type { Clock } from '../env.ts';
import { type Membership, type Message, type NodeId, quorumIndex, type Raft, type Term } from '../raft/index.ts';

export interface LeaseOptions {
  /** How far apart the clocks of two nodes may run, in percent of the time that passes. */
  readonly driftPercent: number;
  /** Longest time between two ticks that does not count as a stall, ms. */
  readonly stallMs: number;
}

/** Rounds whose time of sending is remembered. Answers to older ones count for nothing. */
const ROUNDS_KEPT = 1_024;

export class Lease {
  readonly #raft: Raft;
  readonly #clock: Clock;
  /** undefined: leases are off. */
  readonly #options: LeaseOptions | undefined;
  /** Round -> monotonic time at which its first heartbeat was sent, ms. */
  readonly #sentMs = new Map<number, number>();
  /** Voter -> monotonic time up to which its promise holds. */
  readonly #promisedUntilMs = new Map<NodeId, number>();
  #membership: Membership;
  #tickedMs: number;
  /** No lease in this term any more. */
  #forbiddenTerm: Term | undefined;

  constructor(raft: Raft, clock: Clock, options: LeaseOptions | undefined) {
    this.#raft = raft;
    this.#clock = clock;
    this.#options = options;
    this.#membership = raft.membership;
    this.#tickedMs = clock.monotonicMs();
  }

  /** A message of the core is about to leave. */
  onSending(message: Message): void {
    if (this.#options === undefined || message.kind !== 'heartbeat' || this.#sentMs.has(message.round)) return;
    // It names the last round, which may be long ago, and nobody answers it.
    if (message.isNotice === true) return;
    this.#sentMs.set(message.round, this.#clock.monotonicMs());
    if (this.#sentMs.size <= ROUNDS_KEPT) return;
    const [oldest] = this.#sentMs.keys();
    this.#sentMs.delete(oldest!);
  }

  /** A message was stepped into the core. */
  onReceived(message: Message): void {
    if (this.#options === undefined || message.kind !== 'heartbeat-reply' || message.term !== this.#raft.term) return;
    const sentMs = this.#sentMs.get(message.round);
    if (sentMs === undefined || message.promiseMs === undefined) return;
    const untilMs = sentMs + message.promiseMs * (1 - this.#options.driftPercent / 100);
    const knownMs = this.#promisedUntilMs.get(message.from) ?? 0;
    this.#promisedUntilMs.set(message.from, Math.max(knownMs, untilMs));
  }

  onTick(): void {
    this.#dropWhatIsVoid();
    this.#tickedMs = this.#clock.monotonicMs();
  }

  /** Leadership is about to be handed over. */
  forbidInTerm(): void {
    this.#forbiddenTerm = this.#raft.term;
    this.drop();
  }

  /** Begins anew, with rounds that are sent from here on. */
  drop(): void {
    this.#sentMs.clear();
    this.#promisedUntilMs.clear();
  }

  isHeld(): boolean {
    const { role, term, membership, id } = this.#raft;
    if (this.#options === undefined || role !== 'leader' || term === this.#forbiddenTerm) return false;
    // Sockets may be served before timers after a stall, so the tick that would notice it may not have come yet.
    this.#dropWhatIsVoid();
    const untilMs = quorumIndex(membership, (voter) =>
      voter === id ? Number.MAX_SAFE_INTEGER : this.#promisedUntil(voter),
    );
    return this.#clock.monotonicMs() < untilMs;
  }

  /** One that forgot what it promised may have helped to elect a later leader before (R19). */
  #promisedUntil(voter: NodeId): number {
    const isSound = this.#raft.progressOf(voter)?.standing === 'sound';
    return isSound ? (this.#promisedUntilMs.get(voter) ?? 0) : 0;
  }

  #dropWhatIsVoid(): void {
    if (this.#options === undefined) return;
    const isStalled = this.#clock.monotonicMs() - this.#tickedMs > this.#options.stallMs;
    const { membership } = this.#raft;
    if (isStalled || membership !== this.#membership) this.drop();
    this.#membership = membership;
  }
}
