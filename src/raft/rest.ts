/**
 * Rest: an idle group stops ticking. A node hosts thousands of groups and most are idle; a heartbeat each, 25 times a
 * second to every follower, would cost it more than all appends. Whether nodes are alive is asked once a pair of nodes
 * instead, by whoever drives this core (src/broker/beats.ts), and this file is told: peerSilent(), wake().
 *
 *   leader: idle for restTicks, everything committed and durable everywhere
 *        -- heartbeat mayRest -->  follower: holds it all, durably? stops its election timer
 *        <-- reply isResting ----
 *   leader: all members rest in the round that offered it? stops its heartbeats and its quorum check
 *
 * Rest changes when timers run, and nothing else: no term, vote, entry or commit rests on it, so it can cost time and
 * never safety. Anything but the answers of that round ends it: a proposal, a message, a link that breaks, silence of
 * the other node. A resting follower sticks to its leader (R9), because its node is heard; a resting leader that any
 * candidate speaks to wakes, and its next round says that it is there.
 */
import { isHardStateDurable, type RaftState } from './state.ts';
import type { Heartbeat, HeartbeatReply, Message, NodeId } from './types.ts';

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
export function onHeartbeatRest(state: RaftState, message: Heartbeat): void {
  const { log, commit, flushed, following, installing } = state;
  state.isResting =
    message.mayRest === true &&
    message.commit === log.lastIndex &&
    commit === log.lastIndex &&
    flushed === log.lastIndex &&
    installing === undefined &&
    !following.owesAck &&
    isHardStateDurable(state);
}

/** A message arrived, before it is judged. Candidates do not wake a follower whose leader's node is heard: the leader
 *  hears of them, or of their node's silence, by itself. */
export function onMessageRest(state: RaftState, message: Message): void {
  if (message.kind === 'heartbeat-reply') return;
  if (state.role === 'leader') stir(state);
  else if (message.kind === 'append' || message.kind === 'snapshot') wake(state);
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

/** The node of `peer` was not heard for `ticks`, while this group may rest on its being there (R10). */
export function onPeerSilent(state: RaftState, peer: NodeId, ticks: number): void {
  const progress = state.leading?.progress.get(peer);
  // Of several nodes that fall silent together the first wakes the group; the others were not heard either.
  const isJustAwake = state.leading?.idleTicks === 0;
  if (progress !== undefined && (state.isResting || isJustAwake)) {
    wake(state);
    progress.silentFor(ticks);
  } else if (peer === state.leader) {
    wake(state, ticks);
  }
}
