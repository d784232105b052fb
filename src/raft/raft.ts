/**
 * One node of one Raft group: takes events, changes its state, and says in a Ready what is to be done. Synchronous and
 * deterministic; it knows no clock, disk, socket or payload. Dispatch only: the rules are in election.ts (who leads),
 * replication.ts and transfer.ts (the leader's side), follower.ts (the other side) and progress.ts (one follower).
 *
 * Used by src/partition alone, as: event -> ready() -> do what it says, in its order -> events.
 */
import { strict as assert } from 'node:assert';
import * as election from './election.ts';
import * as follower from './follower.ts';
import { assertCheapInvariants } from './invariants.ts';
import { isMember, isVoter, type MembershipTarget } from './membership.ts';
import type { RaftOptions, RaftStart } from './options.ts';
import type { PeerStanding, ProgressState } from './progress.ts';
import * as readIndex from './read-index.ts';
import { takeReady } from './ready.ts';
import * as reconfiguration from './reconfiguration.ts';
import * as replication from './replication.ts';
import * as rest from './rest.ts';
import { answerMark, createState, type RaftState, sendDurably } from './state.ts';
import * as transfer from './transfer.ts';
import type {
  Append,
  ByteCount,
  EntryId,
  HardState,
  InstallSnapshot,
  LogIndex,
  Membership,
  Message,
  NodeId,
  Pace,
  ProposeMembershipResult,
  ProposeResult,
  Ready,
  Role,
  Term,
} from './types.ts';

/** A leader's view of one follower, for status pages and tests. */
export interface PeerProgress {
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: ProgressState;
  /** Heard within an election timeout, and not lost. */
  readonly isActive: boolean;
  readonly standing: PeerStanding;
}

export class Raft {
  readonly #state: RaftState;

