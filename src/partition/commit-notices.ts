/**
 * Commit notices wait a moment before they leave. A follower with nothing on its way is told of a commit by a message
 * of its own (raft: sendCommitNotice). A producer that waits for each ack sends its next record within a millisecond of
 * the last one's, and that record's append tells of the commit as well: the notice would cost both nodes a system call
 * and a wake-up, in front of the ack, for nothing.
 *
 * To the core a notice that waits here is a message slow on its way. At most one waits for each peer.
 */
import type { Timers } from '../env.ts';
import type { Heartbeat, LogIndex, NodeId } from '../raft/index.ts';

/** A notice leaves when it waited for one to two of these. */
const HELD_MS = 1;

export class CommitNotices {
  readonly #timers: Timers;
  readonly #send: (notice: Heartbeat) => void;
  /** Since the timer was set; keyed by receiver, as #ripe is. A receiver is in one of the two at most. */
  #fresh = new Map<NodeId, Heartbeat>();
  /** Since before the timer was set: these leave when it fires. */
  #ripe = new Map<NodeId, Heartbeat>();
  #isTimerSet = false;

  constructor(timers: Timers, send: (notice: Heartbeat) => void) {
    this.#timers = timers;
    this.#send = send;
  }

  /** Sends it later, unless told() says that something else did. It takes the place of an older one. */
  hold(notice: Heartbeat): void {
    this.#ripe.delete(notice.to);
    this.#fresh.set(notice.to, notice);
    this.#setTimer();
  }

  /** Another message on its way to `peer` carries this commit index, of this or a later term. */
  told(peer: NodeId, commit: LogIndex): void {
    for (const held of [this.#fresh, this.#ripe]) {
      const notice = held.get(peer);
      if (notice !== undefined && notice.commit <= commit) held.delete(peer);
    }
  }

  /** Role or term changed, or the partition closes: what is held is not sent. */
  drop(): void {
    this.#fresh.clear();
    this.#ripe.clear();
  }

  #setTimer(): void {
    if (this.#isTimerSet) return;
    this.#isTimerSet = true;
    this.#timers.after(HELD_MS, () => {
      this.#isTimerSet = false;
      const due = this.#ripe;
      this.#ripe = this.#fresh;
      this.#fresh = due;
      for (const notice of due.values()) this.#send(notice);
      due.clear();
      if (this.#ripe.size > 0) this.#setTimer();
    });
  }
}
