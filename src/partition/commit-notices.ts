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

interface Held {
  readonly notice: Heartbeat;
  /** Held since before the timer was set: it leaves when that fires. */
  isRipe: boolean;
}

export class CommitNotices {
  readonly #timers: Timers;
  readonly #send: (notice: Heartbeat) => void;
  /** At most one for each receiver. A list: the tables of a Map that changes with each append fill V8's old space. */
  #held: Held[] = [];
  #isTimerSet = false;

  constructor(timers: Timers, send: (notice: Heartbeat) => void) {
    this.#timers = timers;
    this.#send = send;
  }

  /** Sends it later, unless told() says that something else did. It takes the place of an older one. */
  hold(notice: Heartbeat): void {
    this.#held = this.#held.filter((held) => held.notice.to !== notice.to);
    this.#held.push({ notice, isRipe: false });
    this.#setTimer();
  }

  /** Another message on its way to `peer` carries this commit index, of this or a later term. */
  told(peer: NodeId, commit: LogIndex): void {
    if (this.#held.length === 0) return;
    this.#held = this.#held.filter(({ notice }) => notice.to !== peer || notice.commit > commit);
  }

  /** Role or term changed, or the partition closes: what is held is not sent. */
  drop(): void {
    this.#held = [];
  }

  #setTimer(): void {
    if (this.#isTimerSet) return;
    this.#isTimerSet = true;
    this.#timers.after(HELD_MS, () => {
      this.#isTimerSet = false;
      const due = this.#held.filter(({ isRipe }) => isRipe);
      this.#held = this.#held.filter(({ isRipe }) => !isRipe);
      for (const held of this.#held) held.isRipe = true;
      for (const { notice } of due) this.#send(notice);
      if (this.#held.length > 0) this.#setTimer();
    });
  }
}
