import { describe, expect, test } from 'vitest';
import { assert, ERROR_TABLE, type ErrorCode, isErrorCode, LogError } from '../../src/protocol/index.ts';

const ROWS = Object.entries(ERROR_TABLE);

describe('the error table', () => {
  test.each(ROWS)('%s has whole sentences, an HTTP status of a failure and an exit code of one', (_, row) => {
    for (const text of [row.sentence, row.advice]) expect(text).toMatch(/^[A-Z].*\.$/);
    expect(row.httpStatus).toBeGreaterThanOrEqual(400);
    expect(row.httpStatus).toBeLessThan(600);
    expect(row.exitCode).toBeGreaterThanOrEqual(1);
    expect(row.exitCode).toBeLessThanOrEqual(255);
  });

  test('calls retriable only what can become better by itself', () => {
    const retriable = ROWS.filter(([, row]) => row.isRetriable).map(([code]) => code);
    expect(retriable.sort()).toEqual([
      'CONNECTION',
      'CRC',
      'DRAINING',
      'NOT_LEADER',
      'NOT_YET',
      'NO_LEADER',
      'OVERLOADED',
      'STORAGE_FULL',
      'TIMEOUT',
    ]);
  });

  test('knows its codes and no property that every object has', () => {
    for (const [code] of ROWS) expect(isErrorCode(code)).toBe(true);
    for (const name of ['', 'trimmed', 'toString', 'constructor', '__proto__']) expect(isErrorCode(name)).toBe(false);
  });
});

describe('LogError', () => {
  test('says what the table says where nothing else was said', () => {
    const error = new LogError('TRIMMED');
    expect(error).toMatchObject({ name: 'LogError', code: 'TRIMMED', outcome: 'none', retriable: false, details: {} });
    expect(error.message).toBe(ERROR_TABLE.TRIMMED.sentence);
    expect('cause' in error).toBe(false);
  });

  test('keeps what was said: text, outcome, details, cause', () => {
    const cause = new Error('socket closed');
    const error = new LogError('CONNECTION', 'Never sent.', { outcome: 'none', details: { leader: 'n2' }, cause });
    expect(error).toMatchObject({ message: 'Never sent.', outcome: 'none', details: { leader: 'n2' }, cause });
    expect(error.retriable).toBe(true);
  });

  test('is known across copies of the package, and nothing else is', () => {
    const foreign = Object.defineProperty(new Error('x'), Symbol.for('logdrive.LogError'), { value: true });
    expect(LogError.is(foreign)).toBe(true);
    const others = [new Error('x'), undefined, null, 'INVALID', { code: 'INVALID' as ErrorCode }];
    for (const other of others) expect(LogError.is(other)).toBe(false);
  });
});

describe('assert', () => {
  test('stops with its state in the text, and lets what holds pass', () => {
    expect(() => assert(false, 'commit 3 <= last 2')).toThrow('invariant broken: commit 3 <= last 2');
    expect(() => assert(true, 'fine')).not.toThrow();
  });
});
