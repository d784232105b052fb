/** How results look: a table for people, one JSON document or one JSON line an item for programs. Pure text. */

export type OutputFormat = 'table' | 'json' | 'ndjson';
export const OUTPUT_FORMATS: readonly OutputFormat[] = ['table', 'json', 'ndjson'];

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  readonly align?: 'right';
}

/** Columns two spaces apart; no trailing blanks, so that it pastes well. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const lines = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => column.text(row))),
  ];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  return lines.map((line) => `${padLine(columns, widths, line)}\n`).join('');
}

function padLine<Row>(columns: readonly Column<Row>[], widths: readonly number[], line: readonly string[]): string {
  const cells = line.map((cell, at) =>
    columns[at]!.align === 'right' ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!),
  );
  return cells.join('  ').trimEnd();
}

/** A list of things in the format asked for. */
export function renderList<Row>(format: OutputFormat, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  switch (format) {
    case 'table':
      return renderTable(columns, rows);
    case 'json':
      return `${JSON.stringify(rows, nullForUndefined, 2)}\n`;
    case 'ndjson':
      return rows.map((row) => `${JSON.stringify(row, nullForUndefined)}\n`).join('');
  }
}

/** One thing: for people as the text given, else as one JSON document. */
export function renderDocument(format: OutputFormat, document: unknown, text: () => string): string {
  switch (format) {
    case 'table':
      return text();
    case 'json':
      return `${JSON.stringify(document, nullForUndefined, 2)}\n`;
    case 'ndjson':
      return `${JSON.stringify(document, nullForUndefined)}\n`;
  }
}

/** A field that has no value is still shown, so that the shape of a document never depends on the data. */
function nullForUndefined(_: string, value: unknown): unknown {
  return value === undefined ? null : value;
}

/** 1234567 as 1,234,567: long counts are read by people in table output only. */
export function groupDigits(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), units.length);
  return `${(bytes / 1e3 ** power).toFixed(1)} ${units[power - 1]}`;
}

/** Megabytes (10^6) a second. */
export function formatRate(bytes: number, elapsedMs: number): string {
  return `${(bytes / 1e3 / Math.max(elapsedMs, 1)).toFixed(1)} MB/s`;
}
