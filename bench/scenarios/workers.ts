/**
 * What it would cost, and bring, to spread the partitions of a node over worker threads: handing a frame to another
 * thread and getting one back, and the work of partitions (Raft cores; durable appends to logs) in one thread and in
 * two. A machine with two processors shows the costs and whether two threads get in each other's way; it cannot show
 * what eight would bring.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Done, WriterOptions } from '../journal/small-appends.ts';
import { repositoryRoot } from '../machine.ts';
import { type Figure, figureOf } from '../result.ts';
import { type BenchContext, defineScenario, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';
import { Ring } from '../workers/ring.ts';
import type { Assignment } from '../workers/work.ts';

const KiB = 1024;
const FRAMES = [1, 4, 16, 64];
const RING_BYTES = 4 * 1024 * KiB;
/** Frames under way at once where speed is measured: what one turn of a busy socket brings. */
const WINDOW = 16;
const ENTRIES = 40_000;

type Way = 'copied' | 'transferred' | 'shared memory';
const WAYS: readonly Way[] = ['copied', 'transferred', 'shared memory'];

export const workers: Scenario = defineScenario({
  name: 'workers',
  sentence: 'Worker threads: handing frames over, and the work of partitions in one and in two of them.',
  options: {
    seconds: { default: 1, least: 0.05, sentence: 'seconds of each measurement' },
    repeats: { default: 3, least: 1, sentence: 'times each is taken, after one that does not count' },
    logs: { default: 100, least: 2, sentence: 'logs, of all threads together' },
  },
  async run(context, { seconds, repeats, logs }) {
    const figures: Figure[] = [];
    for (const kib of FRAMES) {
      for (const way of WAYS) figures.push(...(await handOver(context, { way, bytes: kib * KiB, seconds, repeats })));
    }
    figures.push(...(await inThreads(context, 'raft', { seconds, repeats, logs })));
    figures.push(...(await inThreads(context, 'logs', { seconds, repeats, logs })));
    return {
      durability: 'fsync on one node for the logs; nothing is stored by the other measurements',
      figures,
      notes: ['Frames go to a worker and come back: a figure of handing over is one there and one back.'],
    };
  },
});

async function start(context: BenchContext, assignment: Assignment): Promise<Worker> {
  const worker = new Worker(join(repositoryRoot(), 'dist/bench/workers/worker-main.js'), { workerData: assignment });
  context.cleanup.defer('a worker', async () => void (await worker.terminate()));
  await next(worker);
  return worker;
}

function next<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (message: T) => {
      worker.off('error', reject);
      resolve(message);
    });
  });
}

/** One side of the hand-over: sends a frame, and calls back for each that comes. */
interface Channel {
  send(frame: Uint8Array<ArrayBuffer>): void;
  onFrame: (frame: Uint8Array<ArrayBuffer>) => void;
}

function channelOf(worker: Worker, way: Way, rings: readonly SharedArrayBuffer[]): Channel {
  if (way === 'shared memory') {
    const [requests, answers] = rings.map((shared) => new Ring(shared)) as [Ring, Ring];
    const channel: Channel = { send: (frame) => requests.push(frame), onFrame: () => undefined };
    answers.onFrame((frame) => channel.onFrame(frame as Uint8Array<ArrayBuffer>));
    return channel;
  }
  const channel: Channel = {
    send: (frame) => worker.postMessage(frame, way === 'transferred' ? [frame.buffer] : []),
    onFrame: () => undefined,
  };
  worker.on('message', (frame: Uint8Array<ArrayBuffer>) => channel.onFrame(frame));
  return channel;
}

interface HandOver {
  readonly way: Way;
  readonly bytes: number;
  readonly seconds: number;
  readonly repeats: number;
}

