/**
 * What must be true of one Raft core between two events, a named function each. The cheap ones run before every Ready,
 * in production too (R26); the rest after every event of a test. What must hold between nodes (election safety, log
 * matching, leader completeness, state machine safety) needs more than one core to see: test/raft checks it.
 *
 * Each answers undefined when it holds, or the breach in words with the values on both sides.
 */
import { strict as assert } from 'node:assert';
import { peersOf } from './membership.ts';
import type { Inspectable, RaftState } from './state.ts';

type Invariant = (state: Readonly<RaftState>) => string | undefined;

function baseAtOrBelowCommit({ log, commit }: Readonly<RaftState>): string | undefined {
  return log.base.index <= commit ? undefined : `base ${log.base.index}, commit ${commit}`;
}

function commitWithinLog({ log, commit }: Readonly<RaftState>): string | undefined {
  return commit <= log.lastIndex ? undefined : `commit ${commit}, last index ${log.lastIndex}`;
}

function flushedThenHandedThenLast({ log, flushed, outbox }: Readonly<RaftState>): string | undefined {
  if (flushed <= outbox.handed && outbox.handed <= log.lastIndex) return undefined;
  return `flushed ${flushed}, handed over ${outbox.handed}, last index ${log.lastIndex}`;
}

function termNeverFalls({ term, outbox, durable }: Readonly<RaftState>): string | undefined {
  if (outbox.hardState.term <= term && durable.term <= term) return undefined;
  return `term ${term}, given out ${outbox.hardState.term}, durable ${durable.term}`;
}

function voteStandsWithinTerm({ term, votedFor, outbox }: Readonly<RaftState>): string | undefined {
  const before = outbox.hardState;
  if (before.term !== term || before.votedFor === undefined || before.votedFor === votedFor) return undefined;
  return `voted for ${before.votedFor} in term ${term}, now for ${votedFor}`;
}

function commitNeverFalls({ commit, outbox }: Readonly<RaftState>): string | undefined {
  return outbox.commit <= commit ? undefined : `commit ${commit}, given out ${outbox.commit}`;
}

function logTermAtMostTerm({ log, term }: Readonly<RaftState>): string | undefined {
  return log.lastTerm <= term ? undefined : `the log ends in term ${log.lastTerm}, the node is in term ${term}`;
}

function candidateVotedForItself({ role, votedFor, options }: Readonly<RaftState>): string | undefined {
  if ((role !== 'candidate' && role !== 'leader') || votedFor === options.id) return undefined;
  return `${role} ${options.id} voted for ${votedFor}`;
}

function roleHasItsState({ role, campaign, leading }: Readonly<RaftState>): string | undefined {
  const isCampaigning = role === 'candidate' || role === 'pre-candidate';
  if ((campaign !== undefined) === isCampaigning && (leading !== undefined) === (role === 'leader')) return undefined;
  return `role ${role}, campaign ${campaign !== undefined}, leading ${leading !== undefined}`;
}

function leaderEndsItsLog({ role, leader, log, term, options }: Readonly<RaftState>): string | undefined {
  if (role !== 'leader' || (leader === options.id && log.lastTerm === term)) return undefined;
  return `leader ${options.id} of term ${term} follows ${leader}, its log ends in term ${log.lastTerm}`;
}

function acksWithinMatched({ role, following, log }: Readonly<RaftState>): string | undefined {
  const { acked, matched } = following;
  if (role === 'leader' || (acked <= matched && matched <= log.lastIndex)) return undefined;
  return `acked ${acked}, matched ${matched}, last index ${log.lastIndex}`;
}

function progressWithinLog({ leading, log }: Readonly<RaftState>): string | undefined {
  if (leading === undefined) return undefined;
  for (const { peer, match, next } of leading.progress.values()) {
    if (match < next && next <= log.lastIndex + 1) continue;
    return `${peer}: match ${match}, next ${next}, last index ${log.lastIndex}`;
  }
  return undefined;
}

function windowsWithinCaps({ leading, options }: Readonly<RaftState>): string | undefined {
  if (leading === undefined) return undefined;
  for (const { peer, inflightMessages, inflightBytes } of leading.progress.values()) {
    if (inflightMessages <= options.inflightMessagesMax && inflightBytes >= 0) continue;
    return `${peer}: ${inflightMessages} messages of ${inflightBytes} bytes in flight`;
  }
  return undefined;
}

function installerDoesNotLead({ installing, role }: Readonly<RaftState>): string | undefined {
  return installing === undefined || role === 'follower' ? undefined : `${role} while a snapshot is being installed`;
}

/** A follower leaves the time to its leader, whatever is on its way; a leader rests only when nothing is. */
function restIsSettled(state: Readonly<RaftState>): string | undefined {
  const { isResting, isLeaderGone, role, leader, log, commit, flushed } = state;
  if (!isResting) return undefined;
  const isSettled = commit === log.lastIndex && flushed === log.lastIndex;
  if (role === 'leader' ? isSettled : role === 'follower' && leader !== undefined && !isLeaderGone) return undefined;
  return `${role} of ${leader} rests: commit ${commit}, flushed ${flushed}, last index ${log.lastIndex}`;
}

function membershipWithinLog({ memberships, log }: Readonly<RaftState>): string | undefined {
  const { effectiveIndex } = memberships;
  return effectiveIndex <= log.lastIndex ? undefined : `membership of entry ${effectiveIndex}, last ${log.lastIndex}`;
}

function leaderFollowsAllMembers({ leading, membership, options }: Readonly<RaftState>): string | undefined {
  if (leading === undefined) return undefined;
  const peers = peersOf(membership, options.id);
  const followed = [...leading.progress.keys()];
  if (peers.length === followed.length && peers.every((peer) => followed.includes(peer))) return undefined;
  return `members ${peers.join(' ')}, followed ${followed.join(' ')}`;
}

function runsRise({ log }: Readonly<RaftState>): string | undefined {
  let { term, index } = log.base;
  let isFirst = true;
  for (const run of log.runs()) {
    if (run.lastIndex <= index || run.term < term || (!isFirst && run.term === term)) {
      return `run of term ${run.term} up to ${run.lastIndex} after ${index} of term ${term}`;
    }
    ({ term, lastIndex: index } = run);
    isFirst = false;
  }
  return index === log.lastIndex && term === log.lastTerm ? undefined : `runs end at ${index}, not ${log.lastIndex}`;
}

const CHEAP: readonly Invariant[] = [
  baseAtOrBelowCommit,
  commitWithinLog,
  flushedThenHandedThenLast,
  termNeverFalls,
  voteStandsWithinTerm,
  commitNeverFalls,
  logTermAtMostTerm,
  candidateVotedForItself,
  roleHasItsState,
  leaderEndsItsLog,
  acksWithinMatched,
  progressWithinLog,
  installerDoesNotLead,
  restIsSettled,
  membershipWithinLog,
];

const ALL: readonly Invariant[] = [...CHEAP, leaderFollowsAllMembers, windowsWithinCaps, runsRise];

function assertEach(invariants: readonly Invariant[], state: Readonly<RaftState>): void {
  for (const invariant of invariants) {
    const breach = invariant(state);
    if (breach !== undefined) assert.fail(`raft ${state.options.id}: ${invariant.name} is broken: ${breach}`);
  }
}

export function assertCheapInvariants(state: Readonly<RaftState>): void {
  assertEach(CHEAP, state);
}

/** All of them. Throws on the first that is broken. */
export function checkInvariants(raft: Inspectable): void {
  assertEach(ALL, raft.inspect());
}
