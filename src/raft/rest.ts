/**
 * What is left out because the nodes are watched. A node hosts thousands of groups; a heartbeat each, 25 times a second
 * to every follower, would cost it more than all appends. Whether nodes are alive is asked once a pair of nodes
 * instead, by whoever drives this core (src/broker/beats.ts), and this file is told: peerSilent(), wake().
 *
 *   follower: heard its leader? counts no time from there on, until the leader's node falls silent, its link breaks,
 *             or it says that it does not lead this group
 *   leader:   everything acked and told? sends no rounds; something in doubt or on its way? a round now and then
 *   leader:   idle for restTicks, everything committed and durable everywhere
 *        -- heartbeat mayRest -->  follower: holds it all, durably?
 *        <-- reply isResting ----
 *   leader: all members rest in the round that offered it? counts no time either
 *
 * This changes when timers run and how often somebody asks, and nothing else: no term, vote, entry or commit rests on
 * it, so it can cost time and never safety. A proposal, a message, a link that breaks, silence of the other node end
 * a leader's rest. A resting follower sticks to its leader (R9), because its node is heard; a leader that any candidate
 * speaks to sends a round, which says that it is there.
 *
 * Leases rest on rounds and on promises that ticks count (R8): with them, a group does all this only while it is idle.
 */
import { isHardStateDurable, type RaftState } from './state.ts';
import type { Heartbeat, HeartbeatReply, Message, NodeId, Pace } from './types.ts';

/** Rounds left out, while there is something to ask, before one leaves: few at first, since what is on its way is
 *  mostly there in time; more later, since many groups that all wait would keep each other waiting with their rounds.
 *  Small enough for several rounds within an election timeout. */
export const ROUNDS_PATIENCE_MIN = 2;
const ROUNDS_PATIENCE_MAX = 4;

/** Whoever drives this core says when a node falls silent, so that groups need not find out for themselves. */
export function isWatched({ options }: RaftState): boolean {
  return (options.restTicks ?? 0) > 0 && options.promiseMs === 0;
}

/**
 * A leader whose nodes are watched has nothing to do between two heartbeats: it is told of them alone, with the ticks
 * of a whole one. Of a thousand groups at work each would look after its followers a hundred times a second. What it
 * counts may so be a heartbeat more or less than has passed; promises, which are counted exactly, are not given there.
 */
export function paceOf(state: RaftState): Pace {
  if (state.isResting) return 'none';
  return state.role === 'leader' && isWatched(state) ? 'heartbeats' : 'ticks';
}

/** Leader: a round of heartbeats may leave now. Is there anything to ask or to tell, or is it time to offer rest? */
export function isRoundDue(state: RaftState): boolean {
  const { leading, options } = state;
  if (leading === undefined || !isWatched(state)) return true;
  const isQuiet = isSettled(state) && isAnswered(state);
  if (isQuiet) {
    leading.roundsLeftOut = 0;
    leading.roundsPatience = ROUNDS_PATIENCE_MIN;
    if (!leading.isInDoubt) return leading.idleTicks >= (options.restTicks ?? 0);
  } else if (!leading.isInDoubt) {
    leading.roundsLeftOut += 1;
    if (leading.roundsLeftOut < leading.roundsPatience) return false;
    leading.roundsLeftOut = 0;
    leading.roundsPatience = ROUNDS_PATIENCE_MAX;
  }
  leading.isInDoubt = false;
  return true;
}

/** Everybody answered the last round and was told of the last commit. */
function isAnswered({ leading, commit }: RaftState): boolean {
  if (leading === undefined) return false;
  for (const progress of leading.progress.values()) {
    if (progress.answeredRound < leading.round || !progress.knows(commit)) return false;
  }
  return true;
}

/** Nothing is left to do in this group: what is in the log is committed, durable here, and known so everywhere. */
function isSettled(state: RaftState): boolean {
  const { log, commit, flushed, leading, membership } = state;
  if (leading === undefined || leading.transfer !== undefined || membership.votersOutgoing.length > 0) return false;
  if (commit !== log.lastIndex || flushed !== log.lastIndex || !isHardStateDurable(state)) return false;
  return [...leading.progress.values()].every((progress) => progress.isSettled(log.lastIndex));
}