async function handOver(context: BenchContext, { way, bytes, seconds, repeats }: HandOver): Promise<Figure[]> {
  const rings = [Ring.shared(RING_BYTES), Ring.shared(RING_BYTES)] as const;
  const assignment: Assignment =
    way === 'shared memory' ? { kind: 'ring', rings } : { kind: 'echo', isTransferred: way === 'transferred' };
  const worker = await start(context, assignment);
  const channel = channelOf(worker, way, rings);
  const [p50s, cpus]: [number[], number[]] = [[], []];
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const alone = await exchange(channel, { bytes, seconds: seconds / 2, window: 1 });
    const busy = await exchange(channel, { bytes, seconds: seconds / 2, window: WINDOW });
    if (repeat === 0) continue;
    p50s.push(distributionOf(alone.tookMs).p50 * 1_000);
    cpus.push(busy.cpuMicros);
  }
  await worker.terminate();
  const label = `${bytes / KiB} KiB ${way}`;
  const figures = [
    figureOf({ name: `${label}, alone: p50`, unit: 'us', better: 'lower' }, p50s),
    figureOf({ name: `${label}, ${WINDOW} at once: processor time, both threads`, unit: 'us', better: 'lower' }, cpus),
  ];
  context.say(figures.map(({ name, median }) => `${name} ${median.toFixed(1)} us`).join('; '));
  return figures;
}

/** Frames there and back, so many under way. */
function exchange(
  channel: Channel,
  { bytes, seconds, window }: { readonly bytes: number; readonly seconds: number; readonly window: number },
): Promise<{ readonly tookMs: number[]; readonly cpuMicros: number }> {
  const untilMs = performance.now() + seconds * 1_000;
  const before = process.cpuUsage();
  const tookMs: number[] = [];
  const sentMs: number[] = [];
  return new Promise((resolve) => {
    const send = (): void => {
      sentMs.push(performance.now());
      // A new one each time, as a socket gives it: what was transferred is gone.
      channel.send(new Uint8Array(bytes));
    };
    channel.onFrame = () => {
      const nowMs = performance.now();
      tookMs.push(nowMs - sentMs.shift()!);
      if (nowMs < untilMs) return send();
      if (sentMs.length > 0) return;
      const { user, system } = process.cpuUsage(before);
      resolve({ tookMs, cpuMicros: (user + system) / tookMs.length });
    };
    for (let n = 0; n < window; n++) send();
  });
}

interface Load {
  readonly seconds: number;
  readonly repeats: number;
  readonly logs: number;
}

/** The same work by one worker and by two, in turn. */
async function inThreads(context: BenchContext, kind: 'raft' | 'logs', load: Load): Promise<Figure[]> {
  const teams = [await team(context, kind, 1, load), await team(context, kind, 2, load)] as const;
  const samples: [number[], number[]] = [[], []];
  for (let repeat = 0; repeat <= load.repeats; repeat++) {
    for (const [at, members] of teams.entries()) {
      const perSecond = await workOf(members, kind, load.seconds);
      if (repeat > 0) samples[at]!.push(perSecond);
    }
  }
  for (const worker of teams.flat()) await worker.terminate();
  const [one, two] = samples;
  const what = kind === 'raft' ? 'entries through three Raft cores' : 'durable appends to logs';
  const unit = kind === 'raft' ? 'entries/s' : 'appends/s';
  const ratios = two.map((perSecond, at) => perSecond / one[at]!);
  const figures = [
    figureOf({ name: `${what}, one thread`, unit, better: 'higher' }, one),
    figureOf({ name: `${what}, two threads`, unit, better: 'higher' }, two),
    figureOf({ name: `${what}, two threads to one`, unit: 'x', better: 'higher' }, ratios),
  ];
  context.say(figures.map(({ name, median }) => `${name}: ${median.toFixed(2)}`).join('; '));
  return figures;
}

function team(context: BenchContext, kind: 'raft' | 'logs', count: number, { logs }: Load): Promise<Worker[]> {
  const options = (at: number): WriterOptions => ({
    ...{ way: 'files', recordBytes: 100, journalBytes: 0, logs: Math.floor(logs / count) },
    dir: join(context.dir, `${count}-threads-${at}`),
  });
  return Promise.all(
    Array.from({ length: count }, (_, at) =>
      start(context, kind === 'raft' ? { kind } : { kind, options: options(at) }),
    ),
  );
}

async function workOf(members: readonly Worker[], kind: 'raft' | 'logs', seconds: number): Promise<number> {
  const each = members.map(async (worker) => {
    const answer = next<number | Done>(worker);
    worker.postMessage(kind === 'raft' ? ENTRIES : seconds);
    const done = await answer;
    return typeof done === 'number' ? done : done.tookMs.length / done.elapsedSeconds;
  });
  return (await Promise.all(each)).reduce((sum, perSecond) => sum + perSecond, 0);
}
