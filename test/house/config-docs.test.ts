/** docs/configuration.md and the table of src/config.ts name the same keys, defaults and ranges. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CONFIG_KEYS, type ConfigKey } from '../../src/config.ts';

const document = readFileSync('docs/configuration.md', 'utf8');

/** The row a key has in the document. */
function rowOf({ key, flag, env, default: standard, range, sentence }: ConfigKey): string {
  const shown = standard === undefined ? '' : `\`${JSON.stringify(standard)}\``;
  return `| \`${key}\` | \`--${flag}\` | \`${env}\` | ${shown} | ${range.replaceAll(' | ', ', ')} | ${sentence} |`;
}

describe('the configuration', () => {
  test('is documented one row each, in the order of the table', () => {
    expect(document.split('\n').filter((line) => /^\| `[a-z]/.test(line))).toEqual(CONFIG_KEYS.map(rowOf));
  });

  test('names the unit of every number', () => {
    const numbers = CONFIG_KEYS.filter(({ type }) => type === 'integer').map(({ key }) => key);
    expect(numbers.filter((key) => !/(Ms|Bytes|BytesPerSecond)(Min|Max)?$|Percent$|connectionsMax$/.test(key))).toEqual(
      [],
    );
  });

  test('has one name on each face, and no two keys share one', () => {
    for (const face of ['key', 'flag', 'env'] as const) {
      expect(new Set(CONFIG_KEYS.map((row) => row[face])).size).toBe(CONFIG_KEYS.length);
    }
  });

  test('says of every key, in a sentence, what it does', () => {
    expect(CONFIG_KEYS.filter(({ sentence }) => !/^[`A-Z].*\.$/.test(sentence)).map(({ key }) => key)).toEqual([]);
  });
});
