/**
 * The first entry of a cluster's catalog: membership, term 1, index 1. Every founding member writes it by itself, so
 * its bytes follow from its arguments alone.
 */
import { EMPTY_CHAIN, encodeEntry, type LogEntry } from '../../storage/index.ts';
import { encodeMembershipEntry, type MembershipEntry } from './control.ts';

export interface FirstEntry extends MembershipEntry {
  readonly groupId: number;
  readonly appendTimeMs: number;
}

export function encodeFirstEntry({ groupId, appendTimeMs, membership, birth }: FirstEntry): LogEntry {
  return encodeEntry(
    {
      kind: 'membership',
      groupId,
      index: 1,
      term: 1,
      baseOffset: 0,
      recordCount: 0,
      appendTimeMs,
      producer: undefined,
      payload: encodeMembershipEntry({ membership, birth }),
    },
    EMPTY_CHAIN,
  );
}
