/**
 * Nothing is told to another node before the disk holds what it rests on: a vote, a request for votes, an answer to a
 * leader of a new term, an ack. Looked at as the message leaves, so no crash is needed to find an early word. Source:
 * R1, R6, W14.
 */
import type { HardState } from '../../../storage/index.ts';
import { type Invariant, Violation } from './view.ts';

export function toldAfterDurable(): Invariant {
  return {
    name: 'told only when durable',
    source: 'R1, R6, W14',
    sending({ id }, { node, hardState, durableIndex }, message) {
      const early = (what: string): Violation =>
        new Violation(`group ${id}: ${node} tells ${message.to} ${what}, which is not on its disk`);
      switch (message.kind) {
        case 'vote-reply':
          if (message.granted && !isVotedFor(hardState, message.term, message.to))
            throw early(`that it votes for it in term ${message.term}`);
          return;
        case 'vote':
          if (!isVotedFor(hardState, message.term, node)) throw early(`that it stands in term ${message.term}`);
          return;
        case 'heartbeat-reply':
          if (hardState.term < message.term) throw early(`that it follows in term ${message.term}`);
          return;
        case 'append-reply':
          if (hardState.term < message.term) throw early(`that it follows in term ${message.term}`);
          if (message.accepted && message.index > durableIndex) throw early(`that it holds entry ${message.index}`);
          return;
        default:
      }
    },
  };
}

/** A later term on disk covers it: the voter moved on, the vote stood. */
function isVotedFor({ term, votedFor }: HardState, inTerm: number, candidate: string): boolean {
  return term > inTerm || (term === inTerm && votedFor === candidate);
}
