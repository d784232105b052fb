import { describe, expect, test } from 'vitest';
import {
  decodeFrame,
  ERROR_TABLE,
  type ErrorCode,
  type ErrorDetails,
  encodeFrame,
  errorOf,
  FAILURE_TEXT_CHARS_MAX,
  type Failure,
  failureOf,
  LogError,
  type NackMessage,
} from '../../src/protocol/index.ts';
import { encodeWire, wire } from '../../src/protocol/schema.ts';
import { expectPrototypesUntouched } from './support/fuzz.ts';

const CODES = Object.keys(ERROR_TABLE) as ErrorCode[];

function travel(error: LogError): LogError {
  const [bytes] = encodeFrame(0, { kind: 'nack', requestId: 1, failure: failureOf(error) });
  return errorOf((decodeFrame(bytes!)!.message as NackMessage).failure);
}

/** What a peer of any kind may write into the four fields of a failure. */
function received(fields: { code?: string; message?: string; outcome?: string; detailsJson?: string }): Failure {
  const header = encodeWire(wire.Nack, { requestId: 1, failure: fields });
  const lengthBytes = header.length < 128 ? [header.length] : [0x80 | (header.length & 0x7f), header.length >>> 7];
  const bytes = Uint8Array.of(5, 0, 0, 0, 0, ...lengthBytes, ...header);
  return (decodeFrame(bytes)!.message as NackMessage).failure;
}

describe('an error between processes', () => {
  test.each(CODES)('%s arrives with its code, text, outcome and details', (code) => {
    const details = { topic: 'packages', partition: 3, earliest: 10, tail: 2 ** 53 - 1, leaderUrl: 'ws://n2' };
    const outcome = ERROR_TABLE[code].outcome === 'none' ? 'unknown' : 'none';
    const arrived = travel(new LogError(code, 'It went wrong.', { details, outcome }));
    expect(arrived).toMatchObject({ code, message: 'It went wrong.', outcome, details });
    expect(arrived.retriable).toBe(ERROR_TABLE[code].isRetriable);
    expect(LogError.is(arrived)).toBe(true);
  });

  test('takes every documented detail along', () => {
    const details: Required<ErrorDetails> = {
      topic: 'a',
      partition: 1,
      offset: 2,
      earliest: 3,
      tail: 4,
      appliedOffset: 5,
      leader: 'n1',
      leaderUrl: 'ws://n1',
      retryAfterMs: 6,
      limitBytes: 7,
      actualBytes: 8,
      expected: 9,
      received: 10,
      epoch: 11,
      file: 'f',
      position: 12,
      appended: 13,
      line: 14,
    };
    expect(travel(new LogError('INTERNAL', undefined, { details })).details).toEqual(details);
  });

  test('leaves its cause and stack at home', () => {
    const cause = new Error('/home/someone/secret');
    const [bytes] = encodeFrame(0, { kind: 'error', failure: failureOf(new LogError('INTERNAL', 'x', { cause })) });
    expect(new TextDecoder().decode(bytes)).not.toMatch(/secret|failure\.test/);
  });

  test('cuts a text that is too long, and mends one that is not well-formed', () => {
    const arrived = travel(new LogError('INVALID', '\u{1f600}'.repeat(FAILURE_TEXT_CHARS_MAX)));
    expect(arrived.message).toHaveLength(FAILURE_TEXT_CHARS_MAX);
    expect(arrived.message.endsWith('\ufffd…')).toBe(true);
    expect(travel(new LogError('INVALID', 'a\ud800b')).message).toBe('a\ufffdb');
  });

  test('with a code of a later version is INTERNAL and says which', () => {
    expect(received({ code: 'QUOTA', message: 'Too much.', outcome: 'none' })).toEqual({
      code: 'INTERNAL',
      message: 'QUOTA: Too much.',
      outcome: 'none',
      details: {},
    });
    for (const code of ['', '__proto__', 'constructor', 'toString']) expect(received({ code }).code).toBe('INTERNAL');
  });

  test('is of unknown outcome unless it says none', () => {
    for (const outcome of ['', 'unknown', 'done', 'NONE']) {
      expect(received({ code: 'NO_LEADER', outcome }).outcome).toBe('unknown');
    }
    expect(received({ code: 'TIMEOUT', outcome: 'none' }).outcome).toBe('none');
  });

  test.each([
    ['unknown names', '{"topic":"a","secret":"b"}', { topic: 'a' }],
    ['wrong types', '{"topic":1,"offset":"2","tail":3}', { tail: 3 }],
    ['numbers that are not safe', '{"offset":9007199254740992,"tail":1e400,"earliest":0.5}', {}],
    ['prototypes', '{"__proto__":{"topic":"a"},"constructor":{"prototype":{}},"tail":1}', { tail: 1 }],
    ['an array', '[1,2]', {}],
    ['null', 'null', {}],
    ['a text', '"topic"', {}],
    ['no JSON', '{"topic":', {}],
    ['deep nesting', `${'['.repeat(5_000)}${']'.repeat(5_000)}`, {}],
  ])('keeps only documented details: %s', (_, detailsJson, expected) => {
    const { details } = received({ code: 'TRIMMED', outcome: 'none', detailsJson });
    expect(details).toEqual(expected);
    expect(Object.getPrototypeOf(details)).toBe(Object.prototype);
    expectPrototypesUntouched();
  });
});
