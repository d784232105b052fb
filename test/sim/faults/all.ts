/** Every kind of fault there is. A seed switches some of them on. */
import { DECEIT_FAULTS } from './deceit.ts';
import { DISK_FAULTS } from './disk-faults.ts';
import type { Fault } from './fault.ts';
import { LEADER_FAULTS } from './leader-faults.ts';
import { NETWORK_FAULTS } from './network-faults.ts';
import { PROCESS_FAULTS } from './process-faults.ts';
import { REPLICA_FAULTS } from './replica-faults.ts';

/** Switched on by a stream of chance of their own: they were added later. */
export const LATER_FAULTS: readonly Fault[] = REPLICA_FAULTS;

export const ALL_FAULTS: readonly Fault[] = [...PROCESS_FAULTS, ...NETWORK_FAULTS, ...DISK_FAULTS];

/** Later still, by one more. */
export const LATEST_FAULTS: readonly Fault[] = LEADER_FAULTS;

/** And one more. */
export const NEWEST_FAULTS: readonly Fault[] = DECEIT_FAULTS;
