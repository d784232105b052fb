import { describe, expect, test } from 'vitest';
import { UsageError } from '../../bin/exit.ts';
import {
  parseBytes,
  parseCount,
  parseDurationMs,
  parseHeader,
  parseReadLevels,
  parseStartPlace,
  unescapeBytes,
} from '../../bin/values.ts';

describe('parseStartPlace', () => {
  test('reads every way of naming a start', () => {
    expect(parseStartPlace('earliest')).toBe('earliest');
    expect(parseStartPlace('latest')).toBe('latest');
    expect(parseStartPlace('0')).toEqual({ offset: 0 });
    expect(parseStartPlace('42')).toEqual({ offset: 42 });
    expect(parseStartPlace('-10')).toEqual({ last: 10 });
    expect(parseStartPlace('@1700000000000')).toEqual({ timestamp: 1_700_000_000_000 });
    expect(parseStartPlace('@2024-01-02T03:04:05Z')).toEqual({ timestamp: Date.UTC(2024, 0, 2, 3, 4, 5) });
  });

  test.each([
    '',
    'begin',
    '1.5',
    '1e3',
    'NaN',
    '0x10',
    ' 1',
    '9007199254740992',
    '-9007199254740992',
    '@',
    '@soon',
    '@-1',
  ])('refuses %j and says what would be right', (text) => {
    expect(() => parseStartPlace(text)).toThrow(UsageError);
    expect(() => parseStartPlace(text)).toThrow(/earliest, latest, N, -N/);
  });
});

describe('numbers, sizes and durations', () => {
  test('a count is a whole number with a lower bound', () => {
    expect(parseCount('--max', '7')).toBe(7);
    expect(() => parseCount('--max', '-1')).toThrow(/--max/);
    expect(() => parseCount('--max', '0', 1)).toThrow(/at least 1/);
    for (const text of ['', 'a', '1.0', '1e3', 'Infinity', '9007199254740992']) {
      expect(() => parseCount('--max', text)).toThrow(UsageError);
    }
  });

  test('a size has an optional unit, binary or decimal', () => {
    expect(['4096', '64KiB', '1GiB', '5 MB'].map((text) => parseBytes('--size', text))).toEqual([
      4096,
      65536,
      2 ** 30,
      5e6,
    ]);
    for (const text of ['', 'KiB', '1.5GiB', '1 parsec', '-1', '99999999TiB']) {
      expect(() => parseBytes('--size', text)).toThrow(UsageError);
    }
  });

  test('a duration has a unit', () => {
    expect(['250ms', '10s', '5m', '1h', '7d'].map((text) => parseDurationMs('--timeout', text))).toEqual([
      250, 10_000, 300_000, 3_600_000, 604_800_000,
    ]);
    for (const text of ['', '10', 's', '-1s', '1.5s', '1y']) {
      expect(() => parseDurationMs('--timeout', text)).toThrow(UsageError);
    }
  });
});

describe('parseHeader', () => {
  test('splits at the first equals sign; the value may be empty or hold more of them', () => {
    expect(parseHeader('a=b')).toEqual({ key: 'a', value: 'b' });
    expect(parseHeader('a=')).toEqual({ key: 'a', value: '' });
    expect(parseHeader('a=b=c')).toEqual({ key: 'a', value: 'b=c' });
  });

  test('refuses a header without a name or a sign', () => {
    expect(() => parseHeader('=b')).toThrow(UsageError);
    expect(() => parseHeader('ab')).toThrow(UsageError);
  });
});

describe('unescapeBytes', () => {
  test('named bytes stand for themselves, everything else is UTF-8', () => {
    expect(unescapeBytes('a\\tb\\n\\r\\0\\\\n\\x00\\xfFz')).toEqual(Buffer.from('a\tb\n\r\0\\n\x00\xffz', 'latin1'));
    expect(unescapeBytes('\u00e9')).toEqual(Buffer.from([0xc3, 0xa9]));
  });

  test('a backslash before anything else is a backslash', () => {
    expect(unescapeBytes('\\q\\x1\\').toString()).toBe('\\q\\x1\\');
  });
});

describe('parseReadLevels', () => {
  const TOKEN = '3.0.41.2';

  test('leaves out what is not given, and lets a token stand for its level', () => {
    expect(parseReadLevels(undefined, undefined)).toEqual({});
    expect(parseReadLevels('linearizable', undefined)).toEqual({ level: 'linearizable' });
    expect(parseReadLevels('atLeast', TOKEN)).toEqual({ level: 'atLeast', tokens: [TOKEN] });
    expect(parseReadLevels(undefined, TOKEN)).toEqual({ tokens: [TOKEN] });
  });

  test.each([
    ['atleast', undefined, /wants any, atLeast, linearizable or lease, not 'atleast'/],
    ['atLeast', undefined, /goes with a --token/],
    ['lease', TOKEN, /goes with a --token/],
    [undefined, 'tail', /--token wants .* not 'tail'/],
  ])('refuses level %s with token %s before anything is asked of a server', (level, token, words) => {
    expect(() => parseReadLevels(level, token)).toThrow(UsageError);
    expect(() => parseReadLevels(level, token)).toThrow(words);
  });
});
