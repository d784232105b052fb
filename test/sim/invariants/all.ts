/** Every invariant there is; docs/simulation.md lists them. */
import { answersFollowCommits } from './answers-follow-commits.ts';
import { appliedStateEqual } from './applied-state-equal.ts';
import { changesOneByOne } from './changes-one-by-one.ts';
import { commitIsDurable } from './commit-is-durable.ts';
import { committedIsKept } from './committed-is-kept.ts';
import { configurationsOverlap } from './configurations-overlap.ts';
import { coreInvariants } from './core-invariants.ts';
import { cutBatchesAreForgotten } from './cut-batches-are-forgotten.ts';
import { cutsOnlyOnConflict } from './cuts-only-on-conflict.ts';
import { damagedKeepQuiet } from './damaged-keep-quiet.ts';
import { hardStateNeverFalls } from './hard-state-never-falls.ts';
import { installsGoForward } from './installs-go-forward.ts';
import { leaderCommitsOwnTerm } from './leader-commits-own-term.ts';
import { leaderCompleteness } from './leader-completeness.ts';
import { leaderHearsAMajority } from './leader-hears-a-majority.ts';
import { leadersAreElected } from './leaders-are-elected.ts';
import { logMatching } from './log-matching.ts';
import { logWithinTerm } from './log-within-term.ts';
import {
  membershipsFollowTheLog,
  newVotersAreInStep,
  statesCarryTheirMembership,
} from './memberships-follow-the-log.ts';
import { oneLeaderPerTerm } from './one-leader-per-term.ts';
import { producersInOrder } from './producers-in-order.ts';
import { readsCoverCommits } from './reads-cover-commits.ts';
import { removedLogsStayGone } from './removed-logs-stay-gone.ts';
import { snapshotBeforeTrim } from './snapshot-before-trim.ts';
import { snapshotsHoldTheirIndex } from './snapshots-hold-their-index.ts';
import { termsBeginWithACandidate } from './terms-begin-with-a-candidate.ts';
import { toldAfterDurable } from './told-after-durable.ts';
import type { Invariant } from './view.ts';
import { votersWaitAnew } from './voters-wait-anew.ts';
import { votesGoToLongerLogs } from './votes-go-to-longer-logs.ts';

/** Fresh ones: each remembers what it saw of one run. */
export function allInvariants(): readonly Invariant[] {
  return [
    oneLeaderPerTerm(),
    hardStateNeverFalls(),
    logMatching(),
    commitIsDurable(),
    leaderCompleteness(),
    committedIsKept(),
    appliedStateEqual(),
    configurationsOverlap(),
    coreInvariants(),
    termsBeginWithACandidate(),
    leaderHearsAMajority(),
    logWithinTerm(),
    toldAfterDurable(),
    votesGoToLongerLogs(),
    leaderCommitsOwnTerm(),
    cutsOnlyOnConflict(),
    snapshotsHoldTheirIndex(),
    snapshotBeforeTrim(),
    damagedKeepQuiet(),
    votersWaitAnew(),
    changesOneByOne(),
    readsCoverCommits(),
    answersFollowCommits(),
    producersInOrder(),
    cutBatchesAreForgotten(),
    leadersAreElected(),
    membershipsFollowTheLog(),
    statesCarryTheirMembership(),
    newVotersAreInStep(),
    installsGoForward(),
    removedLogsStayGone(),
  ];
}
