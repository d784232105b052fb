/** docs/raft.md says what holds each of the rules R1 to R28; here it is held to that. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './sources.ts';

const RULES = Array.from({ length: 28 }, (_, at) => `R${at + 1}`);
const SCENARIOS = 'test/raft/scenarios';
/** Names of whole files that the rows use for short; the paragraph above the table says what they are. */
const SHORT = /\b(paper|thesis|members|random)\b/;

const document = readFileSync(join(ROOT, 'docs/raft.md'), 'utf8');
/** Rules that the document says are still to come. */
const toCome: readonly string[] = /^(R\d+(?:(?:, | and )R\d+)*) come with /m.exec(document)?.[1]?.match(/R\d+/g) ?? [];

const rows = document.split('\n').flatMap((line) => {
  const cells = /^\| (R\d+(?:, R\d+)*) \| ([^|]+) \| (.+) \|$/.exec(line);
  return cells === null ? [] : [{ rules: cells[1]!.split(', '), heldBy: cells[3]! }];
});

/** Files a row names: scenarios and tests of the core by name alone, others with their path. */
function filesOf(heldBy: string): string[] {
  const paths = [...heldBy.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map((match) => match[1]!);
  const named = [...heldBy.replace(/\[[^\]]*\]\([^)]*\)/g, '').matchAll(/`([\w-]+\.(?:txt|test\.ts))`/g)];
  return [
    ...paths,
    ...named.map(([, name]) => (name!.endsWith('.txt') ? `${SCENARIOS}/${name}` : `test/raft/${name}`)),
  ];
}

describe('the rules of Raft', () => {
  test('stand in the table one by one, in their order', () => {
    expect(rows.flatMap(({ rules }) => rules)).toEqual(RULES.filter((rule) => !toCome.includes(rule)));
  });

  test('are each held by a test or a scenario', () => {
    const bare = rows.filter(({ heldBy }) => filesOf(heldBy).length === 0 && !SHORT.test(heldBy));
    expect(bare).toEqual([]);
  });

  test('name files that are there', () => {
    const missing = rows.flatMap(({ heldBy }) => filesOf(heldBy)).filter((file) => !existsSync(join(ROOT, file)));
    expect(missing).toEqual([]);
  });

  test('are played by every scenario there is: none is left unnamed in the document', () => {
    const unnamed = readdirSync(join(ROOT, SCENARIOS)).filter((name) => !document.includes(`\`${name}\``));
    expect(unnamed).toEqual([]);
  });
});
