/**
 * The leader's side: who gets which range, what the answers mean, when commit moves. Who the leader is was decided in
 * election.ts; what the leader thinks of one follower is in progress.ts.
 */
import { strict as assert } from 'node:assert';
import { ByteWindow } from './byte-window.ts';
import type { Progress } from './progress.ts';
import { hasQuorum, quorumIndex } from './quorum.ts';
import { continueChange, followMembers } from './reconfiguration.ts';
import { heartbeatPhase, isRoundDue, isWatched, offersRest, onRestReply, ROUNDS_PATIENCE_MIN, stir } from './rest.ts';
import { commitTo, type Leading, type RaftState, send } from './state.ts';
import { maybeTimeoutNow } from './transfer.ts';
import type {
  Append,
  AppendReply,
  ByteCount,
  EntryId,
  EntryMeta,
  HeartbeatReply,
  InstallSnapshot,
  LogIndex,
  Membership,
  NodeId,
  ProposeResult,
  SendRequest,
  SnapshotReply,
} from './types.ts';

/** A term of leadership begins: everybody is probed at the end of the log, a no-op is appended so that entries of
 *  earlier terms can commit (R3, R4), and one heartbeat round announces the leader (paper 5.2). */
export function startLeading(state: RaftState): void {
  const { options, log } = state;
  const firstIndex = log.lastIndex + 1;
  const progress = new Map<NodeId, Progress>();
  const uncommitted = new ByteWindow();
  state.leading = {
    progress,
    firstIndex,
    uncommitted,
    heartbeatElapsed: heartbeatPhase(state),
    round: 0,
    transfer: undefined,
    idleTicks: 0,
    commitMarks: { older: undefined, newer: undefined, ticks: 0 },
    isInDoubt: false,
    roundsLeftOut: 0,
    roundsPatience: ROUNDS_PATIENCE_MIN,
    restOffer: undefined,
  };
  followMembers(state);
  uncommitted.add(firstIndex, options.noopBytes);
  log.append(state.term, firstIndex);
  state.outbox.own.push({ index: firstIndex, membership: undefined });
  broadcastHeartbeat(state);
}

export function propose(state: RaftState, sizes: readonly ByteCount[]): ProposeResult {
  assert.ok(sizes.length > 0, 'a proposal holds at least one entry');
  const { leading, log, options } = state;
  if (leading === undefined) return { kind: 'refused', reason: 'not-leader' };
  if (leading.transfer !== undefined) return { kind: 'refused', reason: 'transferring' };
  let bytes = 0;
  for (const size of sizes) bytes += size;
  const waiting = leading.uncommitted.bytes;
  if (waiting > 0 && waiting + bytes > options.uncommittedBytesMax) {
    return { kind: 'refused', reason: 'uncommitted-full' };
  }
  const first = log.lastIndex + 1;
  const last = log.lastIndex + sizes.length;
  stir(state);
  log.append(state.term, last);
  leading.uncommitted.add(last, bytes);
  return { kind: 'accepted', term: state.term, first, last };
}

/** 'acted': there may be something to send. 'unheard': no majority was heard for an election timeout, so another leader
 *  may exist by now, and this one must step down (R9, R10). */
type TickOutcome = 'nothing' | 'acted' | 'unheard';

/** Time passes for a leader. */
export function tickLeader(state: RaftState, ticks: number): TickOutcome {
  const { leading, options } = state;
  assert.ok(leading !== undefined, 'only a leader ticks as one');
  const areAllAwaited = !isWatched(state) || leading.isInDoubt;
  let outcome: TickOutcome = 'nothing';
  for (const progress of leading.progress.values()) {
    // Who is not asked need not answer: until the next round its node is heard in its place.
    progress.tick(areAllAwaited || progress.answeredRound < leading.round, ticks);
    if (progress.snapshotOverdue(options.electionTicksMax)) outcome = 'acted';
  }
  if (!hasQuorum(state.membership, (voter) => isActive(state, voter))) return 'unheard';
  leading.idleTicks += ticks;
  markCommit(state, leading.commitMarks, ticks);
  leading.heartbeatElapsed += ticks;
  if (leading.heartbeatElapsed < options.heartbeatTicks) return outcome;
  leading.heartbeatElapsed = 0;
  if (!isRoundDue(state)) return outcome;
  broadcastHeartbeat(state);
  return 'acted';
}

