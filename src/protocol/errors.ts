/**
 * The one table of errors users can meet, on every face: SDK, WebSocket, HTTP and command line use the same codes.
 *
 * A row says what happened, whether trying again can help, what the failure means for the caller's data
 * ('none': surely not done; 'unknown': may have been done), and how HTTP and the command line show it.
 * The table is closed: codes are a union. docs/errors.md has one heading a code, and a test compares the two.
 */

export type Outcome = 'none' | 'unknown';

export type ErrorCode =
  | 'NOT_LEADER'
  | 'NO_LEADER'
  | 'NOT_YET'
  | 'TIMEOUT'
  | 'CONNECTION'
  | 'DRAINING'
  | 'OVERLOADED'
  | 'STORAGE_FULL'
  | 'STORAGE_CORRUPT'
  | 'TRIMMED'
  | 'STALE_TOKEN'
  | 'OUT_OF_RANGE'
  | 'TOPIC_NOT_FOUND'
  | 'PARTITION_NOT_FOUND'
  | 'TOPIC_EXISTS'
  | 'NODE_EXISTS'
  | 'NODE_NOT_FOUND'
  | 'NODE_DOWN'
  | 'CHANGE_IN_FLIGHT'
  | 'PRODUCER_FENCED'
  | 'SEQUENCE_GAP'
  | 'TOO_LARGE'
  | 'CRC'
  | 'INVALID'
  | 'UNSUPPORTED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'CLOSED'
  | 'ABORTED'
  | 'INTERNAL';

export interface ErrorRow {
  /** One sentence: what happened. */
  readonly sentence: string;
  /** What to do next. */
  readonly advice: string;
  readonly isRetriable: boolean;
  readonly outcome: Outcome;
  readonly httpStatus: number;
  /** Exit code of the command line. */
  readonly exitCode: number;
}

function row(
  sentence: string,
  advice: string,
  isRetriable: boolean,
  outcome: Outcome,
  httpStatus: number,
  exitCode: number,
): ErrorRow {
  return { sentence, advice, isRetriable, outcome, httpStatus, exitCode };
}

