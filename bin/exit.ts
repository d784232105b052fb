/**
 * How the command line ends: which exit code, and what it says on stderr. One table for all commands, the error table
 * of the protocol: 0 done, 1 other, 2 wrong use or input, 3 no connection, 4-6 try again, 7 no such thing, 8 conflict,
 * 9 not allowed, 130 interrupted.
 */
import { ERROR_TABLE, LogError } from '../src/protocol/index.ts';

export const EXIT_OK = 0;
export const EXIT_OTHER = 1;
export const EXIT_USAGE = 2;
/** 128 + SIGINT, as shells report it. */
export const EXIT_INTERRUPTED = 130;

/** The command was called wrongly: a flag, an argument, a value. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A command that has already said what went wrong, and now ends with this code. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode;
  if (error instanceof UsageError) return EXIT_USAGE;
  if (LogError.is(error)) return ERROR_TABLE[error.code].exitCode;
  return EXIT_OTHER;
}

/** The facts of an error as one JSON document: the same `code` as in the SDK and in HTTP. */
export function errorDocument(error: unknown): Record<string, unknown> {
  if (LogError.is(error)) {
    return {
      code: error.code,
      message: error.message,
      outcome: error.outcome,
      retriable: error.retriable,
      ...(Object.keys(error.details).length > 0 && { details: error.details }),
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (exitCodeOf(error) === EXIT_USAGE) return { code: 'INVALID', message, outcome: 'none', retriable: false };
  return { code: 'INTERNAL', message, outcome: 'unknown', retriable: false };
}

/** The lines a person sees: what happened, then what to do next. */
export function errorLines(error: unknown): string[] {
  if (LogError.is(error)) {
    const unknown = error.outcome === 'unknown' ? '; it may have happened' : '';
    return [`logdrive: ${error.message} (${error.code}${unknown})`, `  ${ERROR_TABLE[error.code].advice}`];
  }
  const message = error instanceof Error ? error.message : String(error);
  if (exitCodeOf(error) === EXIT_USAGE) return [`logdrive: ${message}`, '  See logdrive --help.'];
  return [`logdrive: ${message}`];
}
