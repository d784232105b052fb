/**
 * One episode: a new cluster, clients at work, some faults one after the other, then peace, and the judgement. What the
 * clients were told is held against what every replica holds in the end, by the judge of the simulator.
 */
import { Prng } from '../raft/support/prng.ts';
import { describeAnomalies, type HistoryEvent, judge } from '../sim/oracle/index.ts';
import type { DiskKind } from './disks.ts';
import type { Fault } from './faults/fault.ts';
import { Lab, TOPIC } from './lab.ts';
import { readReplica } from './load.ts';
import type { EpisodeReport } from './report.ts';

/** An episode with fewer proves nothing. */
const ACKED_MIN = 1_000;
const DELIVERED_SHARE_MIN = 0.99;
const DRAINED_WITHIN_MS = 30_000;
/** Between two faults, so that each meets a cluster at work. */
const ACKS_BETWEEN = 200;

export interface EpisodePlan {
  readonly seed: number;
  readonly disk: DiskKind;
  readonly faults: readonly Fault[];
  readonly recordsMax: number;
  say(line: string): void;
  /** Given the cluster as soon as there is one, to end it when the run is interrupted. */
  onLab(lab: Lab): void;
}

/** What an episode that could not be brought to its end leaves behind. */
export class EpisodeFailure extends Error {
  readonly history: readonly HistoryEvent[];
  readonly story: string;

  constructor(message: string, history: readonly HistoryEvent[], story: string, cause: unknown) {
    super(message, { cause });
    this.name = 'EpisodeFailure';
    this.history = history;
    this.story = story;
  }
}

export interface EpisodeResult {
  readonly report: EpisodeReport;
  readonly history: readonly HistoryEvent[];
  readonly story: string;
}

/** @throws EpisodeFailure when the cluster does not come back by itself. */
export async function runEpisode(plan: EpisodePlan): Promise<EpisodeResult> {
  await using lab = await Lab.create(new Prng(plan.seed), plan.disk, plan.recordsMax);
  plan.onLab(lab);
  let doing = 'its start';
  try {
    const faults: EpisodeReport['faults'][number][] = [];
    for (const fault of plan.faults) {
      doing = fault.name;
      await lab.moreAcks(ACKS_BETWEEN);
      const evidence = await fault.run(lab);
      const recoveredMs = await lab.recovered();
      const { name, group, events } = fault;
      faults.push({ name, group, events, ...evidence, recoveredMs });
      plan.say(`${name}: ${evidence.detail}; back after ${recoveredMs.toFixed(0)} ms`);
    }
    doing = 'reading everything back';
    const { counts, text } = await settle(lab);
    const wrongKeys = await lab.wrongKeys();
    const { delivered } = lab.load;
    const seen = delivered / Math.max(1, lab.load.acked);
    const vacuous = [
      ...(lab.load.acked < ACKED_MIN ? [`only ${lab.load.acked} records were acknowledged`] : []),
      ...(seen < DELIVERED_SHARE_MIN ? [`only ${delivered} of ${lab.load.acked} records were delivered`] : []),
      ...faults.filter(({ tookEffect }) => !tookEffect).map(({ name, detail }) => `${name} took no effect: ${detail}`),
    ];
    return {
      report: {
        seed: plan.seed,
        disk: plan.disk,
        acked: lab.load.acked,
        unknown: counts.unknown,
        delivered,
        faults,
        anomalies: [...(text === '' ? [] : text.split('\n')), ...wrongKeys],
        vacuous,
      },
      history: lab.load.history.events,
      story: await lab.story(),
    };
  } catch (error) {
    const what = String((error as Error).message).split('; its log:')[0];
    const message = `seed ${plan.seed} (${plan.disk}) failed at ${doing}: ${what}`;
    throw new EpisodeFailure(message, lab.load.history.events, await lab.story(), error);
  }
}

async function settle(
  lab: Lab,
): Promise<{ readonly text: string; readonly counts: ReturnType<typeof judge>['counts'] }> {
  const { load } = lab;
  load.history.note({ kind: 'healed' });
  await load.stopWriting();
  const tail = await lab.settledTail();
  await load.stopReading(tail, DRAINED_WITHIN_MS);
  for (const { node } of lab.nodes) {
    const held = await readReplica(node, TOPIC);
    load.history.note({ kind: 'replica', partition: `${TOPIC}/0`, node: node.id, ...held });
  }
  const { anomalies, counts } = judge(load.history.events);
  return { text: describeAnomalies(anomalies), counts };
}
