/**
 * Changing the membership, the leader's side (paper section 6, thesis 4.3): one change at a time, by joint consensus.
 *
 *   C_old --propose--> C_old,new --committed by both majorities--> C_new appended --committed--> done
 *
 * The second step needs nobody's word: whoever leads when the joint entry is committed appends it, the leader that
 * proposed the change or one that found it in its log (R13). A leader that is no voter of C_new leads on until C_new
 * is committed, without counting itself, and steps down then.
 */
import { strict as assert } from 'node:assert';
import {
  isJoint,
  isSameMembership,
  isVoter,
  leaveJoint,
  type MembershipTarget,
  peersOf,
  stepTowards,
} from './membership.ts';
import { Progress } from './progress.ts';
import { stir } from './rest.ts';
import { type Leading, type RaftState, send } from './state.ts';
import type { ByteCount, Membership, NodeId, ProposeMembershipResult } from './types.ts';

type Refusal = Extract<ProposeMembershipResult, { kind: 'refused' }>;

/** Appends the first entry of a change. It has no cap of bytes to respect: it is small, rare, and may be what brings a
 *  group that is stuck on its cap back. */
export function proposeMembership(
  state: RaftState,
  target: MembershipTarget,
  bytes: ByteCount,
): ProposeMembershipResult {
  const refusal = refusalOf(state, target);
  if (refusal !== undefined) return refusal;
  const membership = stepTowards(state.memberships.effective, target);
  const index = appendMembership(state, membership, bytes);
  return { kind: 'accepted', term: state.term, index, membership };
}

function refusalOf(state: RaftState, target: MembershipTarget): Refusal | undefined {
  const { leading, memberships, commit, mayAppend } = state;
  const { effective, effectiveIndex } = memberships;
  if (leading === undefined) return refused('not-leader');
  if (!mayAppend) return refused('full');
  if (leading.transfer !== undefined) return refused('transferring');
  // Until an entry of its own term is committed, a leader cannot know which changes its predecessors made (R4, R11).
  if (commit < leading.firstIndex) return refused('not-ready');
  if (isJoint(effective) || effectiveIndex > commit) return refused('change-in-flight');
  const everybody = [...target.voters, ...target.learners];
  if (target.voters.length === 0 || new Set(everybody).size !== everybody.length) return refused('invalid');
  if (isSameMembership(stepTowards(effective, target), effective)) return refused('unchanged');
  const behind = target.voters.find((node) => !isVoter(effective, node) && !isInStep(state, leading, node));
  return behind === undefined ? undefined : { kind: 'refused', reason: 'learner-behind', node: behind };
}

function refused(reason: Exclude<Refusal['reason'], 'learner-behind'>): Refusal {
  return { kind: 'refused', reason };
}

/**
 * Holds what is committed, but for what is on its way: as a voter it would not hold commits up for longer than an
 * election timeout (thesis 4.2.1). A few entries, or those of a moment: under a steady load that may be thousands.
 */
function isInStep({ options, commit }: RaftState, leading: Leading, node: NodeId): boolean {
  const progress = leading.progress.get(node);
  if (progress?.state !== 'replicate') return false;
  const { older = Number.POSITIVE_INFINITY } = leading.commitMarks;
  return commit - progress.countedMatch <= options.learnerLagMax || progress.countedMatch >= older;
}

function appendMembership(state: RaftState, membership: Membership, bytes: ByteCount): number {
  const { leading, log, memberships } = state;
  assert.ok(leading !== undefined, 'only a leader appends a membership');
  const index = log.lastIndex + 1;
  stir(state);
  // In force from here on, for this leader like for everybody else who appends it (R12).
  memberships.append(index, membership);
  followMembers(state);
  log.append(state.term, index);
  leading.uncommitted.add(index, bytes);
  return index;
}

/**
 * One Progress for each other member, and for nobody else: a new one is probed at the end of the log. Called before the
 * entry that tells them so is appended, or nobody would ask for it.
 */
export function followMembers({ leading, log, membership, options }: RaftState): void {
  assert.ok(leading !== undefined, 'only a leader follows its members');
  const peers = peersOf(membership, options.id);
  for (const peer of leading.progress.keys()) if (!peers.includes(peer)) leading.progress.delete(peer);
  for (const peer of peers) {
    if (!leading.progress.has(peer)) leading.progress.set(peer, new Progress(peer, log.lastIndex + 1, options));
  }
}

/** The leader's commit moved, or its log takes entries again. A majority of others commits the first entry of a change
 *  while the leader's own disk is full: the second one waits for room, here or at the next leader. */
export function continueChange(state: RaftState): void {
  const { leading, memberships, commit, options, mayAppend } = state;
  const { effective, effectiveIndex } = memberships;
  if (leading === undefined || effectiveIndex > commit || !isJoint(effective)) return;
  if (!mayAppend) return;
  const membership = leaveJoint(effective);
  const index = appendMembership(state, membership, options.noopBytes);
  state.outbox.own.push({ index, membership });
}

/** Whether this leader was removed and has done what was left to do: its removal is committed (paper section 6). */
export function isDismissed({ memberships, commit, options }: RaftState): boolean {
  const { effective, effectiveIndex } = memberships;
  return effectiveIndex <= commit && !isVoter(effective, options.id);
}

/** A leader that goes for good names its successor, so that the group need not wait for a timeout. */
export function nameSuccessor(state: RaftState): void {
  const { leading, log, memberships, options, term } = state;
  for (const { peer, countedMatch } of leading?.progress.values() ?? []) {
    if (countedMatch !== log.lastIndex || !memberships.effective.voters.includes(peer)) continue;
    send(state, { kind: 'timeout-now', from: options.id, to: peer, term });
    return;
  }
}
