import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { ByteSink } from '../../bin/byte-sink.ts';
import { CLIENT_FLAGS, type Command, checkWords, type Invocation, invocationOf } from '../../bin/command.ts';
import { UsageError } from '../../bin/exit.ts';
import { Terminal } from '../../bin/terminal.ts';

const command: Command = {
  usage: 'read <topic>',
  flags: {
    ...CLIENT_FLAGS,
    offset: { kind: 'text', short: 'o', sentence: 'Where to start.', defaultText: 'latest' },
    header: { kind: 'list', short: 'H', sentence: 'A header.' },
    create: { kind: 'switch', sentence: 'Create it.' },
  },
  run: async () => undefined,
};

/** As yargs hands it over. */
const parsed = (flags: Record<string, unknown>, ...words: readonly string[]) => ({
  _: ['read', ...words],
  $0: 'logdrive',
  topic: 't',
  ...flags,
});

function invocation(flags: Record<string, unknown>, env: Record<string, string> = {}): Invocation {
  const options = { isColoured: false, isQuiet: false, isVerbose: false };
  const terminal = new Terminal(new ByteSink(new PassThrough(), () => undefined), new PassThrough(), options);
  return invocationOf(terminal, env, parsed(flags), command);
}

describe('checkWords', () => {
  test('lets known flags pass, by either name', () => {
    expect(() => checkWords(parsed({ offset: '1', o: '1', quiet: true, q: true }), command, 1)).not.toThrow();
  });

  test('refuses an unknown flag with what was probably meant', () => {
    expect(() => checkWords(parsed({ ofset: '1' }), command, 1)).toThrow(
      'unknown flag --ofset; did you mean --offset?',
    );
    expect(() => checkWords(parsed({ Q: true }), command, 1)).toThrow(/unknown flag -Q/);
    expect(() => checkWords(parsed({ zzzzzz: true }), command, 1)).toThrow(/^unknown flag --zzzzzz$/);
  });

  test('refuses a word too many', () => {
    expect(() => checkWords(parsed({}, 'extra'), command, 1)).toThrow(UsageError);
    expect(() => checkWords(parsed({}, 'ls'), command, 2)).not.toThrow();
  });
});

describe('invocationOf', () => {
  test('a flag beats the environment, which beats the default', () => {
    expect(invocation({}).text('server')).toBe('127.0.0.1:4437');
    expect(invocation({}, { LOGDRIVE_SERVER: 'a:1' }).text('server')).toBe('a:1');
    expect(invocation({ server: 'b:2' }, { LOGDRIVE_SERVER: 'a:1' }).text('server')).toBe('b:2');
    expect(invocation({}).text('offset')).toBe('latest');
  });

  test('of a flag given twice the last counts; a list has them all', () => {
    const twice = invocation({ offset: ['1', '2'], header: ['a=1', 'b=2'] });
    expect(twice.text('offset')).toBe('2');
    expect(twice.list('header')).toEqual(['a=1', 'b=2']);
    expect(twice.given()).toMatchObject({ offset: '2' });
    expect(invocation({}).list('header')).toEqual([]);
  });

  test('switches are off unless given', () => {
    expect(invocation({}).isOn('create')).toBe(false);
    expect(invocation({ create: true }).isOn('create')).toBe(true);
    expect(invocation({ create: false }).isOn('create')).toBe(false);
  });

  test('knows three ways to print and no other', () => {
    expect(invocation({}).output).toBe('table');
    expect(invocation({}, { LOGDRIVE_OUTPUT: 'json' }).output).toBe('json');
    expect(() => invocation({ output: 'yaml' })).toThrow(UsageError);
  });
});
