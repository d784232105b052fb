/** docs/operations.md quotes log lines and metrics: each of them is one that the code has. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT, readSources } from './sources.ts';

const DOCUMENT = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
const CODE = readSources(['src', 'bin']).map(({ code }) => code);

/** Everything in code quotes of the column "What is seen". */
const quoted = [...DOCUMENT.matchAll(/^\|[^|]*\|([^|]*)\|[^|]*\|$/gm)].flatMap((row) =>
  [...row[1]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!),
);

describe('docs/operations.md', () => {
  test('quotes metrics that exist', () => {
    const metrics = [...DOCUMENT.matchAll(/`(logdrive_[a-z_]+)`/g)].map((match) => match[1]!);
    expect(metrics.length).toBeGreaterThan(8);
    const documented = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
    for (const metric of metrics) expect(documented).toContain(`\`${metric}\``);
  });

  test('quotes log lines that are written', () => {
    const lines = quoted.filter((text) => /^[a-z]+ [a-z]+ /.test(text) && !text.startsWith('logdrive '));
    expect(lines.length).toBeGreaterThan(8);
    for (const line of lines)
      expect(
        CODE.some((text) => text.includes(line)),
        line,
      ).toBe(true);
  });
});
