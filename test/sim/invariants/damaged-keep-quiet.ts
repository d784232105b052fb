/**
 * A replica that does not know what it promised promises nothing: one whose log is damaged where it ends, or was lost,
 * neither votes nor acks, and asks nobody for votes, until that is mended or it has rejoined. Looked at as the message
 * leaves. Damage counts from the opening that found it: what a read finds later may come after the promise. Source: R19.
 */
import type { Message } from '../../../src/raft/index.ts';
import { type Invariant, type ReplicaView, Violation } from './view.ts';

export function damagedKeepQuiet(): Invariant {
  /** By replica, the first damaged entry of its tail at its last opening. */
  const damagedFrom = new WeakMap<ReplicaView, number>();
  return {
    name: 'who has lost promises makes none',
    source: 'R19',
    opened(_group, replica) {
      const tail = replica.observed.log.damage.find(({ where }) => where === 'tail');
      if (tail !== undefined) damagedFrom.set(replica, tail.firstIndex);
    },
    sending({ id }, replica, message) {
      if (!isPromise(message)) return;
      const { node, core, observed } = replica;
      const from = damagedFrom.get(replica);
      const isDamaged = observed.log.damage.some(({ where, firstIndex }) => where === 'tail' && firstIndex === from);
      if (!isDamaged && core?.isRejoining !== true) return;
      const why = isDamaged ? `is damaged at its end, from ${from}` : 'was lost, and it has not rejoined';
      throw new Violation(`group ${id}: ${node} sends a ${message.kind} to ${message.to}, and its log ${why}`);
    },
  };
}

function isPromise(message: Message): boolean {
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
