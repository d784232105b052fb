/** Every mutant there is, in the order of the tables in docs/mutants.md. */
import { TESTED_MUTANTS } from './list/below.ts';
import { BROKER_MUTANTS } from './list/broker.ts';
import { COMPACTION_MUTANTS } from './list/compaction.ts';
import { DIVERGENCE_MUTANTS } from './list/divergence.ts';
import { MEMBERSHIP_MUTANTS } from './list/membership.ts';
import { PARTITION_MUTANTS } from './list/partition.ts';
import { RAFT_MUTANTS } from './list/raft.ts';
import { READ_MUTANTS } from './list/reads.ts';
import { STORAGE_MUTANTS } from './list/storage.ts';
import type { Mutant } from './mutant.ts';

export { TESTED_MUTANTS };

/** Those a seed has to kill. */
export const MUTANTS: readonly Mutant[] = [
  ...STORAGE_MUTANTS,
  ...RAFT_MUTANTS,
  ...MEMBERSHIP_MUTANTS,
  ...READ_MUTANTS,
  ...PARTITION_MUTANTS,
  ...BROKER_MUTANTS,
  ...COMPACTION_MUTANTS,
  ...DIVERGENCE_MUTANTS,
];