  constructor(options: RaftOptions, start: RaftStart) {
    this.#state = createState(options, start);
    election.startElectionTimer(this.#state);
  }

  get id(): NodeId {
    return this.#state.options.id;
  }
  get role(): Role {
    return this.#state.role;
  }
  get term(): Term {
    return this.#state.term;
  }
  get leader(): NodeId | undefined {
    return this.#state.leader;
  }
  /** The link to the leader broke, and it was not heard since: what it said before is no sign of life. */
  get isLeaderGone(): boolean {
    return this.#state.isLeaderGone;
  }
  /** Last committed index, inclusive. */
  get commit(): LogIndex {
    return this.#state.commit;
  }
  /** Last index of the log, durable or not. */
  get lastIndex(): LogIndex {
    return this.#state.log.lastIndex;
  }
  /** Last durable entry. */
  get flushed(): EntryId {
    return this.#state.log.entryAt(this.#state.flushed);
  }
  /** In force here, committed or not. */
  get membership(): Membership {
    return this.#state.membership;
  }
  /** Index of this leader's no-op, while leader (R4). */
  get firstIndexOfTerm(): LogIndex | undefined {
    return this.#state.leading?.firstIndex;
  }

  /** For describe.ts, invariants.ts and tests: read, never written. */
  inspect(): Readonly<RaftState> {
    return this.#state;
  }

  /** As set by setMayVote(). */
  get mayVote(): boolean {
    return this.#state.mayVote;
  }

  /** No time passes for this group until something happens: it need not be ticked (rest.ts). */
  get isResting(): boolean {
    return this.#state.isResting;
  }

  /** How often time is to be told to pass. */
  get pace(): Pace {
    return rest.paceOf(this.#state);
  }

  /** So many units of Raft time pass; `pace` says how many at most. False: nothing came of it, and ready() need not be
   *  asked; most ticks are so. */
  tick(ticks = 1): boolean {
    const state = this.#state;
    if (state.isResting) return false;
    if (state.promisedTicks > 0) state.promisedTicks = Math.max(0, state.promisedTicks - ticks);
    if (state.role !== 'leader') return election.tickElection(state, ticks);
    transfer.tickTransfer(state, ticks);
    const outcome = replication.tickLeader(state, ticks);
    if (outcome === 'unheard') election.becomeFollower(state, state.term, undefined);
    return outcome !== 'nothing';
  }

  /** A message arrived. After an 'append' or a 'snapshot' take ready() before stepping another one, so that the bytes
   *  that came with it can be told apart. Messages for others are dropped (R22), and those of strangers (R17). */
  step(message: Message): void {
    const state = this.#state;
    if (message.to !== state.options.id || message.from === state.options.id) return;
    if (!this.#mayBeHeard(message)) return;
    rest.onMessageRest(state, message);
    if (!this.#settleTerm(message)) return;
    this.#dispatch(message);
    this.#stepDownIfDismissed();
  }

  /**
   * Whose messages count. This node's membership may be older than the sender's, so it is no measure for those that a
   * newer membership would be learned from: a leader was elected by somebody's majority, and a candidate whose log goes
   * past this one may be a voter of a membership this log does not hold yet (paper section 6). Others must be members:
   * one that was removed has a shorter log than those who removed it, and so raises nobody's term (R17).
   */
  #mayBeHeard(message: Message): boolean {
    const { membership } = this.#state;
    switch (message.kind) {
      case 'heartbeat':
      case 'append':
      case 'snapshot':
      case 'timeout-now':
        return true;
      case 'pre-vote':
      case 'vote':
        return isVoter(membership, message.from) || election.isAhead(this.#state, message.last);
      default:
        return isMember(membership, message.from);
    }
  }

  /** A leader that is no voter any more goes when that is committed. */
  #stepDownIfDismissed(): void {
    const state = this.#state;
    if (state.role !== 'leader' || !reconfiguration.isDismissed(state)) return;
    reconfiguration.nameSuccessor(state);
    election.becomeFollower(state, state.term, undefined);
  }

  /** Brings the node to the message's term, if that is higher. False when the message must not be acted on. */
  #settleTerm(message: Message): boolean {
    const state = this.#state;
    if (message.kind === 'pre-vote') return true;
    // A grant names the term the candidate would campaign in: nobody is there yet.
    if (message.kind === 'pre-vote-reply' && message.granted) return true;
    if (message.kind === 'vote') {
      if (message.term > state.term && !message.isTransfer && election.isHeld(state)) return false;
    }
    if (message.term > state.term) election.becomeFollower(state, message.term, undefined);
    if (message.term < state.term) return this.#onOldTerm(message);
    return true;
  }

  /**
   * A leader of an old term must learn of the new one from whoever hears it: a node that moved on (say, a candidate
   * that was cut off) would otherwise refuse it for ever, and stickiness would keep that node from being elected.
   */
  #onOldTerm(message: Message): boolean {
    const { options, term, log } = this.#state;
    const envelope = { from: options.id, to: message.from, term };
    switch (message.kind) {
      case 'vote':
        return true;
      case 'heartbeat':
      case 'snapshot':
        sendDurably(this.#state, { ...envelope, kind: 'heartbeat-reply', round: 0, ...answerMark(this.#state) });
        return false;
      case 'append': {
        const { index } = message.previous;
        const { last, lastIndex } = log;
        const refusal = { ...envelope, kind: 'append-reply', accepted: false, index, hint: last, lastIndex } as const;
        sendDurably(this.#state, { ...refusal, ...answerMark(this.#state) });
        return false;
      }
      default:
        return false;
    }
  }

  #dispatch(message: Message): void {
    const state = this.#state;
    switch (message.kind) {
      case 'pre-vote':
        election.onPreVote(state, message);
        break;
      case 'pre-vote-reply':
        election.onPreVoteReply(state, message);
        break;
      case 'vote':
        election.onVote(state, message);
        break;
      case 'vote-reply':
        election.onVoteReply(state, message);
        break;
      case 'heartbeat':
        election.heardLeader(state, message.from);
        follower.onHeartbeat(state, message);
        break;
      case 'append':
        election.heardLeader(state, message.from);
        follower.onAppend(state, message);
        break;
      case 'snapshot':
        election.heardLeader(state, message.from);
        follower.onSnapshot(state, message);
        break;
      case 'timeout-now':
        election.heardLeader(state, message.from);
        election.onTimeoutNow(state);
        break;
      case 'heartbeat-reply':
        replication.onHeartbeatReply(state, message);
        break;
      case 'append-reply':
        replication.onAppendReply(state, message);
        break;
      case 'snapshot-reply':
        replication.onSnapshotReply(state, message);
        break;
      default: {
        const unknown: never = message;
        throw new assert.AssertionError({ message: `unknown message ${JSON.stringify(unknown)}` });
      }
    }
  }

  /** Leader: appends entries of these sizes at lastIndex + 1 and on, in the current term. */
  propose(sizes: readonly ByteCount[]): ProposeResult {
    return replication.propose(this.#state, sizes);
  }

  /**
   * Leader: appends the first entry of a change of the membership, of so many bytes; when the set of voters changes
   * the second one follows by itself, once the first is committed. In force at once.
   */
  proposeMembership(target: MembershipTarget, bytes: ByteCount): ProposeMembershipResult {
    return reconfiguration.proposeMembership(this.#state, target, bytes);
  }

  /**
   * Everything up to `at` is on this node's disk; ignored when the log no longer holds that entry. An entry that was
   * cut and came back with the same term counts only once its second write is durable: whoever reports flushes must
   * have dropped the first one's report at the cut.
   */
  persisted(at: EntryId): void {
    const state = this.#state;
    if (at.index <= state.flushed || !state.log.has(at)) return;
    if (at.index > state.outbox.handed) assert.fail(`entry ${at.index} is durable before it was handed over`);
    state.flushed = at.index;
    if (state.role === 'leader') replication.maybeCommit(state);
    else follower.maybeAck(state);
    this.#stepDownIfDismissed();
  }

  /** This hard state, or a newer one, is on this node's disk. */
  hardStatePersisted(hardState: HardState): void {
    election.hardStatePersisted(this.#state, hardState);
  }

  /** The answer to a SendRequest, at the moment of sending: the header of an append of entries [from, last]. Undefined
   *  when the request was overtaken (call sendFailed). Entry sizes in it are 0: the core keeps none. */
  appendFor(peer: NodeId, from: LogIndex, last: LogIndex): Append | undefined {
    return replication.appendFor(this.#state, peer, from, last);
  }

  /** What appendFor() gave was taken by the transport. This alone moves the peer's next index. */
  sent(peer: NodeId, last: LogIndex, bytes: ByteCount): void {
    const { leading, commit } = this.#state;
    leading?.progress.get(peer)?.sent(last, bytes, commit, leading.round);
  }

  /** The transport refused, the read failed, or appendFor / snapshotFor gave nothing: asked for again later. */
  sendFailed(peer: NodeId): void {
    this.#state.leading?.progress.get(peer)?.sendFailed();
  }

  /**
   * The message that goes with the state as of `snapshot`, for a peer named in Ready.snapshotsTo.
   * @param membership The last one committed at that index, and none later (R14): as the state itself has it.
   */
  snapshotFor(peer: NodeId, snapshot: EntryId, membership: Membership): InstallSnapshot | undefined {
    return replication.snapshotFor(this.#state, peer, snapshot, membership);
  }

  /**
   * Follower: whether a state as of `snapshot` would replace this log: it is ahead of what is committed, and not in it.
   */
  needsSnapshot(snapshot: EntryId): boolean {
    return follower.needsSnapshot(this.#state, snapshot);
  }

  snapshotSent(peer: NodeId): void {
    this.#state.leading?.progress.get(peer)?.snapshotSent();
  }

  /** The state of Ready.install is installed and durable; the log is empty above it. */
  installed(snapshot: EntryId): void {
    follower.onInstalled(this.#state, snapshot);
  }

  /** While false (say, the log was found damaged) the node grants no vote, does not campaign and does not ack (R19). */
  setMayVote(mayVote: boolean): void {
    // Said at every look at a disk: that ends no rest, in which nobody would speak to a follower.
    if (mayVote === this.#state.mayVote) return;
    this.#state.mayVote = mayVote;
    rest.wake(this.#state);
    election.rightsChanged(this.#state);
    follower.maybeAck(this.#state);
  }

  setMayCampaign(mayCampaign: boolean): void {
    this.#state.mayCampaign = mayCampaign;
    election.rightsChanged(this.#state);
  }

  /** While false the log takes no entries, which it may for hours (a full disk). The node seeks no leadership, and as a
   *  leader refuses changes of the membership; the second entry of one that has begun is appended when this is true
   *  again. Whoever drives the core proposes nothing and steps no entries meanwhile. */
  setMayAppend(mayAppend: boolean): void {
    this.#state.mayAppend = mayAppend;
    election.rightsChanged(this.#state);
    reconfiguration.continueChange(this.#state);
  }

  get isRejoining(): boolean {
    return this.#state.isRejoining;
  }

  /** This node is known to have lost what it acked (R21): from here on it takes no part until endRejoining(). */
  beginRejoining(): void {
    this.#state.isRejoining = true;
    rest.wake(this.#state);
    election.rightsChanged(this.#state);
  }

  /** Votes for the leader of this term, which is elected already, unless it voted: what this node may have promised in
   *  this term and lost cannot have made another one its leader, and must not now. Durable with the next hard state. */
  pledgeToLeader(): void {
    const state = this.#state;
    assert.ok(state.isRejoining && state.leader !== undefined, 'a pledge is given while rejoining, to a known leader');
    state.votedFor ??= state.leader;
  }

  /** The partition has made sure that this node holds everything it may ever have acked (docs/raft.md, "Rejoining").
   *  What it acked so far counts for nothing: the leader hears from it that this is over, and checks. */
  endRejoining(): void {
    this.#state.isRejoining = false;
    rest.wake(this.#state);
  }

  /** Campaigns at once, with pre-vote: the preferred leader of a new partition. */
  campaign(): void {
    election.campaignNow(this.#state);
  }

  /** The socket to `peer` closed. */
  peerDown(peer: NodeId): void {
    const state = this.#state;
    if (peer === state.leader) election.leaderLinkDown(state);
    const progress = state.leading?.progress.get(peer);
    if (progress === undefined) return;
    rest.stir(state);
    progress.linkDown();
  }

  /** The node of the leader has said that it leads this group in this term. */
  vouchedFor(): void {
    election.vouchedFor(this.#state);
  }

  /** The node of `peer` was not heard for `ticks`. Matters to who relies on being told so (rest.ts). */
  peerSilent(peer: NodeId, ticks: number): void {
    rest.onPeerSilent(this.#state, peer, ticks);
  }

  /** Ends the rest, if the group rests: it is not certain any more that its leader leads. */
  wake(): void {
    rest.wake(this.#state);
  }

  /** Leader: begins a round of heartbeats now and returns its number, for whoever needs to be sure of a majority (R7).
   *  Ends the rest. Undefined: this node does not lead. */
  startRound(): number | undefined {
    return replication.startRound(this.#state);
  }

  /** Time passed while this node could do nothing: what was not heard meanwhile was not heard for so much longer. A
   *  leader that was away for an election timeout may have been succeeded: it steps down (R24). */
  stalled(ticks: number): void {
    election.stalled(this.#state, ticks);
  }

  /** Hands leadership to `peer`; proposals are refused until it is done or given up. */
  transferTo(peer: NodeId): boolean {
    rest.stir(this.#state);
    return transfer.transferTo(this.#state, peer);
  }

  /** A leader that should not lead on, and has nobody to hand over to in order, stops. */
  stepDown(): void {
    const state = this.#state;
    if (state.role === 'leader') election.becomeFollower(state, state.term, undefined);
  }

  /** Leader: the newest round of this term that a quorum answered. */
  get confirmedRound(): number {
    return readIndex.confirmedRound(this.#state);
  }

  /** The entries up to `base` are no longer stored. */
  logStartMoved(base: EntryId): void {
    const { log, commit } = this.#state;
    if (base.index > commit) assert.fail(`log start ${base.index} is past the commit ${commit}`);
    log.trimTo(base);
  }

  /** What is to be done now; undefined when nothing is. Takes it: a second call gives only what is new. */
  ready(): Ready | undefined {
    assertCheapInvariants(this.#state);
    return takeReady(this.#state);
  }

  /** Undefined unless this node leads and `peer` is another member. */
  progressOf(peer: NodeId): PeerProgress | undefined {
    const progress = this.#state.leading?.progress.get(peer);
    if (progress === undefined) return undefined;
    const { match, next, state, standing } = progress;
    return { match, next, state, standing, isActive: replication.isActive(this.#state, peer) };
  }
}
