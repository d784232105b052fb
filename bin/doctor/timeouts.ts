/**
 * Timeouts that suit this machine, from what its disk and its processor were measured to do at their worst. Never below
 * the defaults: they are already short.
 */
export interface TimeoutReadings {
  /** p99.9 of a durable write. */
  readonly flushMs: number;
  /** The longest stall of an idle event loop. */
  readonly stallMs: number;
}

export interface ProposedTimeouts {
  readonly heartbeatMs: number;
  readonly electionMsMin: number;
  readonly electionMsMax: number;
  readonly why: string;
}

const HEARTBEAT_MS = 40;
const ELECTION_MS_MIN = 200;
const HEARTBEATS_PER_ELECTION = 5;
/** A vote is two durable writes (the slots of the hard state) at the candidate and two at the voter. */
const WRITES_PER_VOTE = 4;
/** An election that takes half the timeout succeeds before the next one begins. */
const MARGIN = 2;
const STEP_MS = 10;

export function proposeTimeouts({ flushMs, stallMs }: TimeoutReadings): ProposedTimeouts {
  const voteMs = WRITES_PER_VOTE * flushMs + stallMs;
  const electionMsMin = roundUp(Math.max(ELECTION_MS_MIN, MARGIN * voteMs));
  const heartbeatMs = Math.max(HEARTBEAT_MS, Math.floor(electionMsMin / HEARTBEATS_PER_ELECTION / STEP_MS) * STEP_MS);
  const why = `a vote may take ${voteMs.toFixed(1)} ms here: ${WRITES_PER_VOTE} durable writes and one stall`;
  return { heartbeatMs, electionMsMin, electionMsMax: 2 * electionMsMin, why };
}

function roundUp(ms: number): number {
  return Math.ceil(ms / STEP_MS) * STEP_MS;
}
