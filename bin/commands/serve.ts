/**
 * `logdrive serve`: one node in this process, until it is told to stop. The first SIGTERM or SIGINT drains: leadership
 * and clients go elsewhere, what was accepted is flushed, exit 0. A second one, or a drain past its deadline, ends the
 * process at once with 1; nothing acknowledged can be lost by that. A defect nobody caught ends it too: a node that
 * does not know its own state must not go on.
 */
import { readFile } from 'node:fs/promises';
import {
  CONFIG_KEYS,
  type Config,
  ConfigError,
  type ConfigKey,
  type LoadedConfig,
  loadConfig,
} from '../../src/config.ts';
import { createLogger, startServer } from '../../src/server/index.ts';
import { COMMAND_LINE_VARIABLES, type Command, type Flag, type Flags, type Invocation } from '../command.ts';
import { EXIT_OTHER, UsageError } from '../exit.ts';
import type { NodeMessage } from '../node-process.ts';

export const serve: Command = {
  usage: 'serve',
  flags: {
    config: {
      kind: 'text',
      short: 'c',
      sentence: 'A file with the keys below (JSON, comments allowed).',
      placeholder: 'FILE',
    },
    supervised: { kind: 'switch', sentence: 'Ends with the parent process, over its channel.', isHidden: true },
    ...configFlags(CONFIG_KEYS),
  },
  examples: [
    ['$0 serve --data-dir ./data --bootstrap', 'a node on its own'],
    ['$0 serve --node-id n1 --peers n1=10.0.0.1:4438,n2=10.0.0.2:4438,n3=10.0.0.3:4438 --bootstrap', 'one of three'],
  ],
  run: runServe,
};

function configFlags(keys: readonly ConfigKey[]): Flags {
  return Object.fromEntries(keys.map((key): [string, Flag] => [key.flag, configFlag(key)]));
}

function configFlag(key: ConfigKey): Flag {
  const range = key.range === '' ? '' : ` (${key.range})`;
  const isShown = ['string', 'number'].includes(typeof key.default);
  return {
    kind: key.type === 'yes-no' ? 'switch' : 'text',
    sentence: `${key.sentence}${range}`,
    ...(isShown && { defaultText: String(key.default) }),
  };
}

async function runServe(invocation: Invocation): Promise<void> {
  const { config, warnings } = await load(invocation);
  const { level, pretty } = config.log;
  const isPretty = pretty === 'yes' || (pretty === 'auto' && process.stderr.isTTY === true);
  const logger = createLogger({ level, isPretty });
  for (const warning of warnings) logger.warn({}, warning);
  const onDefect = (error: unknown): void => {
    logger.fatal({ error }, 'a defect nobody caught; the process ends');
    process.exit(EXIT_OTHER);
  };
  process.on('uncaughtException', onDefect);
  process.on('unhandledRejection', onDefect);

  const stopping = stopRequest(invocation.isOn('supervised'));
  const server = await startServer(config, { logger });
  void server.ready().then(
    () => tellParent({ kind: 'ready' }),
    // It was stopped before it became ready: there is nothing to tell.
    () => undefined,
  );
  const reason = await stopping;
  logger.info({ reason }, 'stopping');
  const deadline = setTimeout(() => {
    logger.fatal({ deadlineMs: config.shutdown.deadlineMs }, 'the drain took too long; the process ends');
    process.exit(EXIT_OTHER);
  }, config.shutdown.deadlineMs);
  await server.drain();
  await server.stop();
  clearTimeout(deadline);
}

/** @throws UsageError when the configuration cannot be started with. */
async function load(invocation: Invocation): Promise<LoadedConfig & { readonly config: Config }> {
  const { config: path, supervised: _, ...flags } = invocation.given();
  try {
    return loadConfig({
      flags,
      env: process.env,
      envKnownElsewhere: COMMAND_LINE_VARIABLES,
      ...(path !== undefined && { file: await readConfig(String(path)) }),
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new UsageError(error.problems.join('\n  '), { cause: error });
  }
}

async function readConfig(path: string): Promise<{ readonly path: string; readonly text: string }> {
  try {
    return { path, text: await readFile(path, 'utf8') };
  } catch (error) {
    throw new UsageError(`--config: ${(error as Error).message}`, { cause: error });
  }
}

/** Resolves with the word for the first request to stop; a second one ends the process. */
function stopRequest(isSupervised: boolean): Promise<string> {
  if (isSupervised && process.send === undefined) {
    throw new UsageError('--supervised is for a process that was started with a channel to its parent');
  }
  return new Promise((resolve) => {
    let isStopping = false;
    const onRequest = (reason: string): void => {
      if (isStopping) process.exit(EXIT_OTHER);
      isStopping = true;
      resolve(reason);
    };
    process.on('SIGTERM', onRequest);
    process.on('SIGINT', onRequest);
    // A parent that stops us by signal closes the channel too, later: that is not a second request.
    const onOrphaned = (): void => {
      if (!isStopping) onRequest('the parent process ended');
    };
    if (isSupervised) process.on('disconnect', onOrphaned);
    // It may have ended while this process was starting; nobody is told of that twice.
    if (isSupervised && !process.connected) onOrphaned();
  });
}

function tellParent(message: NodeMessage): void {
  // The channel may close at any moment; that the parent is gone is told by 'disconnect'.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
