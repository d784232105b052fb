/** What a fault is to the lab: something it does to a running cluster and undoes, with evidence that it happened. */
import type { Lab } from '../lab.ts';

/** What a group needs of the machine is one thing: what cannot be done here is left out by groups. */
export const GROUPS = [
  'kill',
  'pause',
  'power cut',
  'partition',
  'packet filter',
  'corruption',
  'old copy',
  'full disk',
  'flush error',
  'lying disk',
] as const;
export type FaultGroup = (typeof GROUPS)[number];

export interface Evidence {
  /** False: it was meant to happen and did not; the run does not count then. */
  readonly tookEffect: boolean;
  /** What was done and what shows it, for the report. */
  readonly detail: string;
}

export interface Fault {
  readonly name: string;
  readonly group: FaultGroup;
  /** Whether it needs disks that can lose power or fill up. */
  readonly needsImages: boolean;
  /** How many single events of the group it counts for, such as three for a kill of all nodes. */
  readonly events: number;
  /** Returns once the harm is undone; nodes may still be down and are started by the lab. */
  run(lab: Lab): Promise<Evidence>;
}
