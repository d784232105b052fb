/**
 * Everything one Raft core knows: the fields the rules in election, replication, follower and transfer work on.
 * Only those rules change it, and only class Raft holds it. No rule is here.
 *
 * Cursors, lowest first (docs/raft.md draws them):
 *   log.base <= commit <= log.lastIndex,   flushed <= handed <= log.lastIndex
 * commit may pass the local flushed: a majority of others can hold an entry before this disk does.
 */
import { strict as assert } from 'node:assert';
import type { ByteWindow } from './byte-window.ts';
import { MembershipLog } from './membership-log.ts';
import { type RaftOptions, type RaftStart, validateOptions } from './options.ts';
import type { Progress } from './progress.ts';
import { TermIndex } from './term-index.ts';
import type {
  HardState,
  InstallSnapshot,
  LogIndex,
  LostAcks,
  Membership,
  Message,
  NodeId,
  OwnEntry,
  RaftStatus,
  Rejoining,
  Role,
  Term,
} from './types.ts';

/** While pre-candidate or candidate. */
export interface Campaign {
  /** Own vote included once it counts; one answer a node. */
  readonly votes: Map<NodeId, boolean>;
  /** Asked for by the leader itself (thesis 3.10): voters do not stick to it. */
  readonly isTransfer: boolean;
  /** Election timeouts that the answers have been waited for. */
  timeouts: number;
}

export interface Transfer {
  readonly to: NodeId;
  /** Ticks since it began; given up at electionTicksMax. */
  ticks: number;
}

/** A round of heartbeats that offered rest, until anything happens. */
export interface RestOffer {
  readonly round: number;
  readonly accepted: Set<NodeId>;
}

/** While leader. */
export interface Leading {
  /** Everybody else in the membership in force. */
  readonly progress: Map<NodeId, Progress>;
  /** Index of this term's no-op. */
  readonly firstIndex: LogIndex;
  /** Proposed in this term and not committed. */
  readonly uncommitted: ByteWindow;
  heartbeatElapsed: number;
  /** Number of the last heartbeat round begun, from 1. */
  round: number;
  transfer: Transfer | undefined;
  /** Ticks since anything happened but heartbeats. */
  idleTicks: number;
  /** The commit index at the last two marks, of which one is made every half of an election timeout; undefined before
   *  there are two. So a follower's lag can be told in time, and not only in entries. */
  readonly commitMarks: { older: LogIndex | undefined; newer: LogIndex | undefined; ticks: number };
  /** Somebody may not know that this node leads, or may not be there: the next round is not left out (rest.ts). */
  isInDoubt: boolean;
  /** Rounds left out since the last one, while there was something to ask; and after how many one leaves. */
  roundsLeftOut: number;
  roundsPatience: number;
  restOffer: RestOffer | undefined;
}

/** What was said by follower rules about the log of the current leader; empty again in every new term. */
export interface Following {
  /** Highest index known to match the leader of this term: previous + entries of the accepted messages (R6). */
  matched: LogIndex;
  /** Highest index acked to it. */
  acked: LogIndex;
  /** An accepted message waits for the disk before it is answered. */
  owesAck: boolean;
}

/** What the next Ready takes along. */
export interface Outbox {
  messages: Message[];
  messagesAfterHardState: Message[];
  lostAcks: LostAcks[];
  /** Entries made by this leader itself and not handed over yet. */
  own: OwnEntry[];
  truncateFrom: LogIndex | undefined;
  install: InstallSnapshot | undefined;
  /** Last index given out in Ready.append; entries past it are given out next. */
  handed: LogIndex;
  /** As last given out. */
  hardState: HardState;
  commit: LogIndex;
  membership: Membership;
  status: RaftStatus;
}

export interface RaftState {
  readonly options: RaftOptions;
  readonly log: TermIndex;
  readonly outbox: Outbox;
  readonly memberships: MembershipLog;
  /** The one in force. */
  readonly membership: Membership;

  /** Invariant: never falls. */
  term: Term;
  /** Invariant: within a term, set once and never cleared (R1). */
  votedFor: NodeId | undefined;
  /** The newest hard state known durable. Messages that rest on a newer one wait for it. */
  durable: HardState;

