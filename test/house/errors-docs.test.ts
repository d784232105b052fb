/** docs/errors.md and the error table say the same: no code without a heading, no heading without a code. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DETAIL_TYPES } from '../../src/protocol/failure.ts';
import { ERROR_TABLE } from '../../src/protocol/index.ts';

const DOCUMENT = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const CODES = Object.entries(ERROR_TABLE);

const sections = new Map(
  DOCUMENT.split(/^## /m)
    .slice(1)
    .map((section) => {
      const end = section.indexOf('\n');
      return [section.slice(0, end), section.slice(end + 1).trim()];
    }),
);

function cellsOf(section: string): string[][] {
  return [...(sections.get(section) ?? '').matchAll(/^\|(.*)\|$/gm)]
    .map((match) => match[1]!.split('|').map((cell) => cell.trim()))
    .filter((cells, at) => at > 0 && !cells[0]!.startsWith('---'));
}

describe('docs/errors.md', () => {
  test('has one heading a code, in the order of the table, and no other codes', () => {
    const headings = [...sections.keys()].filter((heading) => /^[A-Z_]+$/.test(heading));
    expect(headings).toEqual(CODES.map(([code]) => code));
  });

  test.each(CODES)('says of %s what the table says', (code, row) => {
    const section = sections.get(code) ?? '';
    expect(section.split('\n')[0]).toBe(row.sentence);
    expect(section).toMatch(/^\*\*What to do:\*\* .+$/m);
    expect(section).toContain(`**What to do:** ${row.advice}`);
    expect(cellsOf(code)).toEqual([
      [row.outcome, row.isRetriable ? 'yes' : 'no', String(row.httpStatus), String(row.exitCode)],
    ]);
  });

  test('lists every detail with its type', () => {
    expect(Object.fromEntries(cellsOf('Details').map(([name, type]) => [name, type]))).toEqual(DETAIL_TYPES);
  });

  test('explains every exit code a failure can have', () => {
    const explained = cellsOf('Exit codes').map(([code]) => Number(code));
    const used = new Set(CODES.map(([, row]) => row.exitCode));
    expect(explained.filter((code) => code !== 0)).toEqual([...used].sort((a, b) => a - b));
  });
});
