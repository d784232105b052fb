/**
 * Many topics on the same three nodes: what they cost when all of them are busy, how many single appends they take, and
 * how long an append waits when each of them gets a few. One topic does the same work first, so that the figures are
 * ratios. Every load runs for a while before it counts: nodes compile what many groups need at first, and the queue of
 * those seconds would be measured for many more.
 */
import type { Client, Producer } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import { connectTo, VALUES } from '../load.ts';
import { makeValues } from '../payload.ts';
import { type Figure, figureOf } from '../result.ts';
import { type BenchContext, defineScenario, type OptionValues, type Scenario } from '../scenario.ts';
import { Schedule } from '../schedule.ts';
import { distributionOf } from '../statistics.ts';

const COUNTS = [1, 100, 1_000];
const TARGET_THROUGHPUT_SHARE = 0.5;
const TARGET_P99_RATIO = 5;
const CREATED_AT_ONCE = 8;
/** Seconds for which a queue may grow: appends that wait longer would be given up, and the bench with them. */
const QUEUE_SECONDS_MAX = 15;
/** An open load that ends so much later than it was due to was more than the cluster takes. */
const LATE_FACTOR = 1.1;
/** What is more than the cluster takes is halved so often, to find what it does take. */
const HALVINGS_MAX = 6;

const OPTIONS = {
  size: { default: 100, least: 1, sentence: 'bytes of a record' },
  most: { default: 1_000, least: 1, sentence: `topics at the end; the steps are ${COUNTS.join(', ')}` },
  records: { default: 1_000_000, least: 1, sentence: 'records of a busy run, over all topics' },
  rate: { default: 10, least: 1, sentence: 'appends a second on each topic, for latency' },
  seconds: { default: 5, least: 1, sentence: 'seconds of a run with single appends' },
  warm: { default: 3, least: 0, sentence: 'seconds of such a run before it counts' },
  nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
} as const;

interface Topics {
  readonly cluster: BenchCluster;
  readonly client: Client;
  readonly values: readonly Uint8Array[];
  readonly names: string[];
}

/** What a step of the scenario found. */
interface Found {
  readonly perSecond: number;
  readonly p99: number;
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
}

export const topics: Scenario = defineScenario({
  name: 'topics',
  sentence: 'Many topics: throughput and latency against those of one.',
  options: OPTIONS,
  async run(context, options) {
    const { nodes, most, size } = options;
    const cluster = await BenchCluster.start(context, { nodes });
    const client = await connectTo(context, cluster);
    const all: Topics = { cluster, client, values: makeValues(VALUES, size), names: [] };
    const figures: Figure[] = [];
    const notes: string[] = [];
    let alone: Found | undefined;
    for (const count of [...COUNTS.filter((each) => each < most), most]) {
      const found = await measure(context, all, count, options);
      figures.push(...found.figures);
      notes.push(...found.notes);
      alone ??= found;
      if (count !== most) continue;
      const label = labelOf(count);
      const share = { unit: 'x', better: 'higher', target: TARGET_THROUGHPUT_SHARE } as const;
      const ratio = { unit: 'x', better: 'lower', target: TARGET_P99_RATIO } as const;
      figures.push(
        figureOf({ name: `${label} to one, acknowledged`, ...share }, [found.perSecond / alone.perSecond]),
        figureOf({ name: `${label} to one, p99`, ...ratio }, [found.p99 / alone.p99]),
      );
    }
    return { durability: durabilityOf(nodes, context.machine.fileSystem), figures, notes };
  },
});

function labelOf(count: number): string {
  return `${count.toLocaleString('en')} topics`;
}

/** One step: so many topics, busy, then with one append in flight on each, then with a few a second. */
async function measure(
  context: Pick<BenchContext, 'say'>,
  all: Topics,
  count: number,
  { records, rate, seconds, warm }: OptionValues<typeof OPTIONS>,
): Promise<Found> {
  const label = labelOf(count);
  const createMs = await create(all, count);
  await busy(all, Math.ceil(records / 10));
  const perSecond = await busy(all, records);
  context.say(`${label}: ${Math.round(perSecond)} records/s`);
  const single = await oneInFlight(all, warm, seconds);
  context.say(
    `${label}: ${Math.round(single.perSecond)} appends/s, ${single.cpuMicros.toFixed(0)} us of processor time each`,
  );
  const run = { warm, seconds, most: single.perSecond * QUEUE_SECONDS_MAX };
  const open = await steady(all, rate, run);
  const { p50, p99 } = distributionOf(open.tookMs);
  const asked = `${label}, ${rate}/s each`;
  const isSaturated = isMoreThanItTakes(open);
  const saturation = `${asked}: saturated at ${Math.round(open.perSecond)} appends/s; its times are those of the queue`;
  context.say(isSaturated ? saturation : `${asked}: p50 ${p50.toFixed(2)} p99 ${p99.toFixed(2)} ms`);
  const figures = [
    figureOf({ name: `${label}, acknowledged`, unit: 'records/s', better: 'higher' }, [perSecond]),
    figureOf({ name: `${label}, one in flight on each`, unit: 'appends/s', better: 'higher' }, [single.perSecond]),
    figureOf({ name: `${label}, processor time of such an append`, unit: 'us', better: 'lower' }, [single.cpuMicros]),
    figureOf({ name: `${asked}, p50`, unit: 'ms', better: 'lower' }, [p50]),
    figureOf({ name: `${asked}, p99`, unit: 'ms', better: 'lower' }, [p99]),
    ...(isSaturated ? await rateHeld(context, all, rate, run) : []),
    ...(createMs === undefined
      ? []
      : [figureOf({ name: `${label}, creating one`, unit: 'ms', better: 'lower' }, [createMs])]),
  ];
  return { perSecond, p99, figures, notes: isSaturated ? [saturation] : [] };
}

