/** docs/client.md lists every option, with the default the code has, and no option that is not there. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CONNECT_DEFAULTS } from '../../src/client/options.ts';
import { PRODUCER_DEFAULTS } from '../../src/client/producer-options.ts';
import { SUBSCRIBE_DEFAULTS } from '../../src/client/subscription.ts';
import { READ_DEFAULTS } from '../../src/client/topic.ts';

const ROOT = new URL('../../', import.meta.url);
const DOCUMENT = readFileSync(new URL('docs/client.md', ROOT), 'utf8');

/** Option -> default, of the table marked with the name of the interface. */
function documented(name: string): Map<string, string> {
  const [, after = ''] = DOCUMENT.split(`<!-- options: ${name} -->\n`);
  const [table = ''] = after.split('\n\n');
  const rows = table.split('\n').slice(2);
  return new Map(
    rows.map((row) => {
      const [, option = '', , fallback = ''] = row.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      return [option, fallback];
    }),
  );
}

/** The members an interface declares in the source. */
function declared(file: string, name: string): string[] {
  const source = readFileSync(new URL(`src/client/${file}`, ROOT), 'utf8');
  const body = source.split(`export interface ${name} {`)[1]?.split('\n}')[0] ?? '';
  return [...body.matchAll(/^ {2}readonly (\w+)\?:/gm)].map(([, option = '']) => option);
}

describe.each([
  { name: 'ConnectOptions', file: 'options.ts', defaults: CONNECT_DEFAULTS },
  { name: 'ReconnectOptions', file: 'options.ts', defaults: CONNECT_DEFAULTS },
  { name: 'ProducerOptions', file: 'producer-options.ts', defaults: PRODUCER_DEFAULTS },
  { name: 'SubscribeOptions', file: 'subscription.ts', defaults: SUBSCRIBE_DEFAULTS },
  { name: 'ReadOptions', file: 'topic.ts', defaults: READ_DEFAULTS },
])('the table of $name', ({ name, file, defaults }) => {
  test('lists the options the code takes, in its order', () => {
    expect(declared(file, name).length).toBeGreaterThan(2);
    expect([...documented(name).keys()]).toEqual(declared(file, name));
  });

  test('gives the defaults the code has', () => {
    const table = documented(name);
    const shared = Object.entries(defaults).filter(([option]) => table.has(option));
    expect(shared.length).toBeGreaterThan(0);
    for (const [option, fallback] of shared) {
      expect(`${option}: ${table.get(option)?.replaceAll("'", '')}`).toBe(`${option}: ${String(fallback)}`);
    }
  });
});
