/** Which faults there are, which of them this machine can do, and in which order a run takes them. */
import type { Prng } from '../raft/support/prng.ts';
import { whyNoImages } from './disks.ts';
import { CORRUPTIONS } from './faults/corruption.ts';
import type { Fault, FaultGroup } from './faults/fault.ts';
import { FLUSH_ERRORS, whyNoInjection } from './faults/flush-error.ts';
import { FULL_DISKS } from './faults/full-disk.ts';
import { KILLS } from './faults/kill.ts';
import { LYING_DISKS, whyNoLies } from './faults/lying-disk.ts';
import { PACKET_FILTERS, PARTITIONS } from './faults/network.ts';
import { OLD_COPIES } from './faults/old-copy.ts';
import { PAUSES } from './faults/pause.ts';
import { POWER_CUTS } from './faults/power.ts';
import { whyNoPacketFilter } from './packet-filter.ts';

export const FAULTS: readonly Fault[] = [
  ...KILLS,
  ...PAUSES,
  ...POWER_CUTS,
  ...PARTITIONS,
  ...PACKET_FILTERS,
  ...CORRUPTIONS,
  ...OLD_COPIES,
  ...FULL_DISKS,
  ...FLUSH_ERRORS,
  ...LYING_DISKS,
];

/** Why a group cannot be done on this machine; undefined when it can. */
export function whyNot(group: FaultGroup): string | undefined {
  if (group === 'power cut' || group === 'full disk') return whyNoImages();
  if (group === 'packet filter') return whyNoPacketFilter();
  if (group === 'lying disk') return whyNoImages() ?? whyNoLies();
  return group === 'flush error' ? whyNoInjection() : undefined;
}

/** How many events of a group a run is to have. */
export type Goals = ReadonlyMap<FaultGroup, number>;

/**
 * The next fault is of the group that lags behind its goal most; with all goals met, of the one that had the fewest
 * turns. Within a group, every fault once in random order, and again.
 */
export class Turns {
  readonly #random: Prng;
  readonly #goals: Goals;
  readonly #groups: readonly { readonly name: FaultGroup; readonly faults: readonly Fault[]; left: Fault[] }[];
  readonly #events = new Map<FaultGroup, number>();
  readonly #turns = new Map<FaultGroup, number>();

  constructor(random: Prng, faults: readonly Fault[], goals: Goals) {
    this.#random = random;
    this.#goals = goals;
    const names = [...new Set(faults.map(({ group }) => group))];
    this.#groups = names.map((name) => ({ name, faults: faults.filter(({ group }) => group === name), left: [] }));
  }

  get areGoalsMet(): boolean {
    return this.#groups.every(({ name }) => this.#share(name) >= 1);
  }

  next(): Fault {
    const lagging = this.#groups.filter(({ name }) => this.#share(name) < 1);
    const eager = lagging.length > 0 ? lagging : this.#groups;
    const rank =
      lagging.length > 0 ? (name: FaultGroup) => this.#share(name) : (name: FaultGroup) => this.#turnsOf(name);
    const least = Math.min(...eager.map(({ name }) => rank(name)));
    const group = this.#random.pick(eager.filter(({ name }) => rank(name) === least));
    if (group.left.length === 0) group.left = [...group.faults];
    const fault = group.left.splice(this.#random.below(group.left.length), 1)[0]!;
    this.#turns.set(group.name, this.#turnsOf(group.name) + 1);
    return fault;
  }

  /** That fault took effect. */
  happened({ group, events }: Pick<Fault, 'group' | 'events'>): void {
    this.#events.set(group, (this.#events.get(group) ?? 0) + events);
  }

  #turnsOf(group: FaultGroup): number {
    return this.#turns.get(group) ?? 0;
  }

  /** Of its goal; 1 and more when it is met, or there is none. */
  #share(group: FaultGroup): number {
    const goal = this.#goals.get(group);
    return goal === undefined ? 1 : (this.#events.get(group) ?? 0) / goal;
  }
}
