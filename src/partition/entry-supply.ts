/**
 * One entry for a peer whose copy is damaged (design 5 "Repair"). What is known committed is supplied to anybody. What
 * is not is supplied when its term is the one asked for: by log matching, one index and one term name one entry, in
 * every log that has it (paper 5.3), whether it is committed or not. Otherwise a group whose damaged replica is needed
 * for a majority would wait for a commit that waits for the repair.
 */
import { type EntryId, type Log, type LogEntry, type LogIndex, StorageError } from '../../storage/index.ts';

export interface SuppliedEntry {
  readonly entry: LogEntry;
  /** Known committed by who supplied it: if it differs from what was asked for, that is not committed. */
  readonly isCommitted: boolean;
}

/** Nobody who could be asked has it. */
export interface Unsupplied {
  readonly entry: undefined;
  /** Other replicas that could not be asked, or could not tell: any of them may have it. None: all have lost it. */
  readonly unheard: readonly string[];
}

export type Supply = SuppliedEntry | Unsupplied;

/** The entry at `wanted.index`; undefined when this log cannot supply it. `committed`: the last index known so. */
export async function supplyEntry(log: Log, wanted: EntryId, committed: LogIndex): Promise<SuppliedEntry | undefined> {
  const { index, term } = wanted;
  const isCommitted = index <= committed;
  if (index < log.firstIndex || index > log.lastIndex) return undefined;
  if (!isCommitted && log.termAt(index) !== term) return undefined;
  try {
    const entry = (await log.read(index, 1))[0];
    // The log may have been cut there while it was read.
    return entry === undefined || (!isCommitted && entry.header.term !== term) ? undefined : { entry, isCommitted };
  } catch (error) {
    if (!(error instanceof StorageError) || error.code === 'UNSUPPORTED') throw error;
    // Damaged here as well, trimmed or closed meanwhile: another peer may have it.
    return undefined;
  }
}