  role: Role;
  leader: NodeId | undefined;
  /** Invariant: never falls; at most log.lastIndex. */
  commit: LogIndex;
  /** Highest index that is durable here and still part of the log. Falls with a truncation only. */
  flushed: LogIndex;

  /** Ticks since the leader was heard, a vote was granted, or a campaign began. */
  electionElapsed: number;
  /** Drawn anew for every wait. */
  electionTimeout: number;
  /** The link to the leader broke: stickiness towards it has ended. */
  isLeaderGone: boolean;

  /** No time passes for this replica: see rest.ts. */
  isResting: boolean;
  /**
   * Ticks for which this node still helps nobody to lead, itself included, as it promised to a leader (R8). A change of
   * term does not end it: the leader it was given to may not have heard of that term.
   */
  promisedTicks: number;

  mayVote: boolean;
  mayCampaign: boolean;
  /** False while the log takes no entries: nobody leads anew, and a leader begins and continues no change. */
  mayAppend: boolean;
  /** No vote and no campaign; acks are marked, so that no leader counts them (R19, W26). */
  isRejoining: boolean;
  campaign: Campaign | undefined;
  leading: Leading | undefined;
  following: Following;
  /** A snapshot being written to disk; appends are not heard meanwhile. */
  installing: InstallSnapshot | undefined;
}

/** A Raft core seen from describe.ts and invariants.ts. */
export interface Inspectable {
  inspect(): Readonly<RaftState>;
}

export function createState(options: RaftOptions, start: RaftStart): RaftState {
  validateOptions(options);
  const log = new TermIndex(start.base, start.termRuns);
  const commit = Math.max(start.commit, log.base.index);
  const { term } = start.hardState;
  const memberships = new MembershipLog(options.membership, start.memberships);
  if (commit > log.lastIndex) assert.fail(`start: commit ${commit} is past the last index ${log.lastIndex}`);
  if (log.lastTerm > term) assert.fail(`start: the log ends in term ${log.lastTerm}, above the hard state's ${term}`);
  return {
    options,
    log,
    outbox: {
      messages: [],
      messagesAfterHardState: [],
      lostAcks: [],
      own: [],
      truncateFrom: undefined,
      install: undefined,
      handed: log.lastIndex,
      hardState: start.hardState,
      commit,
      membership: memberships.effective,
      status: { role: 'follower', term, leader: undefined },
    },
    memberships,
    get membership() {
      return memberships.effective;
    },
    term,
    votedFor: start.hardState.votedFor,
    durable: start.hardState,
    role: 'follower',
    leader: undefined,
    commit,
    flushed: log.lastIndex,
    electionElapsed: 0,
    electionTimeout: options.electionTicksMax,
    isLeaderGone: false,
    isResting: false,
    // What the process before this one may have promised is not on disk, so it is kept from the start anew.
    promisedTicks: options.promiseMs > 0 && term > 0 ? options.electionTicksMin : 0,
    mayVote: true,
    mayCampaign: true,
    mayAppend: true,
    isRejoining: start.isRejoining ?? false,
    campaign: undefined,
    leading: undefined,
    following: { matched: 0, acked: 0, owesAck: false },
    installing: undefined,
  };
}

export function isHardStateDurable(state: RaftState): boolean {
  return state.durable.term === state.term && state.durable.votedFor === state.votedFor;
}

/** What an answer of this node carries beside its content. */
export function answerMark(state: RaftState): { readonly isRejoining?: Rejoining } {
  return state.isRejoining ? { isRejoining: true } : {};
}

/** Leaves as soon as the partition gets to it. For messages that promise nothing about this node's disk. */
export function send(state: RaftState, message: Message): void {
  state.outbox.messages.push(message);
}

/** Leaves once this node's term and vote are durable (R1): a vote, or an answer in a term, must survive a crash. */
export function sendDurably(state: RaftState, message: Message): void {
  if (isHardStateDurable(state)) state.outbox.messages.push(message);
  else state.outbox.messagesAfterHardState.push(message);
}

/** Moves the commit index forward; a lower one is old news. */
export function commitTo(state: RaftState, index: LogIndex): void {
  if (index <= state.commit) return;
  const { lastIndex } = state.log;
  if (index > lastIndex) assert.fail(`commit ${index} is past the last index ${lastIndex}`);
  state.commit = index;
  state.memberships.committedTo(index);
}
