/**
 * From the command to the first acknowledged record: what `npm start` runs, first on an empty directory, then again on
 * the data it left, and once more with the check by npm that everything is built.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
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
    const samples = { empty: [] as number[], again: [] as number[], npm: [] as number[] };
    for (let repeat = 1; repeat <= repeats; repeat++) {
      const dataDir = join(context.dir, `start-${repeat}`);
      await mkdir(dataDir);
      const command = [process.execPath, builtEntry()];
      samples.empty.push(await firstAck(context, { dataDir, command, isNew: true }));
      samples.again.push(await firstAck(context, { dataDir, command, isNew: false }));
      const shell = ['sh', '-c', 'npm run --silent build && exec node "$@"', 'sh', builtEntry()];
      samples.npm.push(await firstAck(context, { dataDir, command: shell, isNew: false }));
      const shown = Object.entries(samples).map(([name, values]) => `${name} ${values.at(-1)!.toFixed(0)} ms`);
      context.say(`repeat ${repeat} of ${repeats}: ${shown.join(', ')}`);
    }
    const spec = { unit: 'ms', better: 'lower', target: TARGET_MS } as const;
    return {
      durability: durabilityOf(NODES, context.machine.fileSystem),
      figures: [
        figureOf({ name: 'logdrive dev, empty directory', ...spec }, samples.empty),
        figureOf({ name: 'logdrive dev, data of before', ...spec }, samples.again),
        figureOf({ name: 'npm start, data of before', unit: 'ms', better: 'lower' }, samples.npm),
      ],
      notes: [
        'The client runs already and tries again every 10 ms. On the empty directory the time includes the birth of ' +
          'the cluster and the creation of the topic.',
        'npm start first asks the compiler and the bundler whether anything is left to build; that part is npm, tsc ' +
          'and esbuild.',
      ],
    };
  },
});

interface Trial {
  readonly dataDir: string;
  /** Program and first arguments; those of `dev` follow. */
  readonly command: readonly string[];
  /** The topic is still to be made. */
  readonly isNew: boolean;
}

async function firstAck(context: BenchContext, trial: Trial): Promise<number> {
  const port = await freePortRange();
  const [program, ...words] = trial.command as [string, ...string[]];
  const begunMs = performance.now();
  const child = spawn(
    program,
    [...words, 'dev', '--nodes', String(NODES), '--data-dir', trial.dataDir, '--port', String(port)],
    { stdio: ['ignore', 'ignore', 'pipe'], cwd: repositoryRoot(), detached: true },
  );
  let talk = '';
  child.stderr.on('data', (chunk: Buffer) => {
    talk = (talk + chunk.toString()).slice(-4_000);
  });
  const closed = once(child, 'close');
  context.cleanup.defer('logdrive dev', () => stop(child, closed));
  const servers = Array.from({ length: NODES }, (_, at) => `ws://127.0.0.1:${port + PORT_STEP * at}`);
  try {
    await appendOne(servers, trial.isNew, begunMs + FIRST_ACK_MS_MAX, () => child.exitCode === null);
  } catch (error) {
    throw new Error(`no record was acknowledged: ${String(error)}. The cluster wrote: ${talk.trim()}`, {
      cause: error,
    });
  }
  const elapsedMs = performance.now() - begunMs;
  await stop(child, closed);
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
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
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
