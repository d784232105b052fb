/** The sense of proportion: one noun a file, each saying what it is. */
import { describe, expect, test } from 'vitest';
import { linesWithoutStrings, readSources } from './sources.ts';

const FILE_LINES_MAX = 500;
const LINE_CHARS_MAX = 120;

const written = readSources(['src', 'storage', 'bin', 'test', 'bench']).filter(
  (file) => !file.path.includes('/generated/'),
);
const shipped = written.filter((file) => /^(src|storage|bin)\//.test(file.path));

const lines = (text: string): string[] => text.split('\n');

describe('shape', () => {
  test('no file is longer than 500 lines', () => {
    expect(written.filter((file) => lines(file.text).length > FILE_LINES_MAX).map((file) => file.path)).toEqual([]);
  });

  test('lines have at most 120 characters, what stands in strings aside', () => {
    // The formatter breaks code, not comments; and nobody breaks a string, a title, or the code that a mutant's comment
    // quotes for test/raft/mutants.test.ts to find.
    const long = written.flatMap(({ path, text }) => {
      const bare = linesWithoutStrings(text);
      return bare.flatMap((line, at) => (line.length > LINE_CHARS_MAX ? [`${path}:${at + 1}`] : []));
    });
    expect(long).toEqual([]);
  });

  test('every source file begins with what it is, doors and files of a few lines aside', () => {
    const bare = shipped.filter(
      (file) => lines(file.text).length > 30 && !/^(#![^\n]*\n|\/\/[^\n]*\n)*(import [^\n]*\n)*\/\*\*/.test(file.text),
    );
    expect(bare.map((file) => file.path)).toEqual([]);
  });

  test('nothing is left to do later', () => {
    // Spelt in two parts so that this file does not find itself.
    const marks = new RegExp(`\\b(TO${'DO'}|FIX${'ME'}|XX${'X'})\\b`);
    expect(written.filter((file) => marks.test(file.text)).map((file) => file.path)).toEqual([]);
  });

  test('names of files are kebab-case, and none is a catch-all', () => {
    const names = written.map((file) => file.path.split('/').at(-1)!);
    expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.c?ts$/.test(name))).toEqual([]);
    expect(names.filter((name) => /^(utils?|helpers?|common|misc)\.ts$/.test(name))).toEqual([]);
  });
});
