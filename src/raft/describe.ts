/**
 * Messages, Readies and state as stable text, for scenario files, traces and logs. An entry is written index@term; a
 * range is [first .. last]; absent things are left out. A change here rewrites the scenario files: on purpose only.
 */
import type { Progress } from './progress.ts';
import type { Inspectable } from './state.ts';
import type { EntryId, EntryMeta, Heartbeat, HeartbeatReply, Membership, Message, Ready } from './types.ts';

function entry({ index, term }: EntryId): string {
  return `${index}@${term}`;
}

function range(first: EntryId, last: EntryId): string {
  return first.index === last.index ? entry(first) : `${entry(first)}..${entry(last)}`;
}

/** Voters, then those of them that go, then the learners: `n1 n2 n4 | n1 n2 n3, learners n5`. */
export function describeMembership({ voters, votersOutgoing, learners }: Membership): string {
  const outgoing = votersOutgoing.length > 0 ? ` | ${votersOutgoing.join(' ')}` : '';
  return `${voters.join(' ')}${outgoing}${learners.length > 0 ? `, learners ${learners.join(' ')}` : ''}`;
}

function entriesOf(entries: readonly EntryMeta[]): string {
  const first = entries[0];
  const last = entries.at(-1);
  return first === undefined || last === undefined ? 'nothing' : range(first, last);
}

export function describeMessage(message: Message): string {
  return `${message.from}>${message.to} ${message.kind} term=${message.term}${bodyOf(message)}${markOf(message)}`;
}

function markOf(message: Message): string {
  return 'isRejoining' in message ? ' rejoining' : '';
}

function bodyOf(message: Message): string {
  switch (message.kind) {
    case 'pre-vote':
      return ` last=${entry(message.last)}`;
    case 'vote':
      return ` last=${entry(message.last)}${message.isTransfer ? ' transfer' : ''}`;
    case 'pre-vote-reply':
    case 'vote-reply':
      return message.granted ? ' granted' : ' refused';
    case 'heartbeat':
      return ` commit=${message.commit} round=${message.round}${heartbeatMark(message)}`;
    case 'heartbeat-reply':
      return ` round=${message.round}${promiseOf(message)}${message.isResting === true ? ' rests' : ''}`;
    case 'append':
      return ` previous=${entry(message.previous)} entries=${entriesOf(message.entries)} commit=${message.commit}`;
    case 'append-reply': {
      const { accepted, index, hint, lastIndex } = message;
      return accepted
        ? ` accepted=${index} last=${lastIndex}`
        : ` refused=${index} hint=${entry(hint)} last=${lastIndex}`;
    }
    case 'snapshot':
      return [
        ` at=${entry(message.snapshot)}`,
        `members=[${describeMembership(message.membership)}]`,
        `commit=${message.commit}`,
      ].join(' ');
    case 'snapshot-reply':
      return ` installed=${message.index}`;
    case 'timeout-now':
      return '';
  }
}

function promiseOf({ promiseMs }: HeartbeatReply): string {
  return promiseMs === undefined ? '' : ` promise=${promiseMs}ms`;
}

/** One line per duty, in the order they are to be done; empty for a Ready that asks for nothing. */
export function describeReady(ready: Ready): string {
  const lines: string[] = [];
  const { status, hardState, truncateFrom, append, install, membership, commit } = ready;
  if (status !== undefined) {
    lines.push(`status ${status.role} term=${status.term} leader=${status.leader ?? 'none'}`);
  }
  if (hardState !== undefined) lines.push(`save term=${hardState.term} vote=${hardState.votedFor ?? 'none'}`);
  if (truncateFrom !== undefined) lines.push(`truncate from=${truncateFrom}`);
  if (append !== undefined) lines.push(`append ${range(append.first, append.last)}`);
  if (install !== undefined) lines.push(`install ${entry(install.snapshot)}`);
  if (membership !== undefined) lines.push(`members ${describeMembership(membership)}`);
  for (const message of ready.messages) lines.push(`send ${describeMessage(message)}`);
  for (const message of ready.messagesAfterHardState) lines.push(`send after save ${describeMessage(message)}`);
  for (const { peer, from, bytesMax } of ready.sends) lines.push(`read for=${peer} from=${from} bytes<=${bytesMax}`);
  for (const peer of ready.snapshotsTo) lines.push(`snapshot for=${peer}`);
  if (commit !== undefined) lines.push(`commit ${commit}`);
  for (const { peer, acked, lastIndex } of ready.lostAcks) {
    lines.push(`lost acks of=${peer} acked=${acked} last=${lastIndex}`);
  }
  return lines.join('\n');
}

/** The node on one line, then a line per follower while it leads. */
export function describeRaft(raft: Inspectable): string {
  const state = raft.inspect();
  const { options, role, term, votedFor, leader, log, flushed, commit } = state;
  let first = log.base.index + 1;
  const runs = log.runs().map(({ term: runTerm, lastIndex }) => {
    const text = range({ term: runTerm, index: first }, { term: runTerm, index: lastIndex });
    first = lastIndex + 1;
    return text;
  });
  const base = log.base.index > 0 ? `(${entry(log.base)}) ` : '';
  const lines = [
    `${options.id} ${role} term=${term} vote=${votedFor ?? 'none'} leader=${leader ?? 'none'}` +
      ` commit=${commit} flushed=${flushed} log=[${base}${runs.join(' ')}]`,
  ];
  for (const progress of state.leading?.progress.values() ?? []) lines.push(`  ${describeProgress(progress)}`);
  return lines.join('\n');
}

function describeProgress(progress: Progress): string {
  const { peer, state, match, next, inflightMessages, isPaused, isSuspect, standing } = progress;
  const doubt = standing === 'sound' ? '' : ` ${standing}`;
  const flags = `${isPaused ? ' paused' : ''}${isSuspect ? ' suspect' : ''}${doubt}`;
  return `${peer} ${state} match=${match} next=${next} inflight=${inflightMessages}${flags}`;
}

function heartbeatMark({ mayRest, isNotice }: Heartbeat): string {
  if (mayRest === true) return ' may-rest';
  return isNotice === true ? ' notice' : '';
}
