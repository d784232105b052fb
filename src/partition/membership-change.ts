/** The first entry of a membership change, from the leader's core into its log; the drive loop writes the second. */
import { ENTRY_HEADER_BYTES, encodeEntry, type Log } from '../../storage/index.ts';
import type { MembershipTarget, ProposeMembershipResult, Raft } from '../raft/index.ts';
import { encodeMembershipEntry } from './control.ts';
import type { Drive } from './drive.ts';

/** 'refused' as the core says why. */
export type MembershipChange =
  | { readonly kind: 'begun' }
  | Extract<ProposeMembershipResult, { readonly kind: 'refused' }>;

export interface ChangeParts {
  readonly raft: Raft;
  readonly log: Log;
  readonly drive: Drive;
}

/** Puts the entry where the next turn of the drive loop takes it; run() is to follow at once. */
export function beginChange(
  { raft, log, drive }: ChangeParts,
  target: MembershipTarget,
  nowMs: () => number,
): MembershipChange {
  // Which membership the entry will hold is the core's to say; this is the largest it can be.
  const largest = encodeMembershipEntry({
    membership: { ...target, votersOutgoing: raft.membership.voters },
    birth: undefined,
  });
  const proposed = raft.proposeMembership(target, ENTRY_HEADER_BYTES + largest.length);
  if (proposed.kind === 'refused') return proposed;
  const { index, term, membership } = proposed;
  const entry = encodeEntry(
    {
      kind: 'membership',
      groupId: log.groupId,
      index,
      term,
      baseOffset: log.nextOffset,
      recordCount: 0,
      appendTimeMs: Math.max(nowMs(), log.lastAppendTimeMs),
      producer: undefined,
      payload: encodeMembershipEntry({ membership, birth: undefined }),
    },
    log.lastChain,
  );
  drive.accept(entry, undefined);
  return { kind: 'begun' };
}
