import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../house/sources.ts';
import { MUTANTS, TESTED_MUTANTS } from './all.ts';
import { CHECKLIST } from './checklist.ts';
import { patch } from './mutant.ts';
import { coveredBy, parseTable, powerOf, type Row, renderTable, summaryOf, TABLE_FILE } from './table.ts';

const rows: Row[] = [
  ...MUTANTS.map(({ id }, at) => ({
    id,
    killedBy: at === 3 ? undefined : 'judge: lost-write',
    seed: at + 1,
    at: 'a1b2c3d',
  })),
  ...TESTED_MUTANTS.map(({ id, test }) => ({ id, killedBy: test, seed: 0, at: 'a1b2c3d+' })),
];

describe('the table of mutants', () => {
  test('is read back as it was written, survivors as such', () => {
    expect(parseTable(renderTable(rows))).toEqual(rows);
    // One that was never hunted has no row of its own yet.
    expect(parseTable(renderTable(rows.slice(1)))).toEqual(rows.slice(1));
  });

  test('says how many seeds a kill takes', () => {
    const seeds = [3, 1, 200, 7].map((seed, at) => ({ id: `m${at}`, killedBy: 'judge: duplicate', seed, at: 'a' }));
    const others = [
      { id: 'm8', killedBy: 'test/storage/log.test.ts', seed: 0, at: 'a' },
      { id: 'm9', killedBy: undefined, seed: 5_000, at: 'a' },
    ];
    expect(powerOf([...seeds, ...others])).toEqual({
      killed: 4,
      median: 7,
      worst: 200,
    });
  });

  test('counts the mistakes of the list that a killed mutant makes, however it was killed', () => {
    const dead = rows.map((row) => ({ ...row, killedBy: 'judge: duplicate' }));
    expect(coveredBy(dead)).toBe(CHECKLIST.length);
    expect(coveredBy(dead.filter(({ id }) => !CHECKLIST[1]!.mutants.includes(id)))).toBe(CHECKLIST.length - 1);
    expect(coveredBy(rows.map((row) => ({ ...row, killedBy: undefined })))).toBe(0);
  });

  test.each([
    [
      'Error: 2 broken promises:\nlost-write in t/0: a is nowhere\nduplicate in t/0: b\nlost-write in u/0: c is nowhere',
      'judge: lost-write, duplicate',
    ],
    ['AssertionError: commit 3 | 4\nmore', 'AssertionError: commit 3 / 4'],
  ])('tells a story in a few words: %j', (story, summary) => {
    expect(summaryOf(story)).toBe(summary);
  });
});

describe('a patch', () => {
  const mutant = { id: 'm', sentence: 'S.', rule: 'W1', edits: [{ file: 'src/a.ts', from: 'x()', to: 'y($&)' }] };

  test('replaces its text once, literally, in its own file', () => {
    expect(patch('a; x(); b;', 'src/a.ts', mutant)).toBe('a; y($&); b;');
    expect(patch('a; x(); b;', 'src/b.ts', mutant)).toBe('a; x(); b;');
    expect(patch('a; x(); b;', 'src/a.ts', undefined)).toBe('a; x(); b;');
  });

  test.each(['nothing of it', 'x(); x();'])('refuses a file that does not hold its text exactly once: %s', (text) => {
    expect(() => patch(text, 'src/a.ts', mutant)).toThrow(/^m: the text to change stands [02] times in src\/a\.ts/);
  });
});

test('the list of mistakes names mutants there are, and nearly all of it is for a seed to show', () => {
  const all = [...MUTANTS, ...TESTED_MUTANTS].map(({ id }) => id);
  expect(CHECKLIST.flatMap(({ mutants }) => mutants).filter((id) => !all.includes(id))).toEqual([]);
  const seeds = new Set(MUTANTS.map(({ id }) => id));
  const shown = CHECKLIST.filter(({ mutants }) => mutants.some((id) => seeds.has(id)));
  expect(shown.length).toBeGreaterThanOrEqual(45);
});

test('docs/mutants.md lists the mutants there are, each in the words of its patch', () => {
  const text = readFileSync(join(ROOT, TABLE_FILE), 'utf8');
  expect(renderTable(parseTable(text))).toBe(text);
});
