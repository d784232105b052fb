/**
 * Small appends to a thousand logs of a node: each made durable in its own file, as storage does it, against one
 * journal for all of them (bench/journal/journal-disk.ts, a prototype). Storage alone, with its real frames and through
 * the real thread pool; no Raft, no network. The two ways take turns in every repeat.
 */
import { join } from 'node:path';
import type { Done, WriterOptions } from '../journal/small-appends.ts';
import { Writer } from '../journal/writer.ts';
import { figureOf } from '../result.ts';
import { type BenchContext, defineScenario, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const MiB = 1024 * 1024;
const WAYS = ['files', 'journal'] as const;
type Way = (typeof WAYS)[number];

interface Sample {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuMicros: number;
  readonly writesEach: number;
}

export const journal: Scenario = defineScenario({
  name: 'journal',
  sentence: 'Small appends to 1,000 logs: each in its own file, against one journal for all.',
  options: {
    logs: { default: 1_000, least: 1, sentence: 'logs of each process' },
    processes: {
      default: 3,
      least: 1,
      sentence: 'processes that write to the disk at once, as the nodes of a cluster',
    },
    size: { default: 100, least: 1, sentence: 'bytes of a record; one record an append' },
    rate: { default: 2_000, least: 1, sentence: 'appends a second of each process, over all its logs' },
    seconds: { default: 3, least: 0.1, sentence: 'seconds of each measurement' },
    repeats: { default: 3, least: 1, sentence: 'times each is taken, after one that does not count' },
    journal: { default: 16, least: 2, sentence: 'MiB of the journal' },
  },
  async run(context, { logs, processes, size, rate, seconds, repeats, journal: journalMiB }) {
    const common = { logs, recordBytes: size, journalBytes: journalMiB * MiB };
    const writers = new Map<Way, Writer[]>();
    for (const way of WAYS) writers.set(way, await startAll(context, way, processes, common));
    const loads = [
      { name: 'one in flight on each log', perSecond: 0 },
      { name: `${rate.toLocaleString('en')}/s`, perSecond: rate },
    ] as const;
    const figures = [];
    for (const { name, perSecond } of loads) {
      const samples = { files: [] as Sample[], journal: [] as Sample[] };
      for (let repeat = 0; repeat <= repeats; repeat++) {
        for (const way of WAYS) {
          const done = await Promise.all(writers.get(way)!.map((writer) => writer.do({ perSecond, seconds })));
          const sample = sampleOf(done);
          const { p50, p99, cpuMicros, writesEach } = sample;
          const times = `p50 ${p50.toFixed(2)} p99 ${p99.toFixed(1)} ms`;
          const costs = `${cpuMicros.toFixed(0)} us of processor time and ${writesEach.toFixed(2)} writes each`;
          context.say(`${name}, ${way}: ${Math.round(sample.perSecond)} appends/s, ${times}, ${costs}`);
          if (repeat > 0) samples[way].push(sample);
        }
      }
      for (const way of WAYS) figures.push(...figuresOf(`${name}, ${way}`, samples[way]));
      const ratios = samples.journal.map(({ cpuMicros }, at) => cpuMicros / samples.files[at]!.cpuMicros);
      const ratio = { name: `${name}, journal to files, processor time`, unit: 'x', better: 'lower' } as const;
      figures.push(figureOf(ratio, ratios));
    }
    return {
      durability: `fsync on one node, ${processes} of them on one disk; the journal is a prototype that nothing replays`,
      figures,
      notes: ['A process writes, flushes and measures its own appends: no network and no Raft in these figures.'],
    };
  },
});

function startAll(
  context: BenchContext,
  way: Way,
  processes: number,
  common: Omit<WriterOptions, 'dir' | 'way'>,
): Promise<Writer[]> {
  const options = Array.from({ length: processes }, (_, at) => ({
    ...common,
    way,
    dir: join(context.dir, `${way}-${at}`),
  }));
  return Promise.all(options.map((each) => Writer.start(context.cleanup, each)));
}

/** Of all processes together. */
function sampleOf(done: readonly Done[]): Sample {
  const appends = done.reduce((sum, { tookMs }) => sum + tookMs.length, 0);
  const sum = (of: (one: Done) => number): number => done.reduce((total, one) => total + of(one), 0);
  const { p50, p99 } = distributionOf(Float64Array.from(done.flatMap(({ tookMs }) => [...tookMs])));
  return {
    perSecond: sum(({ tookMs, elapsedSeconds }) => tookMs.length / elapsedSeconds),
    ...{ p50, p99 },
    cpuMicros: (sum(({ cpuSeconds }) => cpuSeconds) * 1e6) / appends,
    writesEach: sum(({ writes }) => writes) / appends,
  };
}

function figuresOf(label: string, samples: readonly Sample[]): ReturnType<typeof figureOf>[] {
  const of = (key: keyof Sample): number[] => samples.map((sample) => sample[key]);
  return [
    figureOf({ name: label, unit: 'appends/s', better: 'higher' }, of('perSecond')),
    figureOf({ name: `${label}, p50`, unit: 'ms', better: 'lower' }, of('p50')),
    figureOf({ name: `${label}, p99`, unit: 'ms', better: 'lower' }, of('p99')),
    figureOf({ name: `${label}, processor time`, unit: 'us', better: 'lower' }, of('cpuMicros')),
    figureOf({ name: `${label}, writes of an append`, unit: '', better: 'lower' }, of('writesEach')),
  ];
}
