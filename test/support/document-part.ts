/**
 * Parts of documents that are written from data: they stand between two comments, of which the first names the file
 * that writes them. A test compares; with UPDATE_DOCS=1 it writes instead.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';

export interface DocumentPart {
  readonly document: string;
  readonly name: string;
  /** The source file that knows what stands there. */
  readonly writer: string;
}

/** @throws Error when the document has no place for it. */
export function expectPart({ document, name, writer }: DocumentPart, text: string): void {
  const [begin, end] = [`<!-- ${name}: written by ${writer} -->`, `<!-- end of ${name} -->`];
  const shown = readFileSync(document, 'utf8');
  const [before, rest] = shown.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`${document} has no place for the ${name}`);
  const due = [before, begin, '\n\n', text, '\n\n', end, after].join('');
  if (process.env.UPDATE_DOCS === '1') writeFileSync(document, due);
  else expect(shown, `what ${writer} tells has changed; UPDATE_DOCS=1 brings ${document} up to date`).toBe(due);
}
