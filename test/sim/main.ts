/**
 * `npm run sim`: many seeds, or one with its trace. docs/simulation.md says how to read what it prints.
 *
 *   npm run sim -- --seeds 1000 --from 1 --minutes 10 --jobs 2     as many as fit; appends to the ledger
 *   npm run sim -- --seed 17 --trace                               one history, event by event
 *   npm run sim -- --seed 17 --without kill,loss --nodes 3         the same with less in it
 *
 * Ctrl-C ends it behind the seeds that are running; what was run until then is in the ledger. A second one ends it at
 * once.
 *
 * Exit codes: 0 all well, 127 code threw, 128 no progress, 129 a promise of safety was broken.
 */
import { execFileSync, fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import { addTally, appendToLedger, NO_TALLY, type Tally, tallyOf } from './ledger.ts';
import { Plan } from './plan.ts';
import { EXIT_CODES, type FailureKind, type Outcome, replayCommand, runSeed } from './run-seed.ts';
import { shrink } from './shrink.ts';
import type { SimulationOptions } from './simulation.ts';

const LEDGER_PATH = 'test/sim/ledger.jsonl';
const SAY_EVERY_MS = 10_000;

interface Settings {
  readonly seed: number | undefined;
  readonly seeds: number;
  readonly from: number;
  /** Every so many-th seed: one worker's share. */
  readonly stride: number;
  readonly minutes: number;
  readonly jobs: number;
  readonly isTraced: boolean;
  readonly isWorker: boolean;
  readonly hasLedger: boolean;
  readonly hasShrinking: boolean;
  readonly options: Omit<SimulationOptions, 'seed'>;
}

/** From a worker to whoever forked it. */
type Word = { readonly tally: Tally } | { readonly seed: number; readonly kind: FailureKind };

const say = (line: string): void => console.log(line);

/** Ctrl-C reaches the workers by itself; kill reaches only this process. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
let isInterrupted = false;
for (const signal of SIGNALS) {
  process.once(signal, () => {
    isInterrupted = true;
  });
}

function settings(): Settings {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string', default: '1000000000' },
      from: { type: 'string', default: '1' },
      stride: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '1' },
      jobs: { type: 'string', default: '1' },
      trace: { type: 'boolean', default: false },
      worker: { type: 'boolean', default: false },
      ledger: { type: 'boolean', default: true },
      shrink: { type: 'boolean', default: true },
      nodes: { type: 'string' },
      without: { type: 'string' },
      'chaos-ms': { type: 'string' },
    },
    allowNegative: true,
  });
  const { nodes, without, 'chaos-ms': chaosMs } = values;
  return {
    seed: values.seed === undefined ? undefined : Number(values.seed),
    seeds: Number(values.seeds),
    from: Number(values.from),
    stride: Number(values.stride),
    minutes: Number(values.minutes),
    jobs: Number(values.jobs),
    isTraced: values.trace,
    isWorker: values.worker,
    hasLedger: values.ledger,
    hasShrinking: values.shrink,
    options: {
      ...(nodes === undefined ? {} : { nodes: Number(nodes) }),
      ...(chaosMs === undefined ? {} : { chaosMs: Number(chaosMs) }),
      ...(without === undefined ? {} : { without: without.split(',') }),
    },
  };
}

async function one({ options, isTraced }: Settings, seed: number): Promise<number> {
  const outcome = await runSeed({ ...options, seed, ...(isTraced ? { onTrace: say } : {}) });
  if (outcome.kind !== 'ok') return tell({ ...options, seed }, outcome);
  const { report } = outcome;
  say(JSON.stringify(report, undefined, 2));
  return 0;
}

function tell(options: SimulationOptions, { kind, error }: Exclude<Outcome, { kind: 'ok' }>): number {
  say(`\nseed ${options.seed}: ${kind}`);
  say(error instanceof Error ? (kind === 'crash' ? (error.stack ?? error.message) : error.message) : String(error));
  say(`again with: ${replayCommand(options)} --trace`);
  return EXIT_CODES[kind];
}

/** Runs seeds in this process until they or the time are used up; the worst exit code. */
async function many(
  { seeds, from, stride, minutes, options, hasShrinking }: Settings,
  onWord: (word: Word) => void,
): Promise<number> {
  const endMs = Date.now() + minutes * 60_000;
  let code = 0;
  for (let seed = from; seed < from + seeds && Date.now() < endMs && !isInterrupted; seed += stride) {
    const run = { ...options, seed };
    const outcome = await runSeed(run);
    if (outcome.kind === 'ok') {
      onWord({ tally: tallyOf(outcome.report) });
      continue;
    }
    code = Math.max(code, tell(run, outcome));
    onWord({ seed, kind: outcome.kind });
    if (!hasShrinking || isInterrupted) continue;
    const { kinds, chaosMs } = new Plan(run);
    const small = await shrink(run, outcome.kind, kinds, chaosMs);
    say(`smaller, after ${small.runs} runs: ${replayCommand(small.options)} --trace`);
  }
  return code;
}

/** As many(), shared out to processes of their own. */
async function shared(all: Settings, onWord: (word: Word) => void): Promise<number> {
  const codes = Array.from({ length: all.jobs }, (_, job) => {
    const passed = process.argv.slice(2).filter((word, at, words) => !/^--(from|jobs)$/.test(words[at - 1] ?? word));
    const own = passed.filter((word) => !/^--(from|jobs)$/.test(word));
    const mine = ['--worker', '--stride', String(all.jobs), '--from', String(all.from + job)];
    const worker = fork(process.argv[1]!, [...own, ...mine]);
    worker.on('message', (word) => onWord(word as Word));
    process.once('SIGTERM', () => worker.kill('SIGTERM'));
    return new Promise<number>((resolve) => worker.on('exit', (code) => resolve(code ?? EXIT_CODES.crash)));
  });
  return Math.max(...(await Promise.all(codes)));
}

function commitName(): string {
  const git = (...words: string[]): string => execFileSync('git', words, { encoding: 'utf8' }).trim();
  const isClean = git('status', '--porcelain', '--untracked-files=no') === '';
  return git('rev-parse', '--short', 'HEAD') + (isClean ? '' : '+');
}

async function main(): Promise<number> {
  const all = settings();
  if (all.seed !== undefined) return one(all, all.seed);
  if (all.isWorker) return many(all, (word) => process.send?.(word));
  const beganMs = Date.now();
  // Asked now: the tree may change while seeds run.
  const commit = all.hasLedger ? commitName() : '';
  let tally = NO_TALLY;
  let failures = 0;
  let saidMs = beganMs;
  const sayWhere = (): void => {
    const { seeds, hours, events, crashes, partitions, corruptions } = tally;
    const rate = Math.round((events / Math.max(1, Date.now() - beganMs)) * 1_000);
    say(
      `${seeds} seeds well, ${failures} failed: ${hours.toFixed(2)} simulated hours, ${events} events (${rate}/s), ` +
        `${crashes} crashes, ${partitions} partitions, ${corruptions} corruptions`,
    );
  };
  const onWord = (word: Word): void => {
    if ('tally' in word) tally = addTally(tally, word.tally);
    else failures += 1;
    if (Date.now() - saidMs < SAY_EVERY_MS) return;
    saidMs = Date.now();
    sayWhere();
  };
  const code = all.jobs === 1 ? await many(all, onWord) : await shared(all, onWord);
  sayWhere();
  if (all.hasLedger) appendToLedger(LEDGER_PATH, { commit, from: all.from, failures, ...tally });
  return code;
}

process.exitCode = await main();
