import { describe, expect, test } from 'vitest';
import { type Column, formatBytes, groupDigits, renderDocument, renderList } from '../../bin/output.ts';

interface Row {
  readonly name: string;
  readonly count: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'NAME', text: (row) => row.name },
  { title: 'COUNT', text: (row) => String(row.count), align: 'right' },
];
const rows: readonly Row[] = [
  { name: 'a', count: 5 },
  { name: 'longer', count: 12345 },
];

describe('renderList', () => {
  test('a table has aligned columns and no trailing blanks', () => {
    expect(renderList('table', columns, rows)).toBe('NAME    COUNT\na           5\nlonger  12345\n');
    expect(renderList('table', [columns[0]!], rows)).toBe('NAME\na\nlonger\n');
  });

  test('json is one document, ndjson one line an item', () => {
    expect(JSON.parse(renderList('json', columns, rows))).toEqual(rows);
    const lines = renderList('ndjson', columns, rows).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(rows);
  });

  test('nothing is an empty document, no line, or a head alone', () => {
    expect(JSON.parse(renderList('json', columns, []))).toEqual([]);
    expect(renderList('ndjson', columns, [])).toBe('');
    expect(renderList('table', columns, [])).toBe('NAME  COUNT\n');
  });
});

test('one thing is text for people and one JSON document for programs', () => {
  expect(renderDocument('table', { a: 1 }, () => 'text\n')).toBe('text\n');
  expect(JSON.parse(renderDocument('json', { a: 1 }, () => expect.unreachable()))).toEqual({ a: 1 });
  expect(renderDocument('ndjson', { a: 1 }, () => expect.unreachable())).toBe('{"a":1}\n');
});

test('counts and sizes are readable', () => {
  expect([0, 999, 1000, 1234567].map(groupDigits)).toEqual(['0', '999', '1,000', '1,234,567']);
  expect([0, 999, 1000, 1_500_000, 80_123_456_789, 5e15].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '1.5 MB',
    '80.1 GB',
    '5000.0 TB',
  ]);
});
