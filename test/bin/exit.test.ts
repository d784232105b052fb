import { describe, expect, test } from 'vitest';
import { ExitError, errorDocument, errorLines, exitCodeOf, UsageError } from '../../bin/exit.ts';
import { ERROR_TABLE, type ErrorCode, LogError } from '../../src/protocol/index.ts';

describe('exit codes', () => {
  test('of every error of the protocol come from its table', () => {
    for (const [code, row] of Object.entries(ERROR_TABLE)) {
      expect([code, exitCodeOf(new LogError(code as ErrorCode))]).toEqual([code, row.exitCode]);
    }
  });

  test('are 2 for wrong use, 1 for anything else, and what a command says itself', () => {
    expect(exitCodeOf(new UsageError('unknown flag'))).toBe(2);
    expect(exitCodeOf(new Error('disk on fire'))).toBe(1);
    expect(exitCodeOf('thrown text')).toBe(1);
    expect(exitCodeOf(new ExitError(130))).toBe(130);
  });
});

describe('what is said about an error', () => {
  test('to programs: code, outcome and details as in the SDK', () => {
    const error = new LogError('OUT_OF_RANGE', 'offset 9 lies past the tail', { details: { tail: 5, earliest: 0 } });
    expect(errorDocument(error)).toEqual({
      code: 'OUT_OF_RANGE',
      message: 'offset 9 lies past the tail',
      outcome: 'none',
      retriable: false,
      details: { tail: 5, earliest: 0 },
    });
    expect(errorDocument(new LogError('TIMEOUT'))).not.toHaveProperty('details');
    expect(errorDocument(new UsageError('no'))).toMatchObject({ code: 'INVALID', message: 'no' });
    expect(errorDocument(new Error('oops'))).toMatchObject({ code: 'INTERNAL', message: 'oops' });
  });

  test('to people: what happened, its code, whether it may have happened, and what to do', () => {
    expect(errorLines(new LogError('TIMEOUT', 'No answer.'))).toEqual([
      'logdrive: No answer. (TIMEOUT; it may have happened)',
      `  ${ERROR_TABLE.TIMEOUT.advice}`,
    ]);
    expect(errorLines(new LogError('NO_LEADER', 'None.'))[0]).toBe('logdrive: None. (NO_LEADER)');
    expect(errorLines(new UsageError('unknown flag --x'))).toEqual([
      'logdrive: unknown flag --x',
      '  See logdrive --help.',
    ]);
    expect(errorLines(new Error('oops'))).toEqual(['logdrive: oops']);
  });
});
