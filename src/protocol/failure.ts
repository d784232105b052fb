/**
 * A LogError as it travels between processes. Nothing of a failure is trusted on the way in: only documented details of
 * the right type survive, and a code this version does not know becomes INTERNAL with the code kept in its text, so
 * that the table stays closed for whoever matches on it.
 */
import type { ErrorDetails, Outcome } from './errors.ts';
import { isErrorCode, LogError } from './errors.ts';
import { FAILURE_TEXT_CHARS_MAX } from './limits.ts';
import type { Failure } from './messages.ts';
import type { Wire } from './schema.ts';

/** Typed by the interface, so that a new detail does not compile until it is here. */
export const DETAIL_TYPES: { readonly [Name in keyof Required<ErrorDetails>]: 'string' | 'number' } = {
  topic: 'string',
  partition: 'number',
  offset: 'number',
  earliest: 'number',
  tail: 'number',
  appliedOffset: 'number',
  leader: 'string',
  leaderUrl: 'string',
  retryAfterMs: 'number',
  limitBytes: 'number',
  actualBytes: 'number',
  expected: 'number',
  received: 'number',
  epoch: 'number',
  file: 'string',
  position: 'number',
  appended: 'number',
  line: 'number',
};
const DETAIL_NAMES = Object.keys(DETAIL_TYPES) as (keyof ErrorDetails)[];

/** What of an error goes to a peer: no stack, no cause. */
export function failureOf(error: LogError): Failure {
  return { code: error.code, message: error.message, outcome: error.outcome, details: error.details };
}

export function errorOf(failure: Failure): LogError {
  return new LogError(failure.code, failure.message, { outcome: failure.outcome, details: failure.details });
}

export function failureToWire(failure: Failure): Wire.Failure {
  const details = documentedDetails(failure.details);
  return {
    code: failure.code,
    message: boundedText(failure.message),
    outcome: failure.outcome,
    detailsJson: Object.keys(details).length === 0 ? '' : JSON.stringify(details),
  };
}

export function failureFromWire(wire: Wire.Failure): Failure {
  const code = wire.code ?? '';
  const message = wire.message ?? '';
  // What a peer does not say is not known.
  const outcome: Outcome = wire.outcome === 'none' ? 'none' : 'unknown';
  const details = detailsFromJson(wire.detailsJson ?? '');
  if (isErrorCode(code)) return { code, message, outcome, details };
  return { code: 'INTERNAL', message: `${boundedText(code)}: ${message}`, outcome, details };
}

function detailsFromJson(json: string): ErrorDetails {
  if (json === '') return {};
  try {
    return documentedDetails(JSON.parse(json));
  } catch {
    // Details only explain; a failure whose details are damaged is still that failure.
    return {};
  }
}

/** Picks by name, so that no foreign key (`__proto__` least of all) is ever copied. */
function documentedDetails(value: unknown): ErrorDetails {
  if (typeof value !== 'object' || value === null) return {};
  const given = value as Record<string, unknown>;
  const details: Record<string, string | number> = {};
  for (const name of DETAIL_NAMES) {
    if (!Object.hasOwn(given, name)) continue;
    const detail = given[name];
    if (typeof detail === 'number' && DETAIL_TYPES[name] === 'number' && Number.isSafeInteger(detail)) {
      details[name] = detail;
    } else if (typeof detail === 'string' && DETAIL_TYPES[name] === 'string') {
      details[name] = boundedText(detail);
    }
  }
  return details;
}

/** Fit for the wire: bounded, and well-formed even when a cut or a caller halved a surrogate pair. */
function boundedText(text: string): string {
  const cut = text.length > FAILURE_TEXT_CHARS_MAX ? `${text.slice(0, FAILURE_TEXT_CHARS_MAX - 1)}…` : text;
  return cut.replaceAll(/\p{Surrogate}/gu, '\ufffd');
}
