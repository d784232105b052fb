import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../house/sources.ts';
import { MUTANTS } from './all.ts';
import { patch } from './mutant.ts';

describe('the mutants', () => {
  test('have names of their own, and there are enough of them', () => {
    expect(new Set(MUTANTS.map(({ id }) => id)).size).toBe(MUTANTS.length);
    expect(MUTANTS.length).toBeGreaterThanOrEqual(45);
  });

  test.each(MUTANTS)('$id fits the source as it is: $sentence', (mutant) => {
    for (const file of new Set(mutant.edits.map((edit) => edit.file))) {
      expect(file).toMatch(/^(src|storage)\//);
      const text = readFileSync(join(ROOT, file), 'utf8');
      expect(patch(text, file, mutant)).not.toBe(text);
    }
  });
});
