/**
 * One follower as the leader sees it, with every transition of that view. Nothing else changes these fields.
 *
 *              accepted                      snapshot answered, or an ack at or past the log start
 *   probe ----------------> replicate   <----------------------------------- snapshot
 *     ^  <----------------     |                                                ^
 *     |   rejected, link down  |            next lies below the log start       |
 *     +------------------------+------------------------------------------------+
 *
 * probe: where the logs agree is a guess, so one append is in flight at most. replicate: appends are pipelined, `next`
 * runs ahead of the answers. snapshot: the follower lacks entries this node no longer stores; nothing is appended.
 *
 * Lost messages: an append, or the answer to it, may vanish. A follower that answers a heartbeat of a later round than
 * the last sign of progress is sent a *check*, an append without entries right behind the last one sent: it is
 * refused when something was lost, and accepted, once flushed, when the follower was only slow. No bytes are resent
 * on a guess. The same check follows a broken link, so that an idle leader notices a follower that came back with less
 * than it had acked (R21).
 */
import { strict as assert } from 'node:assert';
import { ByteWindow } from './byte-window.ts';
import type { AppendReply, ByteCount, LogIndex, NodeId, Rejoining } from './types.ts';

/** 'lost': its disk lost what it had acked, and it does not know (R21). 'rejoining': it knows, and says so in each
 *  answer. Only a 'sound' one counts. */
export type PeerStanding = 'sound' | 'lost' | 'rejoining';
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export interface ProgressCaps {
  readonly inflightBytesMax: ByteCount;
  readonly inflightMessagesMax: number;
}

/** What a refusal was found to mean. 'lost-acks': entries the follower had acked as durable are gone (R21). */
export type Refusal = 'stale' | 'backtrack' | 'suspect' | 'lost-acks';

export class Progress {
  readonly peer: NodeId;
  readonly #caps: ProgressCaps;
  #state: ProgressState = 'probe';
  /** Highest index the follower acked as matching and durable. Invariant: match < next. */
  #match: LogIndex = 0;
  /** First index to ask for next. Moved ahead by sent() alone, back by a refusal. */
  #next: LogIndex;
  /** In state probe: previous.index of the probe, the index a refusal of it names. */
  #probePrevious: LogIndex;
  readonly #inflight = new ByteWindow();
  /** `from` of the outstanding SendRequest; 0 for an outstanding snapshot request; undefined when there is none. */
  #requestedFrom: LogIndex | undefined;
  /** The last send failed: nothing is asked for until the follower is heard again. */
  #isPaused = false;
  /** Highest index acked by a follower that stands by it; what it acks while it rejoins moves `match` alone. */
  #counted: LogIndex = 0;
  /** Its disk lost what it had acked (R21). Until it says that it rejoins, its acks count for nothing. */
  #hasLostAcks = false;
  /** It says so itself: it takes no part until it has rejoined (R19). */
  #isRejoining = false;
  /** A refusal says that acked entries may be gone; `match` does not count until that is settled (R21). */
  #isSuspect = false;
  /** The link broke since the last ack: the process at the other end may be another one, with less on its disk. */
  #isUnverified = false;
  /** Ticks since the follower was last heard in this term, as far as it was to be heard. */
  #ticksSilent = 0;
  /** Heartbeat round of the last sign of progress; an answer to a later round makes silence suspicious. */
  #quietSinceRound = 0;
  /** Newest heartbeat round of this term that it answered; 0 before the first. */
  #answeredRound = 0;
  /** In state snapshot: the state was sent, and this many ticks have passed since. */
  #snapshotTicks: number | undefined;
  /** Highest commit index this follower was told, counted as if no message were lost. */
  #commitSent: LogIndex = 0;

  constructor(peer: NodeId, next: LogIndex, caps: ProgressCaps) {
    this.peer = peer;
    this.#next = next;
    this.#probePrevious = next - 1;
    this.#caps = caps;
  }

  get state(): ProgressState {
    return this.#state;
  }
  get match(): LogIndex {
    return this.#match;
  }
  get next(): LogIndex {
    return this.#next;
  }
  get isSuspect(): boolean {
    return this.#isSuspect;
  }
  get isPaused(): boolean {
    return this.#isPaused;
  }
  get ticksSilent(): number {
    return this.#ticksSilent;
  }
  get answeredRound(): number {
    return this.#answeredRound;
  }
  get inflightBytes(): ByteCount {
    return this.#inflight.bytes;
  }
  get inflightMessages(): number {
    return this.#inflight.count;
  }

  /** What the commit rule may count for this follower. */
  get countedMatch(): LogIndex {
    return this.#isSuspect ? 0 : Math.min(this.#match, this.#counted);
  }

  /** What it is known to hold, whether that counts or not. */
  get heldMatch(): LogIndex {
    return this.#isSuspect ? 0 : this.#match;
  }

