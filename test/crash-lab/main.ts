/**
 * The crash lab: `logdrive crash-lab`, `npm run crash-lab -- --minutes M --seed S`. Real processes, real files, real
 * faults; episode after episode until the time is over. Exit 0: every promise was kept and everything planned happened;
 * 1: not; 2: wrong words.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Prng } from '../raft/support/prng.ts';
import { encodeHistory, type HistoryEvent } from '../sim/oracle/index.ts';
import type { DiskKind } from './disks.ts';
import { EpisodeFailure, type EpisodePlan, runEpisode } from './episode.ts';
import { type Fault, type FaultGroup, GROUPS } from './faults/fault.ts';
import type { Lab } from './lab.ts';
import { FAULTS, type Goals, Turns, whyNot } from './plan.ts';
import { type EpisodeReport, isGood, type LabReport, renderReport } from './report.ts';

const FAULTS_PER_EPISODE = 6;
/** Keeps the history of an episode within some hundred MB. */
const RECORDS_MAX = 300_000;

const EXIT_INTERRUPTED = 130;

const USAGE = `logdrive crash-lab [options]
  --minutes M      how long (5)
  --episodes N     at most so many episodes
  --seed S         the first episode's seed; the next one is S + 1 (1)
  --groups A,B     only these: ${GROUPS.join(', ')}
  --fault TEXT     only faults whose name holds this
  --goals A=N,B=N  ends early when these groups had so many events; their faults come first
  --acks N         with --goals: and so many records were acknowledged
  --out DIR        where histories and logs of bad episodes go, and report.json
  --ledger FILE    appends the report as a line
`;

interface Options {
  readonly minutes: number;
  readonly episodes: number;
  readonly seed: number;
  readonly groups: readonly FaultGroup[];
  readonly fault: string;
  readonly goals: Goals;
  readonly acks: number;
  readonly out: string;
  readonly ledger: string | undefined;
}

function optionsOf(words: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const names = { minutes: text, episodes: text, seed: text, groups: text, fault: text, out: text, ledger: text };
  const options = { ...names, goals: text, acks: text };
  const { values } = parseArgs({ args: [...words], options });
  const number = (name: 'minutes' | 'episodes' | 'seed' | 'acks', standard: number): number => {
    const value = Number(values[name] ?? standard);
    if (!(value > 0)) throw new Error(`--${name} wants a number above 0, not ${values[name]}`);
    return value;
  };
  const groups = values.groups?.split(',').map(groupOf) ?? GROUPS;
  return {
    minutes: number('minutes', 5),
    episodes: number('episodes', Number.MAX_SAFE_INTEGER),
    seed: number('seed', 1),
    groups,
    fault: values.fault ?? '',
    goals: goalsOf(values.goals),
    // One is always reached: without --acks the goals alone decide.
    acks: number('acks', 1),
    out: resolve(values.out ?? join(tmpdir(), 'logdrive-crash-lab')),
    ledger: values.ledger,
  };
}

function groupOf(text: string): FaultGroup {
  const group = GROUPS.find((each) => each === text);
  if (group === undefined) throw new Error(`there is no group '${text}'`);
  return group;
}

function goalsOf(text: string | undefined): Goals {
  const goals = (text ?? '').split(',').filter((each) => each !== '');
  return new Map(
    goals.map((goal) => {
      const [name = '', count] = goal.split('=');
      if (!(Number(count) > 0)) throw new Error(`--goals wants GROUP=COUNT, not '${goal}'`);
      return [groupOf(name), Number(count)] as const;
    }),
  );
}

