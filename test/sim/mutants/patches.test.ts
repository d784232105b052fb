import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../house/sources.ts';
import { MUTANTS, TESTED_MUTANTS } from './all.ts';
import { patch } from './mutant.ts';

describe('the mutants', () => {
  test('have names of their own, and there are enough of them', () => {
    const ids = [...MUTANTS, ...TESTED_MUTANTS].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(MUTANTS.length).toBeGreaterThanOrEqual(45);
  });

  test.each([...MUTANTS, ...TESTED_MUTANTS])('$id fits the source as it is: $sentence', (mutant) => {
    for (const file of new Set(mutant.edits.map((edit) => edit.file))) {
      expect(file).toMatch(/^(src|storage)\//);
      const text = readFileSync(join(ROOT, file), 'utf8');
      expect(patch(text, file, mutant)).not.toBe(text);
    }
  });
});
