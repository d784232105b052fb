import { describe, expect, test } from 'vitest';
import { TOPIC_NAME_BYTES_MAX, topicNameProblem } from '../../src/protocol/index.ts';

describe('topicNameProblem', () => {
  test.each(['a', 'packages', 'A-Z_0.9', '-', '_', 'x..y', 'trailing.', '0', 'x'.repeat(TOPIC_NAME_BYTES_MAX)])(
    'finds nothing wrong with %j',
    (name) => {
      expect(topicNameProblem(name)).toBeUndefined();
    },
  );

  test.each([
    ['', /empty/],
    ['x'.repeat(TOPIC_NAME_BYTES_MAX + 1), /200/],
    ['.', /begin with a dot/],
    ['..', /begin with a dot/],
    ['.hidden', /begin with a dot/],
    ['a/b', /only/],
    ['a\\b', /only/],
    ['%2e%2e', /only/],
    ['a b', /only/],
    ['a\0', /only/],
    ['a\n', /only/],
    ['\na', /only/],
    ['é', /only/],
    ['e\u0301', /only/],
    ['\u202eabc', /only/],
    ['\ud800', /only/],
    ['a:b', /only/],
    ['a,b', /only/],
  ])('says what is wrong with %j', (name, problem) => {
    expect(topicNameProblem(name)).toMatch(problem);
  });

  test('refuses what is no string, as callers without types may pass', () => {
    for (const name of [undefined, null, 7, {}, ['a']]) expect(topicNameProblem(name as string)).toMatch(/string/);
  });
});
