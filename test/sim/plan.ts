/**
 * What a seed has switched on: how many nodes on what machines, which faults strike, what clients and operators do.
 * All of it is drawn before anything runs, and in one order for ever, whatever is left out or came later: a seed that
 * once failed is the same run in years.
 */
import { Prng } from '../raft/support/prng.ts';
import type { SimTopic } from './clients/client-world.ts';
import { LODGERS, type Lodger } from './clients/lodging.ts';
import { OPERATIONS } from './clients/operators.ts';
import { ALL_FAULTS, LATER_FAULTS, LATEST_FAULTS, NEWEST_FAULTS } from './faults/all.ts';
import type { Fault } from './faults/fault.ts';
import { brokerOptions, compactionHabit, HABITS, type Habit, habitOptions } from './habits.ts';
import type { ClusterSettings } from './world/cluster.ts';

export interface PlanOptions {
  readonly seed: number;
  /** How long faults strike, ms. Default: as the seed says. */
  readonly chaosMs?: number;
  /** Kinds of fault and operation that are left out, whatever the seed says. */
  readonly without?: readonly string[];
  /** Fewer nodes than the seed says. */
  readonly nodes?: number;
}

const SCRUB = { scrub: { periodMs: 200, bytesPerSecond: 1024 * 1024 } };

export class Plan {
  /** Goes on while the run does. */
  readonly random: Prng;
  readonly cluster: ClusterSettings;
  readonly clusterSeed: number;
  /** The machine whose disk rots, lies, and is lost. */
  readonly unlucky: string;
  readonly topics: readonly SimTopic[];
  /** With the number of the stream of chance each lives by. */
  readonly faults: readonly { readonly fault: Fault; readonly number: number }[];
  readonly operations: readonly string[];
  readonly habits: readonly Habit[];
  readonly lodgers: readonly Lodger[];
  readonly chaosMs: number;
  /** Whether a change of voters is cut in two in the end, where one can be begun: by this stream of chance. */
  readonly cutting: Prng | undefined;
  /** Of clients: about how long one waits between two calls. */
  readonly paceMs: number;

  constructor(options: PlanOptions) {
    const { seed, without = [] } = options;
    const random = new Prng(seed);
    this.random = random;
    const size = random.pick([3, 3, 3, 3, 5]);
    const nodeIds = Array.from({ length: Math.min(size, options.nodes ?? size) }, (_, at) => `n${at + 1}`);
    // A stream of its own: what came later leaves the seeds of before as they were where it is off.
    const later = new Prng(seed * 64 + 63);
    const habits = HABITS.filter(() => later.chance(0.4)).filter((name) => !without.includes(name));
    this.habits = habits;
    // And one for what came later still.
    const latest = new Prng(seed * 64 + 62);
    const isOn = (name: string): boolean => latest.chance(0.4) && !without.includes(name);
    this.lodgers = LODGERS.filter(isOn).filter((name) => name !== 'raw-changes' || !habits.includes('members'));
    const isScrubbed = isOn('scrub');
    // And two more.
    const compaction = without.includes('compaction') ? undefined : compactionHabit(new Prng(seed * 64 + 61));
    this.topics = [
      { name: 't', replicas: Math.min(3, nodeIds.length) },
      { name: 'u', replicas: Math.min(2, nodeIds.length) },
    ].map((topic) => (compaction?.topics.includes(topic.name) === true ? { ...topic, compaction } : topic));
    const cutting = new Prng(seed * 64 + 60);
    this.cutting = cutting.chance(0.4) && !without.includes('cut-in-two') ? cutting : undefined;
    const share = random.pick([0.15, 0.3, 0.5]);
    // Drawn and numbered for every kind, also for those left out: the rest stays as the seed has it.
    this.faults = [
      ...ALL_FAULTS.filter(() => random.chance(share)),
      ...LATER_FAULTS.filter(() => later.chance(share)),
      ...LATEST_FAULTS.filter(() => latest.chance(0.5)),
      ...NEWEST_FAULTS.filter(() => cutting.chance(0.25)),
    ]
      .map((fault, number) => ({ fault, number }))
      .filter(({ fault }) => !without.includes(fault.name))
      // Leases are for clocks that keep to a bound (R8).
      .filter(({ fault }) => fault.name !== 'clock-drift' || !habits.includes('leases'));
    this.operations = [...OPERATIONS, 'garden'].filter((name) => random.chance(0.6) && !without.includes(name));
    const chaosMs = random.pick([1_500, 3_000, 6_000]);
    this.chaosMs = options.chaosMs ?? chaosMs;
    this.paceMs = random.pick([15, 40, 120]);
    this.clusterSeed = random.below(2 ** 31);
    this.cluster = {
      nodeIds,
      broker: {
        ...brokerOptions(random),
        ...habitOptions(habits, later),
        ...(isScrubbed && SCRUB),
        ...compaction?.options,
      },
      latencyMs: random.pick([0.3, 1, 5]),
      flushMs: random.pick([0.3, 2, 8]),
    };
    this.unlucky = random.pick(nodeIds);
  }

  /** What can be left out, by name. */
  get kinds(): readonly string[] {
    const faults = this.faults.map(({ fault }) => fault.name);
    const compaction = this.topics.some((topic) => topic.compaction !== undefined) ? ['compaction'] : [];
    const cutting = this.cutting === undefined ? [] : ['cut-in-two'];
    return [...faults, ...this.operations, ...this.habits, ...this.lodgers, ...compaction, ...cutting];
  }
}
