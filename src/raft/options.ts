/**
 * What a Raft core is built from: its settings, and the state its node recovered from disk.
 *
 * All times are counts of ticks; the core has no clock. The defaults a broker uses (10 ms a tick, heartbeat 4,
 * election 20..40) live with the broker's configuration; here are only the relations that must hold between them.
 */
import { strict as assert } from 'node:assert';
import type { ByteCount, EntryId, HardState, LogIndex, Membership, MembershipEntry, NodeId, TermRun } from './types.ts';

export interface RaftOptions {
  readonly id: NodeId;
  /** As of an entry known committed: at or below RaftStart.commit. One without voters is that of a replica which is to
   *  learn from its log who the members are. */
  readonly membership: Membership;
  /** Election timeouts are drawn from [min, max) ticks (paper 5.2). A voter that heard its leader less than `min`
   *  ticks ago helps no election; a leader that heard no majority for `max` ticks steps down (R9). */
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  /** A leader sends a round of heartbeats every so many ticks. At most a fifth of electionTicksMin. */
  readonly heartbeatTicks: number;
  /** A leader lets its group rest (rest.ts) when nothing happened for so many ticks. 0 or absent: never. Only for a
   *  driver that watches the other nodes by itself, and tells peerSilent() and peerDown(). */
  readonly restTicks?: number;
  /** Ticks since the node's last common heartbeat: a new leader's rounds then fall in the same ticks as those of all
   *  other groups of its node, and share their frames. Absent: 0. */
  heartbeatPhase?(): number;
  /** Whether one more group of this node may begin to campaign now; asked again at the next tick. Absent: always. */
  mayCampaignNow?(): boolean;
  /** Most bytes of one append message. One larger entry still travels, alone. */
  readonly appendBytesMax: ByteCount;
  /** Sent and unanswered, per follower (R23). A single append may pass the cap when nothing else is in flight. */
  readonly inflightBytesMax: ByteCount;
  readonly inflightMessagesMax: number;
  /** Proposed in this term and not committed: above it a leader refuses proposals (R23). One proposal is always let
   *  through when nothing is waiting. */
  readonly uncommittedBytesMax: ByteCount;
  /** A learner may be made a voter when it lacks at most so many committed entries, or only what was committed within
   *  the last half to whole electionTicksMin. */
  readonly learnerLagMax: number;
  /** Encoded size of the no-op a leader appends when its term begins. */
  readonly noopBytes: ByteCount;
  /** What this node promises in its answers to heartbeats (HeartbeatReply.promiseMs): at most what electionTicksMin - 1
   *  ticks last, since the first tick may follow at once. 0: no promises, and so no leases that rest on them. */
  readonly promiseMs: number;
  /** The only chance in the core: a number in [0, 1), seeded in tests. Used for election timeouts alone. */
  random(): number;
}

/** What recovery found on disk. Everything in it is durable. */
export interface RaftStart {
  readonly hardState: HardState;
  /** The entry just before the first stored one; {0, 0} for a log from the start. */
  readonly base: EntryId;
  /** The stored entries, from base.index + 1 on, as runs of one term. */
  readonly termRuns: readonly TermRun[];
  /** A lower bound of the commit index. */
  readonly commit: LogIndex;
  /** Of the stored entries above `commit`, those that change the membership, in index order. */
  readonly memberships: readonly MembershipEntry[];
  /** The node lost what it may have promised, and takes no part until endRejoining() (R19). */
  readonly isRejoining?: boolean;
}

/** Refuses settings that contradict each other: a wrong relation shows up as elections without end, or as none. */
export function validateOptions(options: RaftOptions): void {
  const { id, electionTicksMin, electionTicksMax, heartbeatTicks } = options;
  assert.ok(id.length > 0, 'raft option id: must not be empty');
  for (const name of [
    'electionTicksMin',
    'electionTicksMax',
    'heartbeatTicks',
    'appendBytesMax',
    'inflightBytesMax',
    'inflightMessagesMax',
    'uncommittedBytesMax',
    'learnerLagMax',
    'noopBytes',
  ] as const) {
    const value = options[name];
    assert.ok(Number.isSafeInteger(value) && value > 0, `raft option ${name}: ${value} is not a positive integer`);
  }
  const { restTicks = 0 } = options;
  assert.ok(Number.isSafeInteger(restTicks) && restTicks >= 0, `raft option restTicks: ${restTicks} is no count`);
  assert.ok(
    Number.isSafeInteger(options.promiseMs) && options.promiseMs >= 0,
    `raft option promiseMs: ${options.promiseMs} is not a whole number of ms`,
  );
  assert.ok(
    electionTicksMin >= 5 * heartbeatTicks,
    `raft option electionTicksMin: ${electionTicksMin} is less than 5 heartbeats of ${heartbeatTicks} ticks`,
  );
  assert.ok(
    electionTicksMax > electionTicksMin,
    `raft option electionTicksMax: ${electionTicksMax} is not above electionTicksMin ${electionTicksMin}`,
  );
  assert.ok(
    options.inflightBytesMax >= options.appendBytesMax,
    `raft option inflightBytesMax: ${options.inflightBytesMax} is below appendBytesMax ${options.appendBytesMax}`,
  );
}
