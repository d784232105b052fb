/** How tests are found by their titles. */
import { expect, test } from 'vitest';
import { hasTest } from './test-titles.ts';

test.each([
  ["test('a', () => {});", true],
  ["test.each([1, 2])('a', () => {});", true],
  ["test.each([\n  ['x', f(1)],\n])('a', async () => {});", true],
  ["test.skipIf(!isRoot)(\n  'a',\n  () => {});", true],
  ['test(`a`, () => {});', true],
  ["describe('a', () => {});", false],
  ["describe.each(X)('a', () => { test('b', f); });", false],
  ["test.skip('a', () => {});", false],
  ["test.todo('a');", false],
  ["test('b', () => expect(x).toBe('a'));", false],
  ["test('a b', () => {});", false],
])('%s has a test named a: %s', (code, isFound) => {
  expect(hasTest(code, 'a')).toBe(isFound);
});