async function main(options: Options): Promise<number> {
  const notRun = Object.fromEntries(
    options.groups.flatMap((group) => {
      const why = whyNot(group);
      return why === undefined ? [] : [[group, why]];
    }),
  );
  for (const [group, why] of Object.entries(notRun)) say(`NOT RUN: ${group}: ${why}`);
  const faults = FAULTS.filter(
    ({ group, name }) => options.groups.includes(group) && notRun[group] === undefined && name.includes(options.fault),
  );
  if (faults.length === 0) throw new Error('no fault is left to run');
  mkdirSync(options.out, { recursive: true });
  const begunMs = performance.now();
  const minutesGone = (): number => (performance.now() - begunMs) / 60_000;
  const reports: EpisodeReport[] = [];
  const failures: string[] = [];
  const random = new Prng(options.seed);
  const turns = new Turns(random, faults, options.goals);
  const isEnough = (): boolean =>
    options.goals.size > 0 && turns.areGoalsMet && reports.reduce((sum, { acked }) => sum + acked, 0) >= options.acks;
  let running: Lab | undefined;
  const onSignal = (signal: string): void => {
    say(`interrupted by ${signal}; ending what was started`);
    void Promise.resolve(running?.[Symbol.asyncDispose]()).finally(() => process.exit(EXIT_INTERRUPTED));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => onSignal(signal));
  for (let episode = 0; episode < options.episodes && minutesGone() < options.minutes && !isEnough(); episode++) {
    const seed = options.seed + episode;
    const chosen = Array.from({ length: FAULTS_PER_EPISODE }, () => turns.next());
    const disk = diskFor(chosen, random);
    say(`episode ${episode + 1}, seed ${seed}, ${disk}`);
    const plan: EpisodePlan = {
      seed,
      disk,
      faults: chosen,
      recordsMax: RECORDS_MAX,
      say: (line) => say(`  ${line}`),
      onLab: (lab) => {
        running = lab;
      },
    };
    try {
      const { report, history, story } = await runEpisode(plan);
      reports.push(report);
      for (const fault of report.faults) if (fault.tookEffect) turns.happened(fault);
      say(`  acknowledged ${report.acked}, unknown ${report.unknown}, anomalies ${report.anomalies.length}`);
      if (report.anomalies.length + report.vacuous.length > 0) keep(options.out, seed, history, story);
    } catch (error) {
      if (!(error instanceof EpisodeFailure)) throw error;
      failures.push(error.message);
      say(`  ${error.message}`);
      keep(options.out, seed, error.history, error.story);
    }
  }
  const report = summary(options, minutesGone(), reports, failures, notRun);
  writeFileSync(join(options.out, 'report.json'), `${JSON.stringify({ ...report, reports }, undefined, 2)}\n`);
  if (options.ledger !== undefined) appendFileSync(options.ledger, `${JSON.stringify(report)}\n`);
  process.stdout.write(renderReport(report));
  return isGood(report) ? 0 : 1;
}

/** An image when a fault needs one, each of the two file systems half of the time. */
function diskFor(faults: readonly Fault[], random: Prng): DiskKind {
  if (!faults.some(({ needsImages }) => needsImages)) return 'directory';
  return random.chance(0.5) ? 'ext4' : 'xfs';
}

function keep(out: string, seed: number, history: readonly HistoryEvent[], story: string): void {
  writeFileSync(join(out, `seed-${seed}.history`), encodeHistory(history));
  writeFileSync(join(out, `seed-${seed}.log`), story);
  say(`  history and logs: ${join(out, `seed-${seed}.*`)}`);
}

function summary(
  { seed }: Options,
  minutes: number,
  reports: readonly EpisodeReport[],
  failures: readonly string[],
  notRun: Readonly<Record<string, string>>,
): LabReport {
  const events: Record<string, number> = {};
  const runs: Record<string, number> = {};
  for (const { name, group, events: count } of reports.flatMap(({ faults }) => faults)) {
    events[group] = (events[group] ?? 0) + count;
    runs[name] = (runs[name] ?? 0) + 1;
  }
  const times = reports.flatMap(({ faults }) => faults.map(({ recoveredMs }) => recoveredMs)).sort((a, b) => a - b);
  const sum = (of: (report: EpisodeReport) => number): number => reports.reduce((total, each) => total + of(each), 0);
  const told = (of: (report: EpisodeReport) => readonly string[]): string[] =>
    reports.flatMap((report) => of(report).map((line) => `seed ${report.seed}: ${line}`));
  return {
    commit: commit(),
    machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.version}`,
    seed,
    minutes,
    episodes: reports.length,
    acked: sum(({ acked }) => acked),
    delivered: sum(({ delivered }) => delivered),
    events,
    runs,
    anomalies: told(({ anomalies }) => anomalies),
    vacuous: told(({ vacuous }) => vacuous),
    failures,
    notRun,
    recoveredMs: { median: times[times.length >> 1] ?? 0, most: times.at(-1) ?? 0 },
  };
}

/** 'unknown' outside a checkout. */
function commit(): string {
  try {
    const words = ['rev-parse', '--short', 'HEAD'];
    return execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

try {
  process.exitCode = await main(optionsOf(process.argv.slice(2)));
} catch (error) {
  say(`${String(error)}\n\n${USAGE}`);
  process.exitCode = 2;
}
