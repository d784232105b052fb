/**
 * Builds a Ready out of what changed since the last one. The order the partition must keep is stated at the type.
 */
import { isSameMembership } from './membership.ts';
import { takeSends } from './replication.ts';
import type { RaftState } from './state.ts';
import type { HardState, LogIndex, Membership, Message, OwnEntry, RaftStatus, Ready } from './types.ts';

/** Shared by all Readies: most lists of most turns are empty. */
const NO_MESSAGES: readonly Message[] = [];
const NO_ENTRIES: readonly OwnEntry[] = [];

export function takeReady(state: RaftState): Ready | undefined {
  const { outbox } = state;
  const hardState = takeHardState(state);
  const status = takeStatus(state);
  const membership = takeMembership(state);
  const append = takeAppend(state);
  const commit = takeCommit(state);
  const { sends, snapshotsTo } = takeSends(state);
  const isEmpty =
    hardState === undefined &&
    status === undefined &&
    membership === undefined &&
    append === undefined &&
    commit === undefined &&
    outbox.truncateFrom === undefined &&
    outbox.install === undefined &&
    outbox.messages.length + outbox.messagesAfterHardState.length + outbox.lostAcks.length === 0 &&
    sends.length + snapshotsTo.length === 0;
  if (isEmpty) return undefined;
  const { truncateFrom, install, own, messages, messagesAfterHardState, lostAcks } = outbox;
  outbox.truncateFrom = undefined;
  outbox.install = undefined;
  if (own.length > 0) outbox.own = [];
  if (messages.length > 0) outbox.messages = [];
  if (messagesAfterHardState.length > 0) outbox.messagesAfterHardState = [];
  if (lostAcks.length > 0) outbox.lostAcks = [];
  return {
    hardState,
    truncateFrom,
    append,
    own: own.length > 0 ? own : NO_ENTRIES,
    install,
    messages: messages.length > 0 ? messages : NO_MESSAGES,
    messagesAfterHardState: messagesAfterHardState.length > 0 ? messagesAfterHardState : NO_MESSAGES,
    sends,
    snapshotsTo,
    commit,
    membership,
    status,
    lostAcks: lostAcks.length > 0 ? lostAcks : [],
  };
}

function takeHardState({ outbox, term, votedFor }: RaftState): HardState | undefined {
  if (outbox.hardState.term === term && outbox.hardState.votedFor === votedFor) return undefined;
  outbox.hardState = { term, votedFor };
  return outbox.hardState;
}

function takeStatus({ outbox, role, term, leader }: RaftState): RaftStatus | undefined {
  const known = outbox.status;
  if (known.role === role && known.term === term && known.leader === leader) return undefined;
  outbox.status = { role, term, leader };
  return outbox.status;
}

function takeMembership({ outbox, membership }: RaftState): Membership | undefined {
  if (isSameMembership(outbox.membership, membership)) return undefined;
  outbox.membership = membership;
  return membership;
}

/** Entries not handed over yet are always the end of the log: nothing is handed over out of order. */
function takeAppend({ outbox, log }: RaftState): Ready['append'] {
  if (outbox.handed === log.lastIndex) return undefined;
  const first = log.entryAt(outbox.handed + 1);
  outbox.handed = log.lastIndex;
  return { first, last: log.last };
}

function takeCommit({ outbox, commit }: RaftState): LogIndex | undefined {
  if (outbox.commit === commit) return undefined;
  outbox.commit = commit;
  return commit;
}
