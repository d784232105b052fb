/**
 * The command line `logdrive`: names the commands, loads the chosen one, turns its end into an exit code. Data goes to
 * stdout, talk to stderr. Started through logdrive.cjs, which sizes the thread pool first.
 */
import { createRequire } from 'node:module';
import yargs, { type Argv } from 'yargs';
import { ByteSink } from './byte-sink.ts';
import { type Command, checkWords, declareFlags, GLOBAL_FLAGS, invocationOf } from './command.ts';
import { EXIT_OK, EXIT_OTHER, ExitError, errorDocument, errorLines, exitCodeOf, UsageError } from './exit.ts';
import { closest } from './suggest.ts';
import { Terminal } from './terminal.ts';

interface LazyCommand {
  readonly name: string;
  readonly usage: string;
  readonly sentence: string;
  readonly load?: () => Promise<Command>;
  readonly children?: readonly LazyCommand[];
}

const COMMANDS: readonly LazyCommand[] = [
  {
    name: 'serve',
    usage: 'serve',
    sentence: 'Run one node.',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'dev',
    usage: 'dev',
    sentence: 'Run a cluster on this machine, for development.',
    load: async () => (await import('./commands/dev.ts')).dev,
  },
  {
    name: 'topic',
    usage: 'topic <command>',
    sentence: 'Create, list, describe and delete topics.',
    children: [
      {
        name: 'create',
        usage: 'create <topic>',
        sentence: 'Create a topic.',
        load: async () => (await import('./commands/topic.ts')).topicCreate,
      },
      {
        name: 'ls',
        usage: 'ls',
        sentence: 'List the topics.',
        load: async () => (await import('./commands/topic.ts')).topicList,
      },
      {
        name: 'info',
        usage: 'info <topic>',
        sentence: 'Describe a topic and its partitions.',
        load: async () => (await import('./commands/topic.ts')).topicInfo,
      },
      {
        name: 'rm',
        usage: 'rm <topic>',
        sentence: 'Delete a topic and its records.',
        load: async () => (await import('./commands/topic.ts')).topicRemove,
      },
    ],
  },
  {
    name: 'produce',
    usage: 'produce <topic>',
    sentence: 'Append each line of stdin as one record.',
    load: async () => (await import('./commands/produce.ts')).produce,
  },
  {
    name: 'consume',
    usage: 'consume <topic>',
    sentence: 'Write the records of a topic to stdout.',
    load: async () => (await import('./commands/consume.ts')).consume,
  },
  {
    name: 'cluster',
    usage: 'cluster <command>',
    sentence: 'Look at the cluster, and change who belongs to it.',
    children: [
      {
        name: 'info',
        usage: 'info',
        sentence: 'List the nodes and what they lead.',
        load: async () => (await import('./commands/cluster.ts')).clusterInfo,
      },
      {
        name: 'add',
        usage: 'add <node>',
        sentence: 'Take a running node with an empty directory into the cluster.',
        load: async () => (await import('./commands/cluster.ts')).clusterAdd,
      },
      {
        name: 'remove',
        usage: 'remove <node>',
        sentence: 'Move the replicas of a node away and forget it.',
        load: async () => (await import('./commands/cluster.ts')).clusterRemove,
      },
      {
        name: 'replace',
        usage: 'replace <node> <by>',
        sentence: 'Have one node take the place of another.',
        load: async () => (await import('./commands/cluster.ts')).clusterReplace,
      },
      {
        name: 'drain',
        usage: 'drain <node>',
        sentence: 'Have a node lead nothing, or lead again.',
        load: async () => (await import('./commands/cluster.ts')).clusterDrain,
      },
      {
        name: 'transfer',
        usage: 'transfer <topic> <node>',
        sentence: 'Have a node lead a partition.',
        load: async () => (await import('./commands/cluster.ts')).clusterTransfer,
      },
    ],
  },
  {
    name: 'wal',
    usage: 'wal <command>',
    sentence: 'Look into the data directory of a stopped node.',
    children: [
      {
        name: 'ls',
        usage: 'ls <data-dir>',
        sentence: 'List the logs and their segments.',
        load: async () => (await import('./commands/wal.ts')).walList,
      },
      {
        name: 'dump',
        usage: 'dump <data-dir>',
        sentence: 'Write every entry of a log, one line each.',
        load: async () => (await import('./commands/wal.ts')).walDump,
      },
      {
        name: 'inspect',
        usage: 'inspect <data-dir>',
        sentence: 'Identity, hard state, manifest, segments and snapshots.',
        load: async () => (await import('./commands/wal-inspect.ts')).walInspect,
      },
      {
        name: 'verify',
        usage: 'verify <data-dir>',
        sentence: 'Check every byte of every file; exit 1 when something is damaged.',
        load: async () => (await import('./commands/wal-verify.ts')).walVerify,
      },
      {
        name: 'diff',
        usage: 'diff <data-dir-a> <data-dir-b>',
        sentence: 'Compare the logs of two nodes; exit 1 when replicas may not differ like that.',
        load: async () => (await import('./commands/wal-diff.ts')).walDiff,
      },
      {
        name: 'repair',
        usage: 'repair <data-dir>',
        sentence: 'Mend what needs no peer; --dry-run only says what.',
        load: async () => (await import('./commands/wal-repair.ts')).walRepair,
      },
    ],
  },
  {
    name: 'bench',
    usage: 'bench <command>',
    sentence: 'Measure what limits a node.',
    children: [
      {
        name: 'fsync',
        usage: 'fsync',
        sentence: 'Measure write + flush of the disk, for several sizes.',
        load: async () => (await import('./commands/bench-fsync.ts')).benchFsync,
      },
    ],
  },
  {
    name: 'version',
    usage: 'version',
    sentence: 'Print the version.',
    load: async () => (await import('./commands/version.ts')).version,
  },
];

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

/** The parser only chooses, and the command runs when it is done: so errors of the two are never taken for each other. */
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
