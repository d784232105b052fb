/**
 * A replica that does not know what it promised promises nothing: one whose log is damaged where it ends, or was lost,
 * neither votes nor acks, and asks nobody for votes, until that is mended or it has rejoined. Looked at as the message
 * leaves; what was promised before the damage was found may still be on its way. Source: R19.
 */
import type { Message } from '../../../src/raft/index.ts';
import { type Invariant, type ReplicaView, Violation } from './view.ts';

/** What a replica had promised when its tail was first seen damaged. */
interface Promised {
  readonly term: number;
  readonly votedFor: string | undefined;
  readonly durableIndex: number;
}

export function damagedKeepQuiet(): Invariant {
  const damaged = new WeakMap<ReplicaView, Promised>();
  return {
    name: 'who has lost promises makes none',
    source: 'R19',
    stepped(_group, replica, { term, votedFor }) {
      const isDamaged = replica.observed.log.damage.some(({ where }) => where === 'tail');
      if (!isDamaged) damaged.delete(replica);
      else if (!damaged.has(replica)) damaged.set(replica, { term, votedFor, durableIndex: replica.durableIndex });
    },
    sending({ id }, replica, message) {
      const { node, core } = replica;
      const promised = damaged.get(replica);
      const isEarly = promised !== undefined && isNewPromise(message, promised);
      if (!isEarly && !(core?.isRejoining === true && isVoting(message))) return;
      const why = isEarly ? 'is damaged at its end' : 'was lost, and it has not rejoined';
      throw new Violation(`group ${id}: ${node} sends a ${message.kind} to ${message.to}, and its log ${why}`);
    },
  };
}

function isNewPromise(message: Message, { term, votedFor, durableIndex }: Promised): boolean {
  switch (message.kind) {
    case 'vote':
      return message.term > term;
    case 'vote-reply':
      return message.granted && (message.term > term || message.to !== votedFor);
    case 'append-reply':
      return message.accepted && message.index > durableIndex;
    default:
      return false;
  }
}

function isVoting(message: Message): boolean {
  switch (message.kind) {
    case 'vote':
    case 'pre-vote':
      return true;
    case 'vote-reply':
    case 'pre-vote-reply':
      return message.granted;
    default:
      return false;
  }
}
