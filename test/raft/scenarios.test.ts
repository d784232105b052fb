import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { runScenario } from './support/scenario.ts';

const FOLDER = new URL('./scenarios/', import.meta.url);
/** Rewrites the files; the change is then reviewed as a diff. */
const IS_UPDATE = process.env.UPDATE_SCENARIOS === '1';

describe('the trace of scenario', () => {
  for (const name of readdirSync(FOLDER).filter((file) => file.endsWith('.txt'))) {
    test(`${name} is as written down`, () => {
      const file = new URL(name, FOLDER);
      const expected = readFileSync(file, 'utf8');
      const actual = runScenario(expected);
      if (IS_UPDATE) writeFileSync(file, actual);
      else expect(actual).toBe(expected);
    });
  }
});
