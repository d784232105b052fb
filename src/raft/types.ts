/**
 * Words of the Raft core: what it is told (Message, and the calls of class Raft) and what it answers (Ready).
 *
 * The core is a pure function of events. It knows entries by (term, index, bytes) and never sees a payload, a clock,
 * a disk or a socket. Paper: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended);
 * thesis: Ongaro 2014. Rules R1-R28: docs/raft.md.
 */

/** Raft's logical time; at most one leader each. 0 before the first election. */
export type Term = number & { readonly unit?: 'Term' };
/** Position of an entry in the log, from 1, contiguous. 0 means "before the first entry". */
export type LogIndex = number & { readonly unit?: 'LogIndex' };
export type ByteCount = number & { readonly unit?: 'ByteCount' };
export type NodeId = string;

/** Names one entry: by log matching, two logs that hold the same EntryId agree up to it (paper 5.3). */
export interface EntryId {
  readonly term: Term;
  readonly index: LogIndex;
}

/** An entry as the core knows it. */
export interface EntryMeta extends EntryId {
  /** Encoded size, header and payload. */
  readonly bytes: ByteCount;
  /** Of an entry that changes the membership; undefined for all others. In an append built by appendFor() it is left
   *  out, like the sizes: the receiver takes both from the entries that travel beside the message. */
  readonly membership?: Membership | undefined;
}

export interface TermRun {
  readonly term: Term;
  /** Inclusive. */
  readonly lastIndex: LogIndex;
}

/** Must be durable before any message that depends on it leaves (R1). */
export interface HardState {
  readonly term: Term;
  readonly votedFor: NodeId | undefined;
}

/** Who counts. Joint when `votersOutgoing` is not empty: both majorities are needed (thesis 4.3). */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

/** A membership, and the entry that put it in force. */
export interface MembershipEntry {
  readonly index: LogIndex;
  readonly membership: Membership;
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/** How often a core is told that time passes: not at all while it rests, with the ticks of a whole heartbeat at each of
 *  the node's common heartbeats, or with each tick. */
export type Pace = 'none' | 'heartbeats' | 'ticks';

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; in a pre-vote and its grant, the term the candidate would campaign in. */
  readonly term: Term;
}

export interface PreVoteRequest extends Envelope {
  readonly kind: 'pre-vote';
  readonly last: EntryId;
}
export interface PreVoteReply extends Envelope {
  readonly kind: 'pre-vote-reply';
  readonly granted: boolean;
}
export interface VoteRequest extends Envelope {
  readonly kind: 'vote';
  readonly last: EntryId;
  /** True in a leadership transfer: stickiness does not apply (thesis 4.2.3). */
  readonly isTransfer: boolean;
}
export interface VoteReply extends Envelope {
  readonly kind: 'vote-reply';
  readonly granted: boolean;
}
/** The sender lost what it may have promised and has not rejoined yet (R19): the answer moves its progress, and counts
 *  for nothing: not for a commit, a quorum check or a read. Absent from everybody else's. */
export type Rejoining = true;

/** Never waits for a disk. Carries no entries; `commit` is capped by what the follower is known to hold. */
export interface Heartbeat extends Envelope {
  readonly kind: 'heartbeat';
  readonly commit: LogIndex;
  /** Counts the leader's heartbeat rounds, so that a reply confirms a round begun after some moment (R7). */
  readonly round: number;
  /** The leader has nothing to do in this group: whoever holds all of it may stop its election timer (rest.ts). */
  readonly mayRest?: boolean;
  /** It only tells of a commit, between two rounds: nobody answers, and so nothing can be counted on it. */
  readonly isNotice?: boolean;
}
export interface HeartbeatReply extends Envelope {
  readonly kind: 'heartbeat-reply';
  readonly round: number;
  /** The sender rests, as that heartbeat offered. */
  readonly isResting?: boolean;
  /** From the moment of this answer on, the sender helps no other node to lead for at least so long by its own clock,
   *  except in a leadership transfer. Absent: it promises nothing (R8). */
  readonly promiseMs?: number;
  readonly isRejoining?: Rejoining;
}
export interface Append extends Envelope {
  readonly kind: 'append';
  readonly previous: EntryId;
  readonly commit: LogIndex;
  /** Contiguous from previous.index + 1; empty in a probe. */
  readonly entries: readonly EntryMeta[];
}
export interface AppendReply extends Envelope {
  readonly kind: 'append-reply';
  /** Accepted: everything up to `index` matches the leader and is flushed here. Rejected: previous did not match. */
  readonly accepted: boolean;
  /** Accepted: last flushed matching index (R6). Rejected: the `previous.index` that was refused. */
  readonly index: LogIndex;
  /** Rejected: the follower's best guess where the logs may agree: the last entry at or before `index` whose term is
   *  not above previous.term (fast backtracking, paper 5.3 end). Accepted: its last entry; not used. */
  readonly hint: EntryId;
  /**
   * The follower's last index, so that a leader can tell a short log from a conflicting one, and see it shrink (R21).
   */
  readonly lastIndex: LogIndex;
  readonly isRejoining?: Rejoining;
}
/** The follower is behind the leader's first stored entry. The state travels beside this message, not in it. */
export interface InstallSnapshot extends Envelope {
  readonly kind: 'snapshot';
  readonly snapshot: EntryId;
  readonly membership: Membership;
  readonly commit: LogIndex;
}
export interface SnapshotReply extends Envelope {
  readonly kind: 'snapshot-reply';
  /** Last flushed index after the install (or the follower's commit when it did not need it). */
  readonly index: LogIndex;
  readonly isRejoining?: Rejoining;
}
/** The leader asks `to` to campaign at once (thesis 3.10). */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeout-now';
}

