/**
 * Whether this replica still leads, for answers that only the leader may give: a deposed one does not know it before
 * its quorum check. Proven when a majority answered a heartbeat round that began after the question; the core numbers
 * its rounds for that (R7).
 */
import type { Membership, Message, NodeId, Raft } from '../raft/index.ts';

interface Question {
  /** The first round whose answers count. */
  readonly round: number;
  readonly settle: (leads: boolean) => void;
}

export class LeadershipProof {
  readonly #raft: Raft;
  /** Of the term that is led now. */
  #lastRound = 0;
  readonly #answered = new Map<NodeId, number>();
  #questions: Question[] = [];

  constructor(raft: Raft) {
    this.#raft = raft;
  }

  /** True: at some moment after the call this replica led. False: it does not, or lost its leadership before that was
   *  known. */
  ask(): Promise<boolean> {
    if (this.#raft.role !== 'leader') return Promise.resolve(false);
    return new Promise((settle) => {
      this.#questions.push({ round: this.#lastRound + 1, settle });
      // A majority of one needs no answers.
      this.#settleProven();
    });
  }

  /** A message of the core leaves. */
  onSent(message: Message): void {
    if (message.kind === 'heartbeat') this.#lastRound = Math.max(this.#lastRound, message.round);
  }

  /** A message arrived. */
  onReceived(message: Message): void {
    if (message.kind !== 'heartbeat-reply' || this.#raft.role !== 'leader' || message.term !== this.#raft.term) return;
    this.#answered.set(message.from, Math.max(this.#answered.get(message.from) ?? 0, message.round));
    if (this.#questions.length > 0) this.#settleProven();
  }

  /** Role, term or leader changed, or the partition is closed: rounds begin anew with the next leadership. */
  reset(): void {
    this.#lastRound = 0;
    this.#answered.clear();
    for (const { settle } of this.#questions.splice(0)) settle(false);
  }

  #settleProven(): void {
    const { membership } = this.#raft;
    const isProven = ({ round }: Question): boolean => this.#hasMajority(membership, round);
    for (const { settle } of this.#questions.filter(isProven)) settle(true);
    this.#questions = this.#questions.filter((question) => !isProven(question));
  }

  /** Both majorities of a joint membership (thesis 4.3). */
  #hasMajority({ voters, votersOutgoing }: Membership, round: number): boolean {
    return [voters, votersOutgoing].every((nodes) => {
      const answered = nodes.filter((node) => node === this.#raft.id || (this.#answered.get(node) ?? 0) >= round);
      return answered.length * 2 > nodes.length || nodes.length === 0;
    });
  }
}
