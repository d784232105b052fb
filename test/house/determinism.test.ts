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
  /** Files that are the home of it. */
  readonly homes: readonly string[];
}

/** The client's two platforms make the real clock, timers and chance, as src/server/node-env.ts does for a node. */
const PLATFORMS: readonly string[] = ['src/client/platform-node.ts', 'src/client/platform-browser.ts'];

const BANS: readonly Ban[] = [
  { what: 'reads a clock', pattern: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bhrtime\b/, homes: PLATFORMS },
  {
    what: 'rolls dice',
    pattern: /\bMath\.random\(|\brandomUUID\(|\bgetRandomValues\(/,
    homes: PLATFORMS,
  },
  { what: 'starts a timer', pattern: /(?<![.#\w])(setTimeout|setInterval|setImmediate)\(/, homes: PLATFORMS },
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