export type Message =
  | PreVoteRequest
  | PreVoteReply
  | VoteRequest
  | VoteReply
  | Heartbeat
  | HeartbeatReply
  | Append
  | AppendReply
  | InstallSnapshot
  | SnapshotReply
  | TimeoutNow;

/** The leader wants entries from `from` on sent to `peer`; the partition reads the bytes, asks the core for the
 *  message with appendFor(), sends, and says sent(). One outstanding request a peer. */
export interface SendRequest {
  readonly peer: NodeId;
  readonly from: LogIndex;
  readonly bytesMax: ByteCount;
}

/** A follower no longer holds entries it had acked as durable: its disk lost them (R21). The leader stops counting it
 *  until it has rejoined. To be reported, and told to the follower; replication goes on. */
export interface LostAcks {
  readonly peer: NodeId;
  /** Last index it had acked. */
  readonly acked: LogIndex;
  /** Its last index now. */
  readonly lastIndex: LogIndex;
}

/** What the core wants done after a turn, in the order the fields stand here (house B4). */
export interface Ready {
  /** Changed term or vote. To be made durable before the entries below and before `messagesAfterHardState`. */
  readonly hardState: HardState | undefined;
  /** The log is to be cut: entries from this index on go away before `append` is accepted (R5, W17). */
  readonly truncateFrom: LogIndex | undefined;
  /** Entries to accept, inclusive on both ends. Their bytes came with propose() or with the append message, but for
   *  those in `own`. */
  readonly append: { readonly first: EntryId; readonly last: EntryId } | undefined;
  /** Those of the entries to accept that this leader made by itself, in index order: whoever drives it encodes them. */
  readonly own: readonly OwnEntry[];
  /** The log is to be replaced by the state just before `index + 1`; its bytes came beside the snapshot message. */
  readonly install: InstallSnapshot | undefined;
  /** These need no disk. */
  readonly messages: readonly Message[];
  /** These leave once `hardState` (of this Ready or, when absent, the one before) is durable. */
  readonly messagesAfterHardState: readonly Message[];
  readonly sends: readonly SendRequest[];
  /** Peers that need the state below this node's first stored entry. One outstanding request a peer. */
  readonly snapshotsTo: readonly NodeId[];
  /** Present when the commit index moved in this turn. */
  readonly commit: LogIndex | undefined;
  /** Present when another membership is in force than before. */
  readonly membership: Membership | undefined;
  /** Present when role, term or known leader changed in this turn. */
  readonly status: RaftStatus | undefined;
  /** Leader: followers found to have lost acked entries. Almost always empty. */
  readonly lostAcks: readonly LostAcks[];
}

/** The no-op a term begins with, or the second entry of a membership change. */
export interface OwnEntry {
  readonly index: LogIndex;
  /** undefined: a no-op. */
  readonly membership: Membership | undefined;
}

export interface RaftStatus {
  readonly role: Role;
  readonly term: Term;
  readonly leader: NodeId | undefined;
}

export type ProposeResult =
  | { readonly kind: 'accepted'; readonly term: Term; readonly first: LogIndex; readonly last: LogIndex }
  | { readonly kind: 'refused'; readonly reason: 'not-leader' | 'transferring' | 'uncommitted-full' };

export type ProposeMembershipResult =
  | { readonly kind: 'accepted'; readonly term: Term; readonly index: LogIndex; readonly membership: Membership }
  | {
      readonly kind: 'refused';
      /** 'not-ready': this leader has committed nothing of its term yet. 'change-in-flight': another change is not
       *  finished. 'invalid': no voter, or a node twice. 'unchanged': there is nothing to do. 'full': the leader's log
       *  takes no entries for now. */
      readonly reason:
        | 'not-leader'
        | 'transferring'
        | 'not-ready'
        | 'change-in-flight'
        | 'invalid'
        | 'unchanged'
        | 'full';
    }
  | {
      readonly kind: 'refused';
      /** `node` would be a voter and is not in step: it is to be a learner until it is. */
      readonly reason: 'learner-behind';
      readonly node: NodeId;
    };
