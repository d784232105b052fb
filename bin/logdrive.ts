/**
 * The command line `logdrive`: names the commands, loads the chosen one, turns its end into an exit code. Data goes to
 * stdout, talk to stderr. Started through logdrive.cjs, which sizes the thread pool first.
 */
import { createRequire } from 'node:module';
import yargs, { type Argv } from 'yargs';
import { ByteSink } from './byte-sink.ts';
import { checkWords, declareFlags, GLOBAL_FLAGS, invocationOf } from './command.ts';
import { COMMANDS, type LazyCommand } from './command-list.ts';
import { EXIT_OK, EXIT_OTHER, ExitError, errorDocument, errorLines, exitCodeOf, UsageError } from './exit.ts';
import { closest } from './suggest.ts';
import { Terminal } from './terminal.ts';

/** The one sentence of yargs' own that people meet often and that tells them nothing. Its types know no plurals. */
const TOO_FEW_WORDS = 'a word is missing: see --help (got %s of %s)';
const PARSER_STRINGS = {
  'Not enough non-option arguments: got %s, need at least %s': { one: TOO_FEW_WORDS, other: TOO_FEW_WORDS },
} as unknown as Record<string, string>;

interface Process {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The command that was named, ready to run. */
type Choice = () => Promise<void>;

/**
 * The parser only chooses, and the command runs when it is done: so errors of the two are never taken for each other.
 */
function declare(
  parser: Argv,
  lazy: LazyCommand,
  depth: number,
  process: Process,
  choose: (choice: Choice) => void,
): Argv {
  const { children, load } = lazy;
  if (children !== undefined) {
    return parser.command(lazy.usage, lazy.sentence, (inner) => {
      for (const child of children) declare(inner, child, depth + 1, process, choose);
      return inner.command(
        '$0',
        false,
        () => undefined,
        (parsed) => refuseWord(parsed._[depth], children),
      );
    });
  }
  return parser.command(
    lazy.usage,
    lazy.sentence,
    async (inner) => {
      const command = await load!();
      for (const [line, sentence] of command.examples ?? []) inner.example(line, sentence);
      return declareFlags(inner, command.flags);
    },
    async (parsed) => {
      const command = await load!();
      checkWords(parsed, command, depth);
      const invocation = invocationOf(process.terminal, process.env, parsed, command);
      choose(() => command.run(invocation));
    },
  );
}

function refuseWord(word: unknown, known: readonly LazyCommand[]): never {
  const names = known.map((lazy) => lazy.name);
  if (word === undefined) throw new UsageError(`a command is missing: ${names.join(', ')}`);
  const meant = closest(String(word), names);
  throw new UsageError(`unknown command '${word}'${meant === undefined ? '' : `; did you mean ${meant}?`}`);
}

/** Reads a switch that is needed before anything is parsed, because errors of the parsing obey it too. */
function isSwitchOn(words: readonly string[], ...spellings: readonly string[]): boolean {
  const end = words.indexOf('--');
  return (end === -1 ? words : words.slice(0, end)).some((word) => spellings.includes(word));
}

function wantsJson(words: readonly string[], env: Process['env']): boolean {
  const at = words.findIndex((word) => word === '--output' || word.startsWith('--output='));
  const format = at === -1 ? env.LOGDRIVE_OUTPUT : (words[at]!.split('=')[1] ?? words[at + 1]);
  return format === 'json' || format === 'ndjson';
}

/** @returns what to run; undefined when the words asked for help or the version, which are printed by now. */
async function parse(words: readonly string[], process: Process): Promise<Choice | undefined> {
  let chosen: Choice | undefined;
  const choose = (choice: Choice): void => {
    chosen = choice;
  };
  const { version } = createRequire(import.meta.url)('logdrive/package.json') as { version: string };
  const parser = yargs([...words])
    .scriptName('logdrive')
    .usage('$0 <command>')
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .version(version)
    .help()
    .alias('help', 'h')
    .updateStrings(PARSER_STRINGS)
    .wrap(110)
    .exitProcess(false)
    .fail(false);
  declareFlags(parser, GLOBAL_FLAGS);
  for (const lazy of COMMANDS) declare(parser, lazy, 1, process, choose);
  parser.command(
    '$0',
    false,
    () => undefined,
    (parsed) => refuseWord(parsed._[0], COMMANDS),
  );
  try {
    await parser.parseAsync();
  } catch (error) {
    // Whatever the parser throws, in whatever class, is about the words: commands run later.
    throw error instanceof UsageError ? error : new UsageError((error as Error).message, { cause: error });
  }
  return chosen;
}

/** Runs one command line to its end. @returns the exit code. */
async function main(words: readonly string[]): Promise<number> {
  const { env } = process;
  // `| head` has seen enough: ending with success at once is what every filter does. Other errors of stdout are real.
  const out = new ByteSink(process.stdout, (error) => {
    if (error !== undefined) process.stderr.write(`logdrive: cannot write to stdout: ${error.message}\n`);
    process.exit(error === undefined ? EXIT_OK : EXIT_OTHER);
  });
  const terminal = new Terminal(out, process.stderr, {
    isColoured: (env.NO_COLOR ?? '') === '' && !isSwitchOn(words, '--no-color'),
    isQuiet: isSwitchOn(words, '-q', '--quiet'),
    isVerbose: isSwitchOn(words, '-v', '--verbose'),
  });
  let exitCode = EXIT_OK;
  try {
    const run = await parse(words, { terminal, env });
    await run?.();
  } catch (error) {
    exitCode = exitCodeOf(error);
    if (!(error instanceof ExitError)) {
      const lines = wantsJson(words, env) ? [JSON.stringify(errorDocument(error))] : errorLines(error);
      for (const line of lines) terminal.complain(line);
      if (exitCode === EXIT_OTHER && error instanceof Error) terminal.detail(error.stack ?? '');
    }
  }
  terminal.clearProgress();
  await out.flushed();
  return exitCode;
}

// Not process.exitCode: a socket or timer that a failed command left open must not keep a finished command alive.
process.exit(await main(process.argv.slice(2)));
