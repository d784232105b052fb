/**
 * The follower's side: take entries that fit, cut those that conflict, refuse with a hint where the logs may agree,
 * ack what is on disk. The term of each message was already checked, and its sender is the leader of this term.
 */
import { strict as assert } from 'node:assert';
import { takesRest } from './rest.ts';
import { answerMark, commitTo, type RaftState, send, sendDurably } from './state.ts';
import type { Append, EntryId, EntryMeta, Heartbeat, InstallSnapshot, LogIndex, SnapshotReply } from './types.ts';

export function onHeartbeat(state: RaftState, message: Heartbeat): void {
  // The leader capped this by what we acked in its term. A disk that has lost that since (R21) may have gone back to
  // other entries: only what this process has matched is known to be the leader's.
  commitTo(state, Math.min(message.commit, state.following.matched));
  // A flush may have ended while no leader was known.
  maybeAck(state);
  const isResting = takesRest(state, message);
  if (message.isNotice === true) return;
  const { promiseMs, electionTicksMin } = state.options;
  // Kept from here on, before the leader can count on it.
  if (promiseMs > 0) state.promisedTicks = electionTicksMin;
  sendDurably(state, {
    kind: 'heartbeat-reply',
    from: state.options.id,
    to: message.from,
    term: state.term,
    round: message.round,
    // What it promised before, it may have forgotten: it promises nothing until it has rejoined.
    ...(promiseMs > 0 && !state.isRejoining ? { promiseMs } : {}),
    ...(isResting ? { isResting: true } : {}),
    ...answerMark(state),
  });
}

export function onAppend(state: RaftState, message: Append): void {
  // A snapshot is on its way to disk and will replace the log; the leader's next check finds out what we hold.
  if (state.installing !== undefined) return;
  const { log, following } = state;
  const { previous, entries } = message;
  const lastNew = previous.index + entries.length;
  // What is committed is in every later leader's log (Leader Completeness), so at or below commit there is nothing to
  // compare, and below the log's base nothing to compare with.
  if (previous.index > state.commit && !log.has(previous)) {
    refuse(state, message);
    return;
  }
  assertCommittedAgrees(state, previous);
  appendNew(state, entries);
  following.matched = Math.max(following.matched, lastNew);
  // Capped by what this message matched: entries of ours past it may differ from the leader's (R6).
  commitTo(state, Math.min(message.commit, lastNew));
  following.owesAck = true;
  maybeAck(state);
}

/** Cuts only at an entry whose term differs (R5): a message that is short, or old, removes nothing. */
function appendNew(state: RaftState, entries: readonly EntryMeta[]): void {
  const { log } = state;
  let position = 0;
  while (position < entries.length) {
    const entry = entries[position]!;
    if (entry.index > state.commit && !log.has(entry)) break;
    assertCommittedAgrees(state, entry);
    position += 1;
  }
  if (position === entries.length) return;
  const first = entries[position]!.index;
  if (first <= log.lastIndex) truncateFrom(state, first);
  while (position < entries.length) {
    const { term } = entries[position]!;
    while (position + 1 < entries.length && entries[position + 1]!.term === term) position += 1;
    log.append(term, entries[position]!.index);
    position += 1;
  }
  // In force from here on, committed or not (R12).
  for (const { index, membership } of entries) {
    if (index >= first && membership !== undefined) state.memberships.append(index, membership);
  }
}

/** Leader Completeness (paper 5.4): whoever leads holds what was committed before. */
function assertCommittedAgrees(state: RaftState, entry: EntryId): void {
  const term = state.log.termAt(entry.index);
  assert.ok(
    term === undefined || term === entry.term,
    `committed entry ${entry.index} has term ${term} here and term ${entry.term} at the leader`,
  );
}

function truncateFrom(state: RaftState, from: LogIndex): void {
  const { log, outbox } = state;
  if (from <= state.commit) assert.fail(`truncation from ${from} would cut committed entries up to ${state.commit}`);
  log.truncateFrom(from);
  state.memberships.truncateFrom(from);
  outbox.own = outbox.own.filter(({ index }) => index < from);
  state.flushed = Math.min(state.flushed, from - 1);
  // Entries the partition was never handed need no cut on disk.
  if (from <= outbox.handed) {
    outbox.truncateFrom = Math.min(outbox.truncateFrom ?? from, from);
    outbox.handed = from - 1;
  }
}

function refuse(state: RaftState, message: Append): void {
  const { log } = state;
  const { previous } = message;
  const hint = log.lastAtOrBelow(previous.index, previous.term);
  // The leader's log holds our committed entries before `previous`, so their terms are not above previous.term.
  assert.ok(
    hint !== undefined && hint.index >= state.commit,
    `hint ${hint?.index} lies below the commit ${state.commit}`,
  );
  sendDurably(state, {
    kind: 'append-reply',
    from: state.options.id,
    to: message.from,
    term: state.term,
    accepted: false,
    index: previous.index,
    hint,
    lastIndex: log.lastIndex,
    ...answerMark(state),
  });
}

/** Answers accepted appends with what is both matched and durable: at once, or when a flush has moved (W14, R6). One
 *  cumulative answer serves all appends before it. */
export function maybeAck(state: RaftState): void {
  const { following, leader, log } = state;
  if (!following.owesAck || leader === undefined || !state.mayVote) return;
  const index = Math.min(state.flushed, following.matched);
  const isComplete = index === following.matched;
  if (!isComplete && index <= following.acked) return;
  following.acked = Math.max(following.acked, index);
  following.owesAck = !isComplete;
  sendDurably(state, {
    kind: 'append-reply',
    from: state.options.id,
    to: leader,
    term: state.term,
    accepted: true,
    index,
    hint: log.last,
    lastIndex: log.lastIndex,
    ...answerMark(state),
  });
}

export function needsSnapshot({ commit, log }: RaftState, snapshot: EntryId): boolean {
  return snapshot.index > commit && !log.has(snapshot);
}

/** Figure 13 as R15 has it: never back, and not at all when the log already holds that entry. */
export function onSnapshot(state: RaftState, message: InstallSnapshot): void {
  const { following } = state;
  if (state.installing !== undefined) return;
  const { snapshot } = message;
  if (needsSnapshot(state, snapshot)) {
    state.installing = message;
    state.outbox.install = message;
    return;
  }
  commitTo(state, snapshot.index);
  following.matched = Math.max(following.matched, snapshot.index);
  following.owesAck = true;
  maybeAck(state);
}

/** The state is installed and durable: the log starts anew just above it. */
export function onInstalled(state: RaftState, snapshot: EntryId): void {
  const { installing, log, following, outbox } = state;
  assert.ok(
    installing?.snapshot.index === snapshot.index && installing.snapshot.term === snapshot.term,
    `installed ${snapshot.index} of term ${snapshot.term}, which was not asked for`,
  );
  state.installing = undefined;
  log.reset(snapshot);
  state.flushed = snapshot.index;
  outbox.handed = snapshot.index;
  outbox.truncateFrom = undefined;
  // The membership as of the snapshot replaces whatever this node believed (R14).
  state.memberships.reset(snapshot.index, installing.membership);
  commitTo(state, snapshot.index);
  if (installing.term !== state.term) return;
  following.matched = snapshot.index;
  following.owesAck = !state.mayVote;
  if (!state.mayVote) return;
  following.acked = snapshot.index;
  const reply: SnapshotReply = {
    kind: 'snapshot-reply',
    from: state.options.id,
    to: installing.from,
    term: state.term,
    index: snapshot.index,
    ...answerMark(state),
  };
  send(state, reply);
}
