/**
 * The Raft core's only door. Everything behind it is synchronous and pure: no clock, no chance but the one given, no
 * disk, no socket, no payload bytes.
 */
export { describeMembership, describeMessage, describeRaft, describeReady } from './describe.ts';
export { checkInvariants } from './invariants.ts';
export { isJoint, isMember, isVoter, type MembershipTarget, peersOf, votersOnly } from './membership.ts';
export type { RaftOptions, RaftStart } from './options.ts';
export type { ProgressState } from './progress.ts';
export { canDoWithout, quorumIndex } from './quorum.ts';
export { type PeerProgress, Raft } from './raft.ts';
export type {
  Append,
  AppendReply,
  ByteCount,
  EntryId,
  EntryMeta,
  HardState,
  Heartbeat,
  HeartbeatReply,
  InstallSnapshot,
  LogIndex,
  LostAcks,
  Membership,
  MembershipEntry,
  Message,
  NodeId,
  OwnEntry,
  Pace,
  PreVoteReply,
  PreVoteRequest,
  ProposeMembershipResult,
  ProposeResult,
  RaftStatus,
  Ready,
  Role,
  SendRequest,
  SnapshotReply,
  Term,
  TermRun,
  TimeoutNow,
  VoteReply,
  VoteRequest,
} from './types.ts';