function markCommit({ commit, options }: RaftState, marks: Leading['commitMarks'], ticks: number): void {
  marks.ticks += ticks;
  if (marks.ticks * 2 < options.electionTicksMin) return;
  marks.ticks = 0;
  marks.older = marks.newer;
  marks.newer = commit;
}

/** Heard within an election timeout. The leader always hears itself. One that forgot what it promised cannot say that
 *  there is no later leader: it may have helped to elect one (R19). */
export function isActive(state: RaftState, node: NodeId): boolean {
  if (node === state.options.id) return true;
  const progress = state.leading?.progress.get(node);
  return progress !== undefined && !progress.isLost && progress.ticksSilent < state.options.electionTicksMax;
}

function broadcastHeartbeat(state: RaftState): void {
  const { leading } = state;
  if (leading === undefined) return;
  leading.round += 1;
  const mayRest = offersRest(state);
  for (const progress of leading.progress.values()) sendHeartbeat(state, progress, leading.round, mayRest);
}

/** Leader: begins a round now, for whoever needs its answers (R7). Undefined: this node does not lead. */
export function startRound(state: RaftState): number | undefined {
  if (state.leading === undefined) return undefined;
  stir(state);
  broadcastHeartbeat(state);
  return state.leading.round;
}

function sendHeartbeat(state: RaftState, progress: Progress, round: number, mayRest: boolean): void {
  const commit = commitToTell(state, progress);
  const message = {
    kind: 'heartbeat',
    from: state.options.id,
    to: progress.peer,
    term: state.term,
    commit,
    round,
  } as const;
  send(state, mayRest ? { ...message, mayRest } : message);
}

/**
 * A follower with nothing on its way would learn of the commit a heartbeat later; its readers wait for it. It answers
 * the rounds: an answer to this as well would cost both sides a wake-up for each lonely append, and say nothing new.
 */
function sendCommitNotice(state: RaftState, progress: Progress, round: number): void {
  const commit = commitToTell(state, progress);
  const { options, term } = state;
  send(state, { kind: 'heartbeat', from: options.id, to: progress.peer, term, commit, round, isNotice: true });
}

/** No more commit than the follower is known to hold: its log may differ past that. It counts as told. */
function commitToTell(state: RaftState, progress: Progress): LogIndex {
  const commit = Math.min(state.commit, progress.heldMatch);
  progress.commitTold(commit);
  return commit;
}

export function onHeartbeatReply(state: RaftState, reply: HeartbeatReply): void {
  const { leading } = state;
  const progress = leading?.progress.get(reply.from);
  if (leading === undefined || progress === undefined) return;
  progress.heard(reply.isRejoining);
  // What it answered while it rejoined confirms no round, also when that is over (R19).
  if (reply.isRejoining === undefined) progress.answered(reply.round);
  if (progress.needsCheck(reply.round, leading.round)) sendCheck(state, progress);
  onRestReply(state, reply);
  maybeTimeoutNow(state, reply.from);
}

/** An append without entries behind the last one sent (progress.ts says what for). Needs no bytes, so it leaves as a
 *  plain message. */
function sendCheck(state: RaftState, progress: Progress): void {
  const index = progress.next - 1;
  if (index < state.log.base.index) {
    progress.becomeSnapshot();
    return;
  }
  send(state, appendMessage(state, progress.peer, index, []));
}

function appendMessage(state: RaftState, peer: NodeId, previous: LogIndex, entries: readonly EntryMeta[]): Append {
  return {
    kind: 'append',
    from: state.options.id,
    to: peer,
    term: state.term,
    previous: state.log.entryAt(previous),
    commit: state.commit,
    entries,
  };
}

export function onAppendReply(state: RaftState, reply: AppendReply): void {
  const { leading, log } = state;
  const progress = leading?.progress.get(reply.from);
  if (leading === undefined || progress === undefined) return;
  progress.heard(reply.isRejoining);
  if (reply.accepted) {
    assert.ok(
      reply.index <= log.lastIndex,
      `${reply.from} acked ${reply.index} in term ${reply.term}, past this leader's last index ${log.lastIndex}`,
    );
    progress.accepted(reply.index, log.base.index, leading.round);
    maybeCommit(state);
    maybeTimeoutNow(state, reply.from);
    return;
  }
  const acked = progress.match;
  // By terms, both ways: the follower skipped to its last entry not above our term, we skip to ours not above its.
  const agreeAt = log.lastAtOrBelow(reply.hint.index, reply.hint.term)?.index;
  const refusal = progress.refused(reply, agreeAt);
  if (refusal === 'suspect') sendCheck(state, progress);
  if (refusal === 'lost-acks') state.outbox.lostAcks.push({ peer: reply.from, acked, lastIndex: reply.lastIndex });
}

