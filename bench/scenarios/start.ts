/**
 * From the command to the first acknowledged record: `npm start` on an empty directory, again on the data it left, and
 * once more without npm.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../src/client/index.ts';
import { durabilityOf } from '../bench-cluster.ts';
import { builtEntry } from '../bench-node.ts';
import { repositoryRoot } from '../machine.ts';
import { figureOf } from '../result.ts';
import { type BenchContext, defineScenario, type Scenario } from '../scenario.ts';

const TARGET_MS = 2_000;
const NODES = 3;
const PORT_STEP = 10;
const RETRY_MS = 10;
const FIRST_ACK_MS_MAX = 60_000;
const STOP_MS_MAX = 20_000;
const TOPIC = 'start';

export const start: Scenario = defineScenario({
  name: 'start',
  sentence: 'From `npm start`, built, to the first acknowledgement.',
  options: { repeats: { default: 5, least: 1, sentence: 'repeats, each in a directory of its own' } },
  async run(context, { repeats }) {
    const samples = { npmEmpty: [] as number[], npmAgain: [] as number[], devAgain: [] as number[] };
    for (let repeat = 1; repeat <= repeats; repeat++) {
      const dataDir = join(context.dir, `start-${repeat}`);
      for (const dir of [dataDir, npmDirOf(dataDir)]) await mkdir(dir);
      samples.npmEmpty.push(await firstAck(context, dataDir, { isNew: true, command: npmStart }));
      samples.npmAgain.push(await firstAck(context, dataDir, { isNew: false, command: npmStart }));
      samples.devAgain.push(await firstAck(context, dataDir, { isNew: false, command: devAlone }));
      const shown = Object.entries(samples).map(([name, values]) => `${name} ${values.at(-1)!.toFixed(0)} ms`);
      context.say(`repeat ${repeat} of ${repeats}: ${shown.join(', ')}`);
    }
    const spec = { unit: 'ms', better: 'lower', target: TARGET_MS } as const;
    return {
      durability: durabilityOf(NODES, context.machine.fileSystem),
      figures: [
        figureOf({ name: 'npm start, empty directory', ...spec }, samples.npmEmpty),
        figureOf({ name: 'npm start, data of before', ...spec }, samples.npmAgain),
        figureOf({ name: 'logdrive dev without npm, data of before', unit: 'ms', better: 'lower' }, samples.devAgain),
      ],
      notes: [
        'The client runs already and tries again every 10 ms. On the empty directory the time includes the birth of ' +
          'the cluster and the creation of the topic.',
        'When a source is newer than the build, npm start builds first: then these are times of the compiler.',
      ],
    };
  },
});

/** Prepares a start of the cluster in `dataDir`: what to run, and in which directory. */
type Command = (dataDir: string, port: number) => Promise<{ readonly words: readonly string[]; readonly cwd: string }>;

const devAlone: Command = async (dataDir, port) => ({
  words: [
    process.execPath,
    builtEntry(),
    'dev',
    '--nodes',
    String(NODES),
    '--data-dir',
    dataDir,
    '--port',
    String(port),
  ],
  cwd: repositoryRoot(),
});

/** The script of our package.json under npm as a user has it, but with another directory and other ports. */
const npmStart: Command = async (dataDir, port) => {
  const root = repositoryRoot();
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } };
  const usual = '--data-dir ./data';
  if (!scripts.start.includes(usual)) throw new Error(`npm start no longer says ${usual}: ${scripts.start}`);
  const script = scripts.start.replace(usual, `--data-dir ${dataDir} --port ${port}`);
  const cwd = npmDirOf(dataDir);
  await writeFile(join(cwd, 'package.json'), JSON.stringify({ scripts: { start: `cd ${root} && ${script}` } }));
  return { words: ['npm', 'start', '--silent'], cwd };
};

/** Where npm finds its package.json. */
function npmDirOf(dataDir: string): string {
  return join(dataDir, 'npm');
}

interface Trial {
  readonly command: Command;
  /** The topic is still to be made. */
  readonly isNew: boolean;
}

async function firstAck(context: BenchContext, dataDir: string, trial: Trial): Promise<number> {
  const port = await freePortRange();
  const { words, cwd } = await trial.command(dataDir, port);
  const [program, ...rest] = words as [string, ...string[]];
  let end = (): Promise<void> => Promise.resolve();
  // Before the start: when the bench is cleaning up already, this throws.
  context.cleanup.defer('logdrive dev', () => end());
  const begunMs = performance.now();
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'], cwd, detached: true });
  let talk = '';
  child.stderr.on('data', (chunk: Buffer) => {
    talk = (talk + chunk.toString()).slice(-4_000);
  });
  const closed = once(child, 'close');
  end = () => stop(child, closed);
  const servers = Array.from({ length: NODES }, (_, at) => `ws://127.0.0.1:${port + PORT_STEP * at}`);
  try {
    await appendOne(servers, trial.isNew, begunMs + FIRST_ACK_MS_MAX, () => child.exitCode === null);
  } catch (error) {
    throw new Error(`no record was acknowledged: ${String(error)}. The cluster wrote: ${talk.trim()}`, {
      cause: error,
    });
  }
  const elapsedMs = performance.now() - begunMs;
  await end();
  return elapsedMs;
}

async function appendOne(
  servers: readonly string[],
  isNew: boolean,
  deadlineMs: number,
  isAlive: () => boolean,
): Promise<void> {
  for (;;) {
    try {
      const client = await connect(servers, { connectTimeoutMs: 1_000, reconnect: { minDelayMs: 10, maxDelayMs: 20 } });
      try {
        if (isNew) await client.admin.ensureTopic({ name: TOPIC });
        await client.topic(TOPIC).append({ value: Buffer.from('first') });
        return;
      } finally {
        await client.close();
      }
    } catch (error) {
      // Nobody listens yet, or there is no leader yet.
      if (performance.now() > deadlineMs || !isAlive()) throw error;
      await delay(RETRY_MS);
    }
  }
}

async function stop(child: ChildProcess, closed: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // The whole group: under npm the cluster is a grandchild. The nodes have groups of their own; dev drains them.
  const kill = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  };
  kill('SIGTERM');
  const timer = setTimeout(() => kill('SIGKILL'), STOP_MS_MAX);
  await closed;
  clearTimeout(timer);
}

/** `dev` wants ports at fixed distances: a first one such that all of them are free. */
async function freePortRange(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = 20_000 + 100 * attempt + (process.pid % 100);
    const wanted = Array.from({ length: NODES }, (_, at) => [
      first + PORT_STEP * at,
      first + PORT_STEP * at + 1,
    ]).flat();
    if ((await Promise.all(wanted.map(isFree))).every(Boolean)) return first;
  }
  throw new Error('found no free range of ports for logdrive dev');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}
