/**
 * Who leads: pre-vote, vote, stepping down, and the target's side of a leadership transfer.
 *
 * Pre-vote, quorum check and stickiness stand together (R9): a pre-vote asks "would you vote for me?" and changes
 * nothing, so a node that was cut off does not raise terms; the quorum check makes a leader nobody follows give up;
 * stickiness lets no election disturb a leader that is being heard.
 */
import { strict as assert } from 'node:assert';
import { isVoter, peersOf } from './membership.ts';
import { tallyVotes } from './quorum.ts';
import { startLeading } from './replication.ts';
import { isWatched, wake } from './rest.ts';
import { type Campaign, isHardStateDurable, type RaftState, send, sendDurably } from './state.ts';
import type {
  EntryId,
  HardState,
  NodeId,
  PreVoteReply,
  PreVoteRequest,
  Term,
  VoteReply,
  VoteRequest,
} from './types.ts';

/** A broken link to the leader makes a follower campaign within this many heartbeats: at random, so that the
 *  survivors do not all campaign at once. */
const HASTE_HEARTBEATS = 2;
/** A vote is durable before it is given, so on a slow disk it takes longer than an election timeout: it is waited for
 *  that many of them. */
const VOTE_TIMEOUTS = 16;

/** Time passes for anybody but a leader. True: the wait is over. */
export function tickElection(state: RaftState, ticks: number): boolean {
  // A vote on its way to the disk is waited for: on a disk slower than an election timeout (one that a new topic's
  // hundreds of groups write to at once) each campaign would be given up for the next one, for ever.
  if (isVoteInFlight(state)) return false;
  state.electionElapsed += ticks;
  // A promise outlasts even a link that broke: the leader may live on, and hold a lease that rests on it (R8).
  if (state.electionElapsed < state.electionTimeout || isBound(state)) return false;
  // An election costs as much as many appends: hundreds at once would make each other time out, and those who hear of
  // their leader meanwhile need none.
  if (mayLead(state) && state.options.mayCampaignNow?.() === false) return false;
  if (mayLead(state)) {
    const { campaign } = state;
    if (state.role === 'candidate' && campaign !== undefined && isAwaited(campaign)) askForVotes(state, campaign);
    else becomePreCandidate(state);
    return true;
  }
  drawElectionTimeout(state);
  state.leader = undefined;
  return true;
}

function isVoteInFlight(state: RaftState): boolean {
  return state.votedFor !== undefined && !isHardStateDurable(state);
}

/**
 * A candidate that nobody refused: its votes may still be on their way to slow disks. Beginning anew, it would give up
 * each of them for one of the next term, and with most disks slow nobody would ever lead. A refusal tells of a split
 * vote, which only a new term can mend (paper 5.2).
 */
function isAwaited(campaign: Campaign): boolean {
  campaign.timeouts += 1;
  return campaign.timeouts < VOTE_TIMEOUTS && ![...campaign.votes.values()].includes(false);
}

/** A candidate votes for itself, so it needs the right to vote as well. A snapshot on its way to disk will replace the
 *  log a new leader would start from, and a leader's first entry must find room in it. */
function mayLead(state: RaftState): boolean {
  const { id } = state.options;
  const isOfThem = isVoter(state.membership, id) || state.memberships.isLeaving(id);
  return mayVote(state) && state.mayCampaign && state.mayAppend && state.installing === undefined && isOfThem;
}

/** A node that does not know what it promised must not promise anew (R19). */
function mayVote(state: RaftState): boolean {
  return state.mayVote && !state.isRejoining;
}

/** Starts the wait for a leader anew, with a timeout of its own (paper 5.2: random, against split votes). */
function drawElectionTimeout(state: RaftState): void {
  const { electionTicksMin, electionTicksMax } = state.options;
  state.electionElapsed = 0;
  state.electionTimeout = electionTicksMin + Math.floor(state.options.random() * (electionTicksMax - electionTicksMin));
}

/** Bound by a promise. A node that is a majority by itself promised nobody. */
function isBound(state: RaftState): boolean {
  return state.promisedTicks > 0 && !isAlone(state);
}

/** Helps no candidate now, unless the leader itself asked for it. */
export function isHeld(state: RaftState): boolean {
  return isSticky(state) || isBound(state);
}

/** Called once, when the core is made. A node that is a majority by itself need not wait for anybody. */
export function startElectionTimer(state: RaftState): void {
  drawElectionTimeout(state);
  if (isAlone(state)) state.electionTimeout = 1;
}

function isAlone(state: RaftState): boolean {
  const { id } = state.options;
  return tallyVotes(state.membership, (voter) => voter === id) === 'won';
}