  get standing(): PeerStanding {
    if (this.#isRejoining) return 'rejoining';
    return this.#hasLostAcks ? 'lost' : 'sound';
  }

  /** Lost what it had promised, as this leader found or as it says itself; not yet back. */
  get isLost(): boolean {
    return this.standing !== 'sound';
  }

  /** @param isAwaited It is to be heard: ticks without it are silence. */
  tick(isAwaited: boolean, ticks = 1): void {
    if (isAwaited) this.#ticksSilent += ticks;
    if (this.#snapshotTicks !== undefined) this.#snapshotTicks += ticks;
  }

  /** Holds everything up to `lastIndex` durably, and nothing is on its way or in doubt. */
  isSettled(lastIndex: LogIndex): boolean {
    const isSure = !this.#isSuspect && !this.#isUnverified && !this.#isPaused && !this.isLost;
    const isQuiet = this.#requestedFrom === undefined && this.#inflight.isEmpty;
    return this.#state === 'replicate' && this.#match === lastIndex && isSure && isQuiet;
  }

  /** Not heard for at least `ticks`, as the follower's node is watched. */
  silentFor(ticks: number): void {
    this.#ticksSilent = Math.max(this.#ticksSilent, ticks);
  }

  /** Any answer of this term arrived. Taken before what it says. */
  heard(isRejoining?: Rejoining): void {
    this.#ticksSilent = 0;
    this.#isPaused = false;
    // What it acks, or acked before, counts anew from the first answer without the mark: a check asks for it.
    if ((isRejoining === true) !== this.#isRejoining) this.#isUnverified = true;
    if (isRejoining === true && !this.#isRejoining) this.#forgetAcks();
    this.#isRejoining = isRejoining === true;
    if (isRejoining === true) this.#hasLostAcks = false;
  }

  /** Where the logs agree is to be found out anew, whatever was acked before. */
  #forgetAcks(): void {
    this.#match = 0;
    this.#counted = 0;
    this.#isSuspect = false;
    if (this.#state === 'replicate') this.#becomeProbe(this.#next);
  }

  /** It answered that heartbeat round. Answers may overtake each other; the newest counts. */
  answered(round: number): void {
    this.#answeredRound = Math.max(this.#answeredRound, round);
  }

  /** May the leader ask for entries to send, given that its log ends at `lastIndex`? */
  canRequest(lastIndex: LogIndex): boolean {
    if (this.#requestedFrom !== undefined || this.#isPaused) return false;
    if (this.#state === 'snapshot') return this.#snapshotTicks === undefined;
    if (this.#next > lastIndex || this.#isSuspect) return false;
    if (this.#state === 'probe') return this.#inflight.isEmpty;
    const { inflightBytesMax, inflightMessagesMax } = this.#caps;
    return this.#inflight.count < inflightMessagesMax && this.#inflight.bytes < inflightBytesMax;
  }

  /** Room in the in-flight window; positive whenever canRequest() is true. */
  get windowBytes(): ByteCount {
    return this.#caps.inflightBytesMax - this.#inflight.bytes;
  }

  /** A SendRequest from `next` on, or in state snapshot a request for the state, was handed out. */
  requested(): void {
    this.#requestedFrom = this.#state === 'snapshot' ? 0 : this.#next;
  }

  /** Entries next .. `last` left for the follower, in an append that told it `commit`. */
  sent(last: LogIndex, bytes: ByteCount, commit: LogIndex, round: number): void {
    if (this.#state === 'snapshot') assert.fail(`entries sent to ${this.peer}, which needs a snapshot`);
    if (last < this.#next) assert.fail(`entries sent to ${this.peer} up to ${last}, before its next ${this.#next}`);
    this.#requestedFrom = undefined;
    if (this.#state === 'probe') this.#probePrevious = this.#next - 1;
    if (this.#inflight.isEmpty) this.#quietSinceRound = round;
    this.#inflight.add(last, bytes);
    this.#next = last + 1;
    this.commitTold(commit);
  }

  snapshotSent(): void {
    this.#requestedFrom = undefined;
    if (this.#state === 'snapshot') this.#snapshotTicks = 0;
  }

  /** The request could not be served. Asked again at once when it was overtaken, else when the follower is heard. */
  sendFailed(): void {
    const isOvertaken = this.#state === 'snapshot' ? this.#requestedFrom !== 0 : this.#requestedFrom !== this.#next;
    this.#isPaused = !isOvertaken;
    this.#requestedFrom = undefined;
  }

  commitTold(commit: LogIndex): void {
    this.#commitSent = Math.max(this.#commitSent, commit);
  }

  /** It was told of `commit`, as far as it holds it, in a message that was not lost as far as is known. */
  knows(commit: LogIndex): boolean {
    return this.#commitSent >= Math.min(commit, this.#match);
  }

  /** Nothing is on its way that could tell the follower of `commit`. */
  needsCommitNotice(commit: LogIndex, lastIndex: LogIndex): boolean {
    const known = Math.min(commit, this.#match);
    return this.#state === 'replicate' && known > this.#commitSent && this.#inflight.isEmpty && this.#next > lastIndex;
  }

  /** Everything up to `index` matches and is durable there. Returns whether that is news. */
  accepted(index: LogIndex, logStart: LogIndex, round: number): boolean {
    const isNews = index > this.#match || (this.#isSuspect && index >= this.#match);
    // Never more than this very ack says: an old one that comes late names what it was good for.
    if (!this.isLost) this.#counted = Math.max(this.#counted, index);
    if (index > this.#match) {
      this.#match = index;
      this.#next = Math.max(this.#next, index + 1);
    }
    if (index >= this.#match) {
      this.#isSuspect = false;
      this.#isUnverified = false;
    }
    this.#inflight.releaseTo(index);
    if (this.#isSuspect) return false;
    if (isNews) this.#quietSinceRound = round;
    // An ack below the log start does not help: what follows it is no longer stored here.
    if (this.#state === 'probe' || (this.#state === 'snapshot' && this.#match >= logStart)) {
      this.#becomeReplicate();
    }
    return isNews;
  }

  /**
   * An append was refused. `agreeAt` is the leader's answer to the follower's hint: the last index where the two logs
   * may agree, undefined when that lies below the leader's log start.
   */
  refused(reply: AppendReply, agreeAt: LogIndex | undefined): Refusal {
    if (this.#isSuspect) {
      if (reply.index !== this.#match) return 'stale';
      // The check at `match` itself was refused: a durable ack was taken back (R21). Acking those entries anew is not
      // enough, since its vote may be forgotten as well: it counts again once it has rejoined.
      this.#forgetAcks();
      this.#hasLostAcks = true;
      this.#backtrackTo(agreeAt);
      return 'lost-acks';
    }
    if (this.#state === 'snapshot' || reply.index < this.#match) return 'stale';
    if (reply.lastIndex < this.#match || (reply.index === this.#match && this.#match > 0)) {
      // Either an old answer that comes late, or a log that shrank. A check tells which; until then nothing counts.
      this.#isSuspect = true;
      this.#becomeProbe(this.#match + 1);
      return 'suspect';
    }
    const isAnswerToProbe = reply.index === this.#probePrevious || reply.index === this.#next - 1;
    if (this.#state === 'probe' && !isAnswerToProbe) return 'stale';
    this.#backtrackTo(agreeAt);
    return 'backtrack';
  }

  /** The follower answered heartbeat `answeredRound`; the leader is in `round`. Should a check be sent? */
  needsCheck(answeredRound: number, round: number): boolean {
    if (this.#state === 'snapshot' || answeredRound <= this.#quietSinceRound) return false;
    if (this.#inflight.isEmpty && !this.#isSuspect && !this.#isUnverified) return false;
    this.#quietSinceRound = round;
    return true;
  }

  /**
   * The state was sent, and `patienceTicks` passed without an answer: it is asked for again. Returns whether it is so.
   */
  snapshotOverdue(patienceTicks: number): boolean {
    if (this.#snapshotTicks === undefined || this.#snapshotTicks < patienceTicks) return false;
    this.#snapshotTicks = undefined;
    return true;
  }

  /** The state up to `index` is installed and durable there. */
  snapshotAnswered(index: LogIndex, logStart: LogIndex, round: number): void {
    if (this.#state !== 'snapshot') return;
    this.#snapshotTicks = undefined;
    this.accepted(index, logStart, round);
  }

  /** The link broke: what was in flight is taken for lost. */
  linkDown(): void {
    this.#isPaused = true;
    this.#isUnverified = true;
    if (this.#state === 'snapshot') this.#snapshotTicks = undefined;
    else if (this.#state === 'replicate') this.#becomeProbe(this.#match + 1);
    else this.#becomeProbe(this.#probePrevious + 1);
  }

  /** The entries the follower needs next are not stored here any more. */
  becomeSnapshot(): void {
    if (this.#isSuspect) this.#match = 0;
    this.#isSuspect = false;
    this.#state = 'snapshot';
    this.#next = this.#match + 1;
    this.#inflight.clear();
    this.#snapshotTicks = undefined;
  }

  #backtrackTo(agreeAt: LogIndex | undefined): void {
    if (agreeAt === undefined) this.becomeSnapshot();
    else this.#becomeProbe(agreeAt + 1);
  }

  #becomeProbe(next: LogIndex): void {
    this.#state = 'probe';
    this.#next = Math.max(next, this.#match + 1);
    this.#probePrevious = this.#next - 1;
    this.#inflight.clear();
  }

  #becomeReplicate(): void {
    this.#state = 'replicate';
    this.#snapshotTicks = undefined;
    this.#next = Math.max(this.#next, this.#match + 1);
  }
}
