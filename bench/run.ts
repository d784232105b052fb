/**
 * The runner of all benches: `npm run bench -- NAME`, `all`, `compare A B`, `profile FILE...`. Data goes to stdout,
 * talk to stderr. Results lie in bench/results/NAME.json. Whatever happens (a node that does not start, a busy port,
 * Ctrl-C), the processes and directories that were made are gone at the end, and the reason is said.
 *
 * `all` gives each scenario a process of its own, so that none pays for the garbage and the optimizer of another.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Cleanup, removeDir } from './cleanup.ts';
import { loadResults, renderComparison } from './compare.ts';
import { measureDiskLimit } from './disk-limit.ts';
import { describeMachine, repositoryRoot } from './machine.ts';
import { chosenPeers, PEER_TEXTS } from './peers/index.ts';
import { install } from './peers/install.ts';
import { PeersDir } from './peers/peers-dir.ts';
import { renderResult } from './print.ts';
import { renderProfile } from './profile.ts';
import { RESULT_VERSION, type Result } from './result.ts';
import { optionValues, type Scenario, type TextSpec } from './scenario.ts';
import { SCENARIOS } from './scenarios/index.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
const PROFILE_ROWS = 40;

class UsageError extends Error {}

interface Flags {
  readonly json: boolean;
  readonly dir: string;
  readonly out: string;
  readonly profile: boolean;
}

const COMMON_FLAGS = {
  json: { type: 'boolean', default: false },
  dir: { type: 'string', default: tmpdir() },
  out: { type: 'string', default: join(repositoryRoot(), 'bench/results') },
  profile: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function usage(): string {
  const scenarios = SCENARIOS.flatMap((scenario) => [
    `  ${scenario.name.padEnd(10)} ${scenario.sentence}`,
    ...Object.entries({ ...scenario.options, ...scenario.texts }).map(
      ([name, spec]) => `             --${name.padEnd(14)} ${spec.sentence} (${spec.default})`,
    ),
  ]);
  return [
    'npm run bench -- NAME [options]     one scenario',
    'npm run bench -- all                every scenario with its defaults, each in a process of its own',
    'npm run bench -- compare A B        two results, or two directories of results',
    'npm run bench -- profile FILE...    where the time went, from .cpuprofile files',
    'npm run bench -- peers-install      fetches and builds what `peers` compares with; --peers-dir and --only as there',
    '',
    '  --json          the result as one line of JSON on stdout',
    '  --dir DIR       on the disk to measure (the directory for temporary files)',
    '  --out DIR       where results go (bench/results)',
    '  --profile       CPU profiles of all processes into OUT/profiles/NAME; slower, so not for figures',
    '',
    ...scenarios,
    '',
  ].join('\n');
}

async function main(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(usage());
    return name === undefined ? EXIT_USAGE : 0;
  }
  if (name === 'compare') return compare(rest);
  if (name === 'profile') return profile(rest);
  if (name === 'all') return runAll(rest);
  if (name === 'peers-install') return installPeers(rest);
  const scenario = SCENARIOS.find((each) => each.name === name);
  if (scenario === undefined) throw new UsageError(`there is no bench named ${name}`);
  return runOne(scenario, rest);
}

async function compare(words: readonly string[]): Promise<number> {
  const [before, after, ...more] = words;
  if (before === undefined || after === undefined || more.length > 0) throw new UsageError('compare wants two paths');
  process.stdout.write(renderComparison(await loadResults(before), await loadResults(after)));
  return 0;
}

function profile(files: readonly string[]): number {
  if (files.length === 0) throw new UsageError('profile wants the paths of .cpuprofile files');
  for (const file of files) process.stdout.write(renderProfile(file, PROFILE_ROWS));
  return 0;
}

async function installPeers(words: readonly string[]): Promise<number> {
  const { given } = parse(words, Object.keys(PEER_TEXTS));
  const texts = readTexts(PEER_TEXTS, given);
  const failures = await install(new PeersDir(resolve(texts['peers-dir']!)), chosenPeers(texts.only!), say);
  return failures > 0 ? EXIT_FAILED : 0;
}

async function runAll(words: readonly string[]): Promise<number> {
  parse(words, []);
  const failed: string[] = [];
  let child: ChildProcess | undefined;
  let interruption: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    interruption = signal;
    child?.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  for (const { name } of SCENARIOS) {
    if (interruption !== undefined) break;
    // A group of its own: a Ctrl-C reaches it once, through us.
    const command = [import.meta.filename, name, ...words];
    child = spawn(process.execPath, command, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    const [code] = await once(child, 'close');
    if (code !== 0) failed.push(name);
  }
  if (interruption !== undefined) return EXIT_INTERRUPTED;
  if (failed.length > 0) say(`failed: ${failed.join(', ')}`);
  return failed.length > 0 ? EXIT_FAILED : 0;
}

function parse(words: readonly string[], own: readonly string[]): { flags: Flags; given: Record<string, string> } {
  const options = { ...COMMON_FLAGS, ...Object.fromEntries(own.map((name) => [name, { type: 'string' as const }])) };
  try {
    const { values } = parseArgs({ args: [...words], options });
    const { json, dir, out, profile: isProfiled, help, ...given } = values as Record<string, string | boolean>;
    if (help === true) throw new UsageError('');
    const flags = {
      json: json === true,
      dir: resolve(String(dir)),
      out: resolve(String(out)),
      profile: isProfiled === true,
    };
    return { flags, given: given as Record<string, string> };
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

async function runOne(scenario: Scenario, words: readonly string[]): Promise<number> {
  const { texts: textSpecs = {} } = scenario;
  const { flags, given } = parse(words, [...Object.keys(scenario.options), ...Object.keys(textSpecs)]);
  const options = readOptions(scenario, given);
  const texts = readTexts(textSpecs, given);
  const cleanup = new Cleanup();
  let isEnding = false;
  const endEarly = (reason: string, code: number): void => {
    // More of them change nothing: `timeout` signals the process and then its group, an impatient hand presses Ctrl-C
    // twice, and a default that struck in the middle of the clean-up would leave the rest behind.
    if (isEnding) return;
    isEnding = true;
    say(`${scenario.name}: ${reason}; cleaning up`);
    void cleanup.run().then(
      () => process.exit(code),
      (error) => {
        say(String(error));
        process.exit(code);
      },
    );
  };
  const onSignal = (signal: NodeJS.Signals): void => endEarly(`interrupted by ${signal}`, EXIT_INTERRUPTED);
  // Of work whose nodes were just killed, or that nobody waited for: without a listener it ends the process on the
  // spot.
  const onUncaught = (error: unknown): void => endEarly(describeFailure(error), EXIT_FAILED);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on('uncaughtException', onUncaught);
  try {
    const result = await measure(scenario, { options, texts }, flags, cleanup);
    await mkdir(flags.out, { recursive: true });
    await writeFile(join(flags.out, `${scenario.name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
    process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : `${renderResult(result)}\n`);
    return 0;
  } finally {
    await cleanup.run();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off('uncaughtException', onUncaught);
  }
}

function readOptions(scenario: Scenario, given: Record<string, string>): Record<string, number> {
  try {
    return optionValues(scenario.options, given);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function readTexts(
  specs: Readonly<Record<string, TextSpec>>,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const text = given[name] ?? spec.default;
    try {
      spec.check?.(text);
    } catch (error) {
      throw new UsageError((error as Error).message, { cause: error });
    }
    texts[name] = text;
  }
  return texts;
}

async function measure(
  scenario: Scenario,
  { options, texts }: { readonly options: Record<string, number>; readonly texts: Record<string, string> },
  flags: Flags,
  cleanup: Cleanup,
): Promise<Result> {
  // Both in one turn: a signal between them would find a directory that nobody removes.
  const dir = mkdtempSync(join(flags.dir, 'logdrive-bench-'));
  cleanup.defer(dir, () => removeDir(dir));
  const profileDir = flags.profile ? join(flags.out, 'profiles', scenario.name) : undefined;
  const machine = await describeMachine(dir);
  const startedAt = new Date().toISOString();
  const diskLimit = await measureDiskLimit(dir);
  const begunMs = performance.now();
  const sayOwn = (line: string): void => say(`${scenario.name}: ${line}`);
  const measuring = (): ReturnType<Scenario['run']> =>
    scenario.run({ dir, machine, cleanup, profileDir, say: sayOwn }, options, texts);
  const measurement = profileDir === undefined ? await measuring() : await profiled(profileDir, measuring);
  const elapsedSeconds = (performance.now() - begunMs) / 1_000;
  const { name } = scenario;
  return {
    version: RESULT_VERSION,
    scenario: name,
    startedAt,
    elapsedSeconds,
    machine,
    options,
    diskLimit,
    ...measurement,
  };
}

/** Writes a profile of this process, which is the client, while `work` runs. */
async function profiled<T>(profileDir: string, work: () => Promise<T>): Promise<T> {
  await mkdir(profileDir, { recursive: true });
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  try {
    return await work();
  } finally {
    const { profile: taken } = await session.post('Profiler.stop');
    session.disconnect();
    await writeFile(join(profileDir, 'client.cpuprofile'), JSON.stringify(taken));
    say(`profiles are in ${profileDir}`);
  }
}

function describeFailure(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) {
    say(error.message === '' ? usage() : `${error.message}\n\n${usage()}`);
    process.exitCode = EXIT_USAGE;
  } else {
    say(describeFailure(error));
    process.exitCode = EXIT_FAILED;
  }
}