/** A message of the leader of this term arrived. */
export function heardLeader(state: RaftState, leader: NodeId): void {
  assert.ok(
    state.role !== 'leader',
    `${leader} leads term ${state.term}, which ${state.options.id} leads already: two leaders in one term`,
  );
  if (state.role !== 'follower') becomeFollower(state, state.term, leader);
  assert.ok(
    state.leader === undefined || state.leader === leader,
    `${leader} leads term ${state.term}, which ${state.leader} leads already: two leaders in one term`,
  );
  state.leader = leader;
  state.isLeaderGone = false;
  drawElectionTimeout(state);
  // Its node is watched from here on, and whoever does that tells when it is not heard any more.
  if (isWatched(state)) state.isResting = true;
}

/** The node of the leader says that it still leads this group in this term: as good as a heartbeat of the group. */
export function vouchedFor(state: RaftState): void {
  const { role, leader, isResting, isLeaderGone } = state;
  // Behind a link that broke there may be another process by now: the group hears from its leader itself, or elects.
  if (role !== 'follower' || leader === undefined || isResting || isLeaderGone || !isWatched(state)) return;
  heardLeader(state, leader);
}

/** Follows in `term`, never lower than the present one. The vote goes with the old term, never within one (R1). */
export function becomeFollower(state: RaftState, term: Term, leader: NodeId | undefined): void {
  if (term < state.term) assert.fail(`term would fall from ${state.term} to ${term}`);
  if (term > state.term) {
    state.term = term;
    state.votedFor = undefined;
    state.following = { matched: 0, acked: 0, owesAck: false };
  }
  if (state.role !== 'follower') drawElectionTimeout(state);
  state.role = 'follower';
  state.leader = leader;
  state.isLeaderGone = false;
  state.isResting = false;
  state.campaign = undefined;
  state.leading = undefined;
}

/** Asks around whether an election could be won. Changes no term, and nothing on disk (thesis 9.6). */
function becomePreCandidate(state: RaftState): void {
  const { options, term } = state;
  state.role = 'pre-candidate';
  state.isResting = false;
  state.leader = undefined;
  state.campaign = { votes: new Map([[options.id, true]]), isTransfer: false, timeouts: 0 };
  drawElectionTimeout(state);
  if (isCampaign(state, 'won')) {
    becomeCandidate(state, false);
    return;
  }
  for (const to of otherVoters(state)) {
    send(state, { kind: 'pre-vote', from: options.id, to, term: term + 1, last: state.log.last });
  }
}

function becomeCandidate(state: RaftState, isTransfer: boolean): void {
  const { options } = state;
  state.role = 'candidate';
  state.isResting = false;
  state.leader = undefined;
  state.term += 1;
  state.votedFor = options.id;
  state.following = { matched: 0, acked: 0, owesAck: false };
  // Its own vote counts when it is on disk, like any other (R1): see ownVotePersisted.
  state.campaign = { votes: new Map(), isTransfer, timeouts: 0 };
  askForVotes(state, state.campaign);
}

/** Those who have not answered. */
function askForVotes(state: RaftState, { votes, isTransfer }: Campaign): void {
  const { term, log, options } = state;
  drawElectionTimeout(state);
  for (const to of otherVoters(state)) {
    if (votes.has(to)) continue;
    sendDurably(state, { kind: 'vote', from: options.id, to, term, last: log.last, isTransfer });
  }
}

function otherVoters(state: RaftState): NodeId[] {
  return peersOf(state.membership, state.options.id).filter((peer) => isVoter(state.membership, peer));
}

function becomeLeader(state: RaftState): void {
  state.role = 'leader';
  state.leader = state.options.id;
  state.campaign = undefined;
  startLeading(state);
}

function isCampaign(state: RaftState, outcome: 'won' | 'lost'): boolean {
  const { campaign, membership } = state;
  return campaign !== undefined && tallyVotes(membership, (voter) => campaign.votes.get(voter)) === outcome;
}

/** At once instead of at the next timeout, with pre-vote. */
export function campaignNow(state: RaftState): void {
  if (state.role === 'follower' && mayLead(state) && !isBound(state)) becomePreCandidate(state);
}

/** The leader hands over to this node: no pre-vote, and voters that hear the leader may vote all the same. */
export function onTimeoutNow(state: RaftState): void {
  if (mayLead(state)) becomeCandidate(state, true);
}

/** While a leader is heard, no other candidate is (thesis 4.2.3). A leader hears itself: its quorum check sees to it
 *  that this ends. In a resting group the leader's node is heard in its place. */
export function isSticky(state: RaftState): boolean {
  if (state.role === 'leader') return true;
  if (state.isResting) return true;
  return state.leader !== undefined && !state.isLeaderGone && state.electionElapsed < state.options.electionTicksMin;
}

/** The voter denies its vote if its own log is more up-to-date (paper 5.4.1). Entries not yet on disk count. */
function isUpToDate(state: RaftState, last: EntryId): boolean {
  const own = state.log.last;
  return last.term > own.term || (last.term === own.term && last.index >= own.index);
}

/** Does that log go past this one? It may then hold a membership this node does not know of. */
export function isAhead(state: RaftState, last: EntryId): boolean {
  const { index, term } = state.log.last;
  return isUpToDate(state, last) && (last.index !== index || last.term !== term);
}

