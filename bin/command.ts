/**
 * What a command is to the command line: words, flags and a function. logdrive.ts names all commands and loads only the
 * chosen one; this file turns its declaration into yargs options and checks what yargs leaves open: unknown flags
 * (with a did-you-mean), extra words. Of a text flag given twice the last one counts, so that scripts can be extended.
 */
import type { Argv, Options } from 'yargs';
import { UsageError } from './exit.ts';
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts';
import { closest } from './suggest.ts';
import type { Terminal } from './terminal.ts';

/** Values are text unless the flag is a switch or a list: each command parses, and names the flag it refuses. */
export interface Flag {
  readonly kind: 'text' | 'switch' | 'list';
  readonly sentence: string;
  /** One letter, for `-o`. */
  readonly short?: string;
  readonly placeholder?: string;
  readonly defaultText?: string;
  /** Also settable by this environment variable; the flag wins. */
  readonly env?: string;
  readonly isHidden?: boolean;
}

export type Flags = Readonly<Record<string, Flag>>;

export interface Invocation {
  readonly terminal: Terminal;
  readonly output: OutputFormat;
  /** The words after the command's name, by the names of its declaration. */
  words(name: string): string;
  /** A text flag's value, its default, or undefined. */
  text(flag: string): string | undefined;
  isOn(flag: string): boolean;
  list(flag: string): readonly string[];
  /** All flags that were given, by name without dashes; globals left out. */
  given(): Readonly<Record<string, unknown>>;
}

export interface Command {
  /** As yargs reads it: `produce <topic>`. */
  readonly usage: string;
  readonly flags: Flags;
  readonly examples?: readonly (readonly [string, string])[];
  run(invocation: Invocation): Promise<void>;
}

export const GLOBAL_FLAGS: Flags = {
  output: {
    kind: 'text',
    sentence: `How results look: ${OUTPUT_FORMATS.join(', ')}.`,
    placeholder: 'FORMAT',
    defaultText: 'table',
    env: 'LOGDRIVE_OUTPUT',
  },
  quiet: { kind: 'switch', short: 'q', sentence: 'No talk on stderr but errors.' },
  verbose: { kind: 'switch', short: 'v', sentence: 'More talk on stderr.' },
  color: { kind: 'switch', sentence: 'Colours on a terminal; --no-color or NO_COLOR switches them off.' },
};

/** Flags of every command that talks to a node. */
export const CLIENT_FLAGS: Flags = {
  server: {
    kind: 'text',
    short: 's',
    sentence: 'Nodes to talk to: host:port, ws:// or http:// URLs, separated by commas.',
    placeholder: 'ADDRESSES',
    defaultText: '127.0.0.1:4437',
    env: 'LOGDRIVE_SERVER',
  },
  timeout: {
    kind: 'text',
    sentence: 'How long one request may take, retries included.',
    placeholder: 'DURATION',
    defaultText: '10s',
    env: 'LOGDRIVE_TIMEOUT',
  },
};

/** Variables of the command line itself, so that a node's configuration does not warn about them. */
export const COMMAND_LINE_VARIABLES: readonly string[] = Object.values({ ...GLOBAL_FLAGS, ...CLIENT_FLAGS }).flatMap(
  (flag) => flag.env ?? [],
);

function optionOf(flag: Flag): Options {
  return {
    type: flag.kind === 'switch' ? 'boolean' : 'string',
    describe: flag.sentence,
    ...(flag.short !== undefined && { alias: flag.short }),
    ...(flag.kind === 'list' && { array: true }),
    ...(flag.kind !== 'switch' && { nargs: 1, requiresArg: true }),
    ...(flag.defaultText !== undefined && { defaultDescription: flag.defaultText }),
    ...(flag.isHidden && { hidden: true }),
  };
}

export function declareFlags(yargs: Argv, flags: Flags): Argv {
  return yargs.options(Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, optionOf(flag)])));
}

type ParsedWords = Readonly<Record<string, unknown>>;

const YARGS_OWN = new Set(['_', '$0', 'help', 'h', 'version', '--']);

/**
 * Refuses what the command does not know. yargs' own strict mode has no did-you-mean for flags.
 * @param depth How many words name the command: 1 for `produce`, 2 for `topic ls`.
 */
export function checkWords(parsed: ParsedWords, command: Command, depth: number): void {
  const flags: Flags = { ...GLOBAL_FLAGS, ...command.flags };
  const shorts = Object.values(flags).flatMap((flag) => flag.short ?? []);
  const positionals = [...command.usage.matchAll(/[<[]([a-z-]+)[>\]]/g)].map((match) => match[1]!);
  const known = new Set([...Object.keys(flags), ...shorts, ...positionals]);
  for (const name of Object.keys(parsed)) {
    if (YARGS_OWN.has(name)) continue;
    if (!known.has(name)) {
      const dashes = name.length === 1 ? '-' : '--';
      const meant = closest(name, [...Object.keys(flags), 'help']);
      throw new UsageError(`unknown flag ${dashes}${name}${meant === undefined ? '' : `; did you mean --${meant}?`}`);
    }
  }
  const extra = (parsed._ as readonly unknown[])[depth];
  if (extra !== undefined) throw new UsageError(`unexpected word '${extra}'`);
}

/** What was typed, with environment and defaults behind it. */
export function invocationOf(
  terminal: Terminal,
  env: Readonly<Record<string, string | undefined>>,
  parsed: ParsedWords,
  command: Command,
): Invocation {
  const flags: Flags = { ...GLOBAL_FLAGS, ...command.flags };
  const text = (name: string): string | undefined => {
    const flag = flags[name];
    if (flag === undefined) return undefined;
    const fromEnv = flag.env === undefined ? undefined : env[flag.env];
    return (lastOf(parsed[name]) as string | undefined) ?? fromEnv ?? flag.defaultText;
  };
  const output = text('output') as OutputFormat;
  if (!OUTPUT_FORMATS.includes(output)) {
    throw new UsageError(`--output wants ${OUTPUT_FORMATS.join(', ')}, not '${output}'`);
  }
  return {
    terminal,
    output,
    words: (name) => String(parsed[name]),
    text,
    isOn: (name) => parsed[name] === true,
    list: (name) => (parsed[name] as string[] | undefined) ?? [],
    given: () => Object.fromEntries(Object.keys(command.flags).map((name) => [name, lastOf(parsed[name])])),
  };
}

function lastOf(typed: unknown): unknown {
  return Array.isArray(typed) ? typed.at(-1) : typed;
}