// biome-ignore format: one row a code reads as a table.
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorRow>> = {
  NOT_LEADER: row('This node does not lead the partition.', 'Ask the leader named in the error.', true, 'none', 503, 4),
  NO_LEADER: row('The partition has no leader at the moment.', 'Try again shortly; check that a majority of its replicas is up.', true, 'none', 503, 5),
  NOT_YET: row('This replica has not applied that offset yet.', 'Try again, or ask the leader.', true, 'none', 503, 5),
  TIMEOUT: row('No answer came within the time allowed.', 'The append may have happened: retry only as an idempotent producer, or read to find out.', true, 'unknown', 504, 6),
  CONNECTION: row('The connection was lost or could not be made.', 'Check the address and that the node is up.', true, 'unknown', 503, 3),
  DRAINING: row('This node is shutting down.', 'Use another node.', true, 'none', 503, 4),
  OVERLOADED: row('Too many bytes are waiting.', 'Try again after retryAfterMs.', true, 'none', 429, 4),
  STORAGE_FULL: row('The disk is full.', 'Free space on the node; appends go on by themselves.', true, 'none', 507, 4),
  STORAGE_CORRUPT: row('Stored bytes failed their checksum and no peer could supply them.', 'See the file and position named; restore that replica from a peer.', false, 'none', 500, 4),
  TRIMMED: row('The offset lies below the first one that is still stored.', 'Start at earliest, named in the error.', false, 'none', 410, 7),
  STALE_TOKEN: row('The token names a record that this log does not hold.', 'Drop the token: read at another level, and take a new token from what is there.', false, 'none', 412, 7),
  OUT_OF_RANGE: row('The offset lies past the tail.', 'Start at or below tail, named in the error.', false, 'none', 400, 7),
  TOPIC_NOT_FOUND: row('There is no such topic.', 'Create it, or check the name.', false, 'none', 404, 7),
  PARTITION_NOT_FOUND: row('The topic has no such partition.', 'Partitions count from 0.', false, 'none', 404, 7),
  TOPIC_EXISTS: row('A topic of that name exists.', 'Use it, or choose another name.', false, 'none', 409, 8),
  NODE_EXISTS: row('A node of that id is a member, or was one.', 'Start the new node under an id that was never used.', false, 'none', 409, 8),
  NODE_NOT_FOUND: row('No member of the cluster has that id.', 'See the members in `logdrive cluster info`.', false, 'none', 404, 7),
  NODE_DOWN: row('A node that is needed for this does not answer.', 'Start it, or check its address; the error names it.', false, 'none', 503, 5),
  CHANGE_IN_FLIGHT: row('Another change of the cluster is not finished.', 'Try again when `logdrive cluster info` shows no node that is joining or leaving.', false, 'none', 409, 8),
  PRODUCER_FENCED: row('A newer epoch of this producer id has taken over.', 'Stop, or go on with a higher epoch.', false, 'unknown', 403, 8),
  SEQUENCE_GAP: row('The sequence number does not follow the last one of this producer.', 'Send the expected sequence, or raise the epoch and start at 0.', false, 'none', 409, 8),
  TOO_LARGE: row('The record, batch or message is over the limit.', 'Send less at once; the limit is named in the error.', false, 'none', 413, 2),
  CRC: row('The bytes do not match their checksum.', 'They were damaged on the way: send or read them again.', true, 'none', 400, 4),
  INVALID: row('The request is malformed or breaks a rule.', 'Correct it; the error names what is wrong.', false, 'none', 400, 2),
  UNSUPPORTED: row('This version or feature is not supported here.', 'Check the versions of client and nodes.', false, 'none', 400, 2),
  FORBIDDEN: row('That is not allowed.', 'Check origin and rights.', false, 'none', 403, 9),
  NOT_FOUND: row('There is nothing at that address.', 'Check the path.', false, 'none', 404, 7),
  METHOD_NOT_ALLOWED: row('That method is not allowed there.', 'Check the method.', false, 'none', 405, 2),
  CLOSED: row('The client, producer, subscription or broker was closed.', 'Open a new one.', false, 'none', 503, 1),
  ABORTED: row('The caller gave up waiting.', 'What was sent may have happened.', false, 'unknown', 499, 130),
  INTERNAL: row('A defect in logdrive.', 'Please report it with the log of the node.', false, 'unknown', 500, 1),
};

/** Facts about one failure, by their documented names. */
export interface ErrorDetails {
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly earliest?: number;
  readonly tail?: number;
  readonly appliedOffset?: number;
  readonly leader?: string;
  readonly leaderUrl?: string;
  readonly retryAfterMs?: number;
  readonly limitBytes?: number;
  readonly actualBytes?: number;
  readonly expected?: number;
  readonly received?: number;
  readonly epoch?: number;
  readonly file?: string;
  readonly position?: number;
  /** How many leading records of the request were appended before it failed. */
  readonly appended?: number;
  readonly line?: number;
}

export interface LogErrorOptions {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
  /** Overrides the table, e.g. a CONNECTION error before anything was sent is 'none'. */
  readonly outcome?: Outcome;
}

const BRAND = Symbol.for('logdrive.LogError');

/** The one class of error users meet. Match on `code`; the text may change. */
export class LogError extends Error {
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  readonly details: ErrorDetails;

  /** @param what What happened, to what, in one sentence; the table's sentence when absent. */
  constructor(code: ErrorCode, what?: string, options: LogErrorOptions = {}) {
    super(what ?? ERROR_TABLE[code].sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LogError';
    this.code = code;
    this.outcome = options.outcome ?? ERROR_TABLE[code].outcome;
    this.details = options.details ?? {};
  }

  get retriable(): boolean {
    return ERROR_TABLE[this.code].isRetriable;
  }

  /** True for a LogError of any installed copy of logdrive. */
  static is(error: unknown): error is LogError {
    return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BRAND] === true;
  }
}

// Once for all of them: on each it would be what costs most about an error.
Object.defineProperty(LogError.prototype, BRAND, { value: true });

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, code);
}

/** For rooms that also run in browsers: a broken invariant stops here, with its state in the text. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
