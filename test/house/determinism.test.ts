/**
 * Time, chance, timers and the environment have one home each, so that everything else runs on simulated ones. What a
 * room below the server wants of them comes through the contracts of src/env.ts.
 */
import { describe, expect, test } from 'vitest';
import { readSources } from './sources.ts';

const deterministic = readSources(['src/raft', 'src/partition', 'src/broker', 'src/protocol', 'src/client', 'storage']);

interface Ban {
  readonly what: string;
  readonly pattern: RegExp;
  /** Files that are the home of it, with the reason. */
  readonly homes: readonly string[];
}

const BANS: readonly Ban[] = [
  // The client's door makes the real clock and timers for those who bring none.
  { what: 'reads a clock', pattern: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bhrtime\b/, homes: [] },
  { what: 'rolls dice', pattern: /\bMath\.random\(|\brandomBytes\(\d|\brandomUUID\(|\bgetRandomValues\(/, homes: [] },
  { what: 'starts a timer', pattern: /(?<![.#\w])(setTimeout|setInterval|setImmediate)\(/, homes: [] },
  { what: 'reads the environment', pattern: /\bprocess\.(env|argv|exit)\b/, homes: [] },
  { what: 'prints', pattern: /\bconsole\.\w+\(/, homes: [] },
];

const lineOf = (code: string, at: number): number => code.slice(0, at).split('\n').length;

describe('determinism', () => {
  test.each(BANS)('nothing below the server $what', ({ pattern, homes }) => {
    const found = deterministic
      .filter((file) => !homes.includes(file.path))
      .flatMap((file) => {
        const match = pattern.exec(file.code);
        return match === null ? [] : [`${file.path}:${lineOf(file.code, match.index)}: ${match[0]}`];
      });
    expect(found).toEqual([]);
  });
});