function isMoreThanItTakes({ elapsedSeconds, dueSeconds }: Steady): boolean {
  return elapsedSeconds > LATE_FACTOR * dueSeconds;
}

/** The largest of rate/2, rate/4 and so on that ends in time, with its latency; nothing when none of them does. */
async function rateHeld(
  context: Pick<BenchContext, 'say'>,
  all: Topics,
  rate: number,
  run: SteadyRun,
): Promise<readonly Figure[]> {
  const label = labelOf(all.names.length);
  for (let halvings = 1; halvings <= HALVINGS_MAX; halvings++) {
    const each = rate / 2 ** halvings;
    const open = await steady(all, each, run);
    if (isMoreThanItTakes(open)) continue;
    const { p50, p99 } = distributionOf(open.tookMs);
    context.say(`${label}, ${each}/s each: held, p50 ${p50.toFixed(2)} p99 ${p99.toFixed(2)} ms`);
    return [
      figureOf({ name: `${label}, a rate that is held`, unit: 'appends/s', better: 'higher' }, [
        each * all.names.length,
      ]),
      figureOf({ name: `${label}, at that rate, p50`, unit: 'ms', better: 'lower' }, [p50]),
      figureOf({ name: `${label}, at that rate, p99`, unit: 'ms', better: 'lower' }, [p99]),
    ];
  }
  return [];
}

/** @returns ms a topic, of those that were missing. */
async function create({ cluster, names }: Topics, count: number): Promise<number | undefined> {
  const missing = count - names.length;
  const begunMs = performance.now();
  while (names.length < count) {
    const made = Array.from(
      { length: Math.min(CREATED_AT_ONCE, count - names.length) },
      (_, at) => `topic-${names.length + at}`,
    );
    await Promise.all(made.map((name) => cluster.createTopic(name)));
    names.push(...made);
  }
  return missing === 0 ? undefined : (performance.now() - begunMs) / missing;
}

/** A producer a topic, each of which has found its leader. They are closed when `work` ends. */
async function withProducers<T>(
  { client, names, values }: Topics,
  work: (producers: readonly Producer<Uint8Array, Uint8Array>[]) => Promise<T>,
): Promise<T> {
  const producers = names.map((name) => client.topic(name).producer());
  await Promise.all(producers.map((producer) => producer.send({ value: values[0]! })));
  const result = await work(producers);
  await Promise.all(producers.map((producer) => producer.close()));
  return result;
}

/** As many as the producers take at once, the same share to each topic. @returns records acknowledged a second. */
function busy(all: Topics, records: number): Promise<number> {
  const { names, values } = all;
  const each = Math.ceil(records / names.length);
  return withProducers(all, async (producers) => {
    const begunMs = performance.now();
    await Promise.all(
      producers.map(async (producer) => {
        for (let n = 0; n < each; n++) {
          if (!producer.enqueue({ value: values[n % VALUES]! })) await producer.drained();
        }
        await producer.flush();
      }),
    );
    return (each * names.length * 1_000) / (performance.now() - begunMs);
  });
}

/** One append in flight on each topic: what the cluster takes of single appends, and what one costs all processes. */
function oneInFlight(
  all: Topics,
  warm: number,
  seconds: number,
): Promise<{ readonly perSecond: number; readonly cpuMicros: number }> {
  const { cluster, values } = all;
  return withProducers(all, async (producers) => {
    const appendFor = async (forSeconds: number): Promise<number> => {
      const endMs = performance.now() + forSeconds * 1_000;
      let appends = 0;
      const appendTo = async (producer: (typeof producers)[number]): Promise<void> => {
        while (performance.now() < endMs) {
          await producer.send({ value: values[appends % VALUES]! });
          appends++;
        }
      };
      await Promise.all(producers.map(appendTo));
      return appends;
    };
    await appendFor(warm);
    const before = await cluster.look();
    const begunMs = performance.now();
    const appends = await appendFor(seconds);
    const elapsedMs = performance.now() - begunMs;
    const use = cluster.useBetween(before, await cluster.look());
    const cpuSeconds = use.reduce((sum, process) => sum + process.cpuSeconds, 0);
    return { perSecond: (appends * 1_000) / elapsedMs, cpuMicros: (cpuSeconds * 1e6) / appends };
  });
}

interface Steady {
  /** From due to acknowledged, of each append after the warm-up. */
  readonly tookMs: Float64Array;
  /** With the warm-up. */
  readonly perSecond: number;
  readonly elapsedSeconds: number;
  /** When the last append was due. */
  readonly dueSeconds: number;
}

interface SteadyRun {
  readonly warm: number;
  readonly seconds: number;
  /** Appends. */
  readonly most: number;
}

/**
 * Single appends at a fixed rate on each topic, spread evenly, at most so many; the first `warm` seconds do not count.
 */
function steady(all: Topics, rate: number, { warm, seconds, most }: SteadyRun): Promise<Steady> {
  const { names, values } = all;
  return withProducers(all, async (producers) => {
    const perSecond = names.length * rate;
    const count = Math.ceil(Math.min(perSecond * (warm + seconds), most));
    const begunMs = performance.now();
    const tookMs = await new Schedule(perSecond).run(count, (n) =>
      producers[n % names.length]!.send({ value: values[n % VALUES]! }),
    );
    const elapsedSeconds = (performance.now() - begunMs) / 1_000;
    const counted = tookMs.subarray(Math.floor((count * warm) / (warm + seconds)));
    return { tookMs: counted, perSecond: count / elapsedSeconds, elapsedSeconds, dueSeconds: count / perSecond };
  });
}