export function onSnapshotReply(state: RaftState, reply: SnapshotReply): void {
  const { leading, log } = state;
  const progress = leading?.progress.get(reply.from);
  if (leading === undefined || progress === undefined) return;
  progress.heard(reply.isRejoining);
  progress.snapshotAnswered(reply.index, log.base.index, leading.round);
  maybeCommit(state);
}

/**
 * Moves commit to the highest index a quorum holds durably, when that entry is of this term. An entry of an earlier
 * term is never counted: it can sit on a majority and still be overwritten (Figure 8, R3); it commits with the first
 * entry of this term behind it.
 */
export function maybeCommit(state: RaftState): void {
  const { leading, log, options } = state;
  if (leading === undefined) return;
  const index = quorumIndex(state.membership, (voter) => {
    // The leader counts itself only for what its own disk holds (W1).
    if (voter === options.id) return state.flushed;
    return leading.progress.get(voter)?.countedMatch ?? 0;
  });
  if (index > state.commit && log.termAt(index) === state.term) {
    commitTo(state, index);
    leading.uncommitted.releaseTo(index);
    continueChange(state);
  }
  for (const progress of leading.progress.values()) {
    if (progress.needsCommitNotice(state.commit, log.lastIndex)) sendCommitNotice(state, progress, leading.round);
  }
}

/** What to send to whom next. Each request stays open until sent() or sendFailed(). */
export function takeSends(state: RaftState): { sends: readonly SendRequest[]; snapshotsTo: readonly NodeId[] } {
  const { leading, log, options } = state;
  if (leading === undefined) return NOTHING_TO_SEND;
  let sends: SendRequest[] | undefined;
  let snapshotsTo: NodeId[] | undefined;
  for (const progress of leading.progress.values()) {
    if (!progress.canRequest(log.lastIndex)) continue;
    if (progress.state !== 'snapshot' && progress.next <= log.base.index) progress.becomeSnapshot();
    progress.requested();
    if (progress.state === 'snapshot') {
      snapshotsTo ??= [];
      snapshotsTo.push(progress.peer);
    } else {
      sends ??= [];
      const bytesMax = Math.min(options.appendBytesMax, progress.windowBytes);
      sends.push({ peer: progress.peer, from: progress.next, bytesMax });
    }
  }
  if (sends === undefined && snapshotsTo === undefined) return NOTHING_TO_SEND;
  return { sends: sends ?? [], snapshotsTo: snapshotsTo ?? [] };
}

const NOTHING_TO_SEND = { sends: [], snapshotsTo: [] } as const;

/** See Raft.appendFor. The entries carry no sizes: the core keeps none. */
export function appendFor(state: RaftState, peer: NodeId, from: LogIndex, last: LogIndex): Append | undefined {
  const progress = state.leading?.progress.get(peer);
  if (progress === undefined || progress.state === 'snapshot' || progress.isSuspect) return undefined;
  if (progress.next !== from || from <= state.log.base.index) return undefined;
  if (last < from || last > state.log.lastIndex)
    assert.fail(`no entries ${from}..${last} to send: the log ends before`);
  const entries: EntryMeta[] = [];
  for (let index = from; index <= last; index += 1) {
    entries.push({ term: state.log.termAt(index)!, index, bytes: 0 });
  }
  return appendMessage(state, peer, from - 1, entries);
}

/** See Raft.snapshotFor. */
export function snapshotFor(
  state: RaftState,
  peer: NodeId,
  snapshot: EntryId,
  membership: Membership,
): InstallSnapshot | undefined {
  const progress = state.leading?.progress.get(peer);
  if (progress?.state !== 'snapshot' || snapshot.index < state.log.base.index) return undefined;
  if (snapshot.index > state.commit) assert.fail(`snapshot ${snapshot.index} is past the commit ${state.commit}`);
  return {
    kind: 'snapshot',
    from: state.options.id,
    to: peer,
    term: state.term,
    snapshot,
    membership,
    commit: state.commit,
  };
}
