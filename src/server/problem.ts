/**
 * Errors as HTTP tells them: application/problem+json (RFC 9457) with the code, outcome and facts of the table every
 * face shares. No stack, no path, no payload.
 */
import { ERROR_TABLE, type ErrorCode, LogError, type Outcome } from '../protocol/index.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @param status Overrides the table's, where HTTP knows a finer one. @param extra Members beside the details. */
export function problemOf(error: LogError, status?: number, extra: Readonly<Record<string, unknown>> = {}): Problem {
  const row = ERROR_TABLE[error.code];
  const shown = status ?? row.httpStatus;
  const { retryAfterMs } = error.details;
  const retry = retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) };
  const body = JSON.stringify({
    type: `urn:logdrive:error:${error.code}`,
    title: row.sentence,
    status: shown,
    code: error.code,
    detail: error.message,
    outcome: error.outcome,
    retriable: error.retriable,
    ...error.details,
    ...extra,
  });
  return { status: shown, headers: { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store', ...retry }, body };
}

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'TIMEOUT',
  413: 'TOO_LARGE',
  503: 'OVERLOADED',
};

/** An error of the HTTP layer itself, by its status. As a rule nothing has reached a log then. */
export function httpError(status: number, what: string, outcome: Outcome = 'none'): LogError {
  const code = BY_STATUS[status] ?? (status < 500 ? 'INVALID' : 'INTERNAL');
  return new LogError(code, what, { outcome });
}

/** A whole answer for a socket on which no HTTP library answers any more. */
export function rawAnswer({ status, headers, body }: Problem, phrase: string): string {
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' });
  return `HTTP/1.1 ${status} ${phrase}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}
