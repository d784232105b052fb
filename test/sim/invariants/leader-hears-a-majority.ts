/**
 * A leader that no majority of voters answers steps down within an election timeout: it may have been succeeded, and
 * must not keep its clients waiting. Source: R9, R10; thesis 6.2.
 *
 * A pause may make many ticks of silence known at once, so silence alone breaks nothing: heartbeat rounds begun in it
 * do.
 */
import { hasQuorum } from '../../../src/raft/quorum.ts';
import { type Invariant, Violation } from './view.ts';

/** A round or two may be begun for a reader between two ticks. */
const ROUNDS_MAX = 10;

export function leaderHearsAMajority(): Invariant {
  /** By group, node and term: the round in which the silence was noticed first. */
  const silentSince = new Map<string, number>();
  return {
    name: 'a leader hears a majority',
    source: 'R9, R10',
    stepped({ id }, { node }, { leading, membership, options, term, isResting }) {
      const isHeard = (voter: string): boolean =>
        voter === options.id || (leading?.progress.get(voter)?.ticksSilent ?? Infinity) < options.electionTicksMax;
      if (leading === undefined || isResting || hasQuorum(membership, isHeard)) {
        if (silentSince.size > 0) silentSince.delete(`${id}/${node}/${term}`);
        return;
      }
      const key = `${id}/${node}/${term}`;
      const since = silentSince.get(key) ?? leading.round;
      silentSince.set(key, since);
      if (leading.round - since > ROUNDS_MAX)
        throw new Violation(`group ${id}: ${node} leads term ${term} and heard no majority for an election timeout`);
    },
  };
}
