/**
 * A vote goes to a candidate whose log is at least as up-to-date as the voter's at that moment: by the term of the last
 * entry, then by its index. Looked at as the vote is given; most wrong votes never elect anybody. Source: Raft paper
 * 5.4.1; R2.
 */
import type { EntryId } from '../../../src/raft/index.ts';
import { type Invariant, type ReplicaView, Violation } from './view.ts';

export function votesGoToLongerLogs(): Invariant {
  /** The last entry each candidate names, by group, candidate and term. */
  const claimed = new Map<string, EntryId>();
  /** What each replica voted last. One that is opened anew begins with an older vote, from its hard state or from the
   *  standing of a lost log: given to other logs. */
  const votes = new WeakMap<ReplicaView, { readonly term: number; readonly votedFor: string | undefined }>();
  return {
    name: 'votes go to logs that are at least as up-to-date',
    source: 'Raft paper 5.4.1, R2',
    sending({ id }, { node }, message) {
      if (message.kind === 'vote') claimed.set(`${id}/${node}/${message.term}`, message.last);
    },
    stepped({ id }, replica, { term, votedFor, leader, log }) {
      const before = votes.get(replica);
      if (before?.term === term && before.votedFor === votedFor) return;
      votes.set(replica, { term, votedFor });
      // Who rejoins gives the vote it cannot remember to the leader there is: that elects nobody.
      if (leader === votedFor) return;
      const { node } = replica;
      const last = claimed.get(`${id}/${votedFor}/${term}`);
      if (before === undefined || votedFor === undefined || votedFor === node || last === undefined) return;
      const own = log.last;
      if (last.term > own.term || (last.term === own.term && last.index >= own.index)) return;
      const [theirs, ours] = [last, own].map(({ index, term: of }) => `${index}@${of}`);
      throw new Violation(`group ${id}: ${node} ends at ${ours} and votes for ${votedFor}, which ends at ${theirs}`);
    },
  };
}
