/**
 * Leadership transfer, the leader's side (thesis 3.10): proposals are refused, the target is brought up to date, then
 * told to campaign at once. What the target does with that is in election.ts.
 */
import { type RaftState, send } from './state.ts';
import type { NodeId } from './types.ts';

/**
 * Begins to hand over to `peer`. False when this is no leader, `peer` is no other voter that stays one, or was not
 * heard lately.
 */
export function transferTo(state: RaftState, peer: NodeId): boolean {
  const { leading, options } = state;
  const progress = leading?.progress.get(peer);
  if (leading === undefined || progress === undefined || !state.membership.voters.includes(peer)) return false;
  if (progress.ticksSilent >= options.electionTicksMax || progress.isLost) return false;
  if (leading.transfer?.to === peer) return true;
  leading.transfer = { to: peer, ticks: 0 };
  maybeTimeoutNow(state, peer);
  return true;
}

/** Gives up after an election timeout: the group must not stay without proposals for a target that cannot win. */
export function tickTransfer(state: RaftState, ticks: number): void {
  const { leading, options } = state;
  if (leading?.transfer === undefined) return;
  leading.transfer.ticks += ticks;
  if (leading.transfer.ticks >= options.electionTicksMax) leading.transfer = undefined;
}

/** `peer` was heard. Tells it to campaign when it is the target and holds the whole log. Said again at each of its
 *  answers, because it may get lost. */
export function maybeTimeoutNow(state: RaftState, peer: NodeId): void {
  const { leading, log, options, term } = state;
  if (leading?.transfer?.to !== peer || leading.progress.get(peer)?.countedMatch !== log.lastIndex) return;
  send(state, { kind: 'timeout-now', from: options.id, to: peer, term });
}