/** Leader: a round of heartbeats is about to leave. Does it offer rest? */
export function offersRest(state: RaftState): boolean {
  const { leading, options } = state;
  const restTicks = options.restTicks ?? 0;
  if (leading === undefined || restTicks === 0 || leading.idleTicks < restTicks || !isSettled(state)) return false;
  leading.restOffer = { round: leading.round, accepted: new Set() };
  // A group of one has nobody to ask.
  if (leading.progress.size === 0) state.isResting = true;
  return true;
}

/** Leader: a follower answered. When all of them rest, so does the leader. */
export function onRestReply(state: RaftState, reply: HeartbeatReply): void {
  const offer = state.leading?.restOffer;
  if (state.leading === undefined || offer === undefined || offer.round !== reply.round || reply.isResting !== true)
    return;
  offer.accepted.add(reply.from);
  if (offer.accepted.size === state.leading.progress.size && isSettled(state)) state.isResting = true;
}

/** Follower: takes the offer when it holds the whole log, durably, and owes no answer. */
export function takesRest(state: RaftState, message: Heartbeat): boolean {
  const { log, commit, flushed, following, installing } = state;
  const isTaken =
    message.mayRest === true &&
    message.commit === log.lastIndex &&
    commit === log.lastIndex &&
    flushed === log.lastIndex &&
    installing === undefined &&
    !following.owesAck &&
    isHardStateDurable(state);
  state.isResting = isTaken || isWatched(state);
  return isTaken;
}

/** A message arrived, before it is judged. Candidates do not wake a follower whose leader's node is heard: the leader
 *  hears of them, or of their node's silence, by itself. Unless the leader is one of them. */
export function onMessageRest(state: RaftState, message: Message): void {
  if (message.kind === 'heartbeat-reply') return;
  const seeksVotes = message.kind === 'pre-vote' || message.kind === 'vote';
  if (state.leading !== undefined) {
    stir(state);
    // Whoever seeks votes does not know that this node leads.
    if (seeksVotes) state.leading.isInDoubt = true;
  } else if (message.kind === 'append' || message.kind === 'snapshot') {
    wake(state);
  } else if (seeksVotes && message.from === state.leader && message.term > state.term) {
    // Whoever led this term says that it does not any more.
    wake(state);
    state.isLeaderGone = true;
  }
}

/** Leader: something happened. The wait for rest begins anew. */
export function stir(state: RaftState): void {
  const { leading } = state;
  if (leading === undefined) return;
  leading.idleTicks = 0;
  leading.restOffer = undefined;
  wake(state);
}

/** Where the node stands between two common heartbeats, in ticks. */
export function heartbeatPhase({ options }: RaftState): number {
  return (options.heartbeatPhase?.() ?? 0) % options.heartbeatTicks;
}

/** Ends the rest. A leader's next round wakes whoever still rests; a follower's timer starts, with
 *  the ticks that its leader was not heard already counted. */
export function wake(state: RaftState, silentTicks = 0): void {
  if (!state.isResting) return;
  state.isResting = false;
  if (state.leading !== undefined) {
    state.leading.idleTicks = 0;
    state.leading.restOffer = undefined;
    state.leading.heartbeatElapsed = heartbeatPhase(state);
  } else {
    state.electionElapsed = silentTicks;
  }
}

/** The node of `peer` was not heard for `ticks`, while this group may rely on its being there (R10). */
export function onPeerSilent(state: RaftState, peer: NodeId, ticks: number): void {
  const { leading } = state;
  const progress = leading?.progress.get(peer);
  // Of several nodes that fall silent together the first wakes the group; the others were not heard either.
  const isJustAwake = leading?.idleTicks === 0;
  if (leading !== undefined && progress !== undefined && (state.isResting || isJustAwake || isWatched(state))) {
    wake(state);
    progress.silentFor(ticks);
    leading.isInDoubt = true;
  } else if (peer === state.leader) {
    wake(state, ticks);
  }
}