/** A voter, or so the candidate believes: its log goes past this one and may hold the entry which makes this node a
 *  voter. Who counts whose vote is the candidate's to know (paper section 6). */
function mayBeVoter(state: RaftState, last: EntryId): boolean {
  return isVoter(state.membership, state.options.id) || isAhead(state, last);
}

export function onPreVote(state: RaftState, request: PreVoteRequest): void {
  if (isHeld(state)) return;
  // Whose disk is still writing a vote would not give another one in time.
  if (isVoteInFlight(state)) return;
  const granted =
    mayVote(state) && mayBeVoter(state, request.last) && request.term > state.term && isUpToDate(state, request.last);
  // A refusal carries this node's own term, so that a candidate of an old term learns of the new one.
  const term = granted ? request.term : state.term;
  send(state, { kind: 'pre-vote-reply', from: state.options.id, to: request.from, term, granted });
  if (granted && state.isLeaderGone) {
    // Somebody else was quicker to notice the dead leader: let it try first.
    drawElectionTimeout(state);
  }
}

/** The term was dealt with: request.term is this node's term, or lower. */
export function onVote(state: RaftState, request: VoteRequest): void {
  const granted =
    mayVote(state) &&
    mayBeVoter(state, request.last) &&
    request.term === state.term &&
    (request.isTransfer || !isBound(state)) &&
    (state.votedFor === request.from || (state.votedFor === undefined && state.leader === undefined)) &&
    isUpToDate(state, request.last);
  if (granted) {
    state.votedFor = request.from;
    // Paper 5.2: granting a vote restarts the wait, or the voter would soon compete with its candidate.
    drawElectionTimeout(state);
  }
  sendDurably(state, { kind: 'vote-reply', from: state.options.id, to: request.from, term: state.term, granted });
}

export function onPreVoteReply(state: RaftState, reply: PreVoteReply): void {
  if (state.role !== 'pre-candidate' || (reply.granted && reply.term !== state.term + 1)) return;
  countVote(state, state.campaign, reply.from, reply.granted);
  if (isCampaign(state, 'won')) becomeCandidate(state, false);
  else if (isCampaign(state, 'lost')) becomeFollower(state, state.term, undefined);
}

export function onVoteReply(state: RaftState, reply: VoteReply): void {
  if (state.role !== 'candidate') return;
  countVote(state, state.campaign, reply.from, reply.granted);
  maybeWin(state);
}

/** Term and vote reached the disk; a candidate's own vote counts from here. */
export function hardStatePersisted(state: RaftState, hardState: HardState): void {
  const isOlder =
    hardState.term < state.durable.term ||
    (hardState.term === state.durable.term && state.durable.votedFor !== undefined);
  if (!isOlder) state.durable = hardState;
  if (state.role !== 'candidate' || !isHardStateDurable(state)) return;
  countVote(state, state.campaign, state.options.id, true);
  maybeWin(state);
}

function maybeWin(state: RaftState): void {
  if (isCampaign(state, 'won')) becomeLeader(state);
  else if (isCampaign(state, 'lost')) becomeFollower(state, state.term, undefined);
}

function countVote(state: RaftState, campaign: Campaign | undefined, from: NodeId, granted: boolean): void {
  if (campaign === undefined) assert.fail(`${state.options.id} is ${state.role} without a campaign`);
  // A voter answers once: what it said first stands.
  if (!campaign.votes.has(from)) campaign.votes.set(from, granted);
}

/** The link to the leader closed: most likely its process is gone, so this node need not wait out its timeout. */
export function leaderLinkDown(state: RaftState): void {
  if (state.role !== 'follower') return;
  wake(state);
  state.isLeaderGone = true;
  const haste = 1 + Math.floor(state.options.random() * HASTE_HEARTBEATS * state.options.heartbeatTicks);
  state.electionTimeout = Math.min(state.electionTimeout, state.electionElapsed + haste);
}

/** The right to vote or to campaign was taken away or given back. */
export function rightsChanged(state: RaftState): void {
  const isCampaigning = state.campaign !== undefined;
  if ((isCampaigning && !mayLead(state)) || (state.role === 'leader' && !mayVote(state))) {
    becomeFollower(state, state.term, undefined);
  }
}

/** The process stood still for `ticks`. A follower's timer does not count them, since what its leader sent meanwhile is
 *  still to be read; a leader must, because the others' timers ran on (R24). */
export function stalled(state: RaftState, ticks: number): void {
  if (state.role !== 'leader') return;
  if (ticks >= state.options.electionTicksMax && !isAlone(state)) {
    becomeFollower(state, state.term, undefined);
    return;
  }
  wake(state);
  if (state.leading === undefined) return;
  state.leading.isInDoubt = true;
  for (const progress of state.leading.progress.values()) progress.silentFor(progress.ticksSilent + ticks);
}
