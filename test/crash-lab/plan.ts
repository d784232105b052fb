/** Which faults there are, which of them this machine can do, and in which order a run takes them. */
import type { Prng } from '../raft/support/prng.ts';
import { whyNoImages } from './disks.ts';
import { CORRUPTIONS } from './faults/corruption.ts';
import type { Fault, FaultGroup } from './faults/fault.ts';
import { FLUSH_ERRORS, whyNoInjection } from './faults/flush-error.ts';
import { FULL_DISKS } from './faults/full-disk.ts';
import { KILLS } from './faults/kill.ts';
import { PARTITIONS } from './faults/network.ts';
import { PAUSES } from './faults/pause.ts';
import { POWER_CUTS } from './faults/power.ts';

export const FAULTS: readonly Fault[] = [
  ...KILLS,
  ...PAUSES,
  ...POWER_CUTS,
  ...PARTITIONS,
  ...CORRUPTIONS,
  ...FULL_DISKS,
  ...FLUSH_ERRORS,
];

/** Why a group cannot be done on this machine; undefined when it can. */
export function whyNot(group: FaultGroup): string | undefined {
  if (group === 'power cut' || group === 'full disk') return whyNoImages();
  return group === 'flush error' ? whyNoInjection() : undefined;
}

/** Every fault once, in random order, and again. */
export function* inTurns(random: Prng, faults: readonly Fault[]): Generator<Fault> {
  for (;;) {
    const left = [...faults];
    while (left.length > 0) yield left.splice(random.below(left.length), 1)[0]!;
  }
}
