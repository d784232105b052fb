import { expect, test } from 'vitest';
import { closest } from '../../bin/suggest.ts';

const known = ['partition', 'partitions', 'output', 'server', 'key-separator'];

test.each([
  ['patition', 'partition'],
  ['partitoin', 'partition'],
  ['ouput', 'output'],
  ['sever', 'server'],
  ['key-seperator', 'key-separator'],
])('%s most likely means %s', (word, meant) => {
  expect(closest(word, known)).toBe(meant);
});

test('a word that resembles nothing gets no suggestion', () => {
  expect(closest('frobnicate', known)).toBeUndefined();
  expect(closest('x', known)).toBeUndefined();
});
