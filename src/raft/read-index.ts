/**
 * What linearizable reads need of the core (R7, thesis 6.4): the newest heartbeat
 * round that a quorum has answered in this term (a round is begun on demand by startRound(), replication.ts). A leader
 * whose round was answered by a quorum led when the round began: so whatever was committed by then, its commit index
 * covers. Who waits for which round is not known here (src/partition/read-index.ts).
 */
import { quorumIndex } from './quorum.ts';
import type { RaftState } from './state.ts';

/** The newest round of this term that a quorum answered, this node included; 0 when there is none. Both majorities of
 *  a joint membership count, and learners do not (thesis 4.3). */
export function confirmedRound(state: RaftState): number {
  const { leading, membership, options } = state;
  if (leading === undefined) return 0;
  return quorumIndex(membership, (voter) => {
    if (voter === options.id) return leading.round;
    const progress = leading.progress.get(voter);
    // One that forgot what it promised may have helped to elect a later leader: its answer confirms no round (R19).
    return progress === undefined || progress.isLost ? 0 : progress.answeredRound;
  });
}
