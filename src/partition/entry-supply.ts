/**
 * One entry for a peer whose copy is damaged (design 5 "Repair"). What is known committed is supplied to anybody. What
 * is not is supplied when it is the one asked for: by log matching, two logs that hold one entry of the same index and
 * term are equal up to it (paper 5.3), committed or not. Otherwise a group whose damaged replica is needed for a
 * majority would wait for a commit that waits for the repair.
 */
import { type EntryId, type Log, type LogEntry, type LogIndex, StorageError } from '../../storage/index.ts';

export interface WantedEntry {
  readonly index: LogIndex;
  /** Which log it is of: an entry of the asking log at or behind `index`, the first whose term is known there. */
  readonly witness: EntryId;
}

export interface SuppliedEntry {
  readonly entry: LogEntry;
  /** Known committed by who supplied it: if it differs from what was asked for, that is not committed. */
  readonly isCommitted: boolean;
}

/** Nobody who could be asked has it. */
export interface Unsupplied {
  readonly entry: undefined;
  /** Other replicas that could not be asked, or could not tell: any of them may have it. None: all have lost it, or
   *  trimmed it. */
  readonly unheard: readonly string[];
  /** Some replica has trimmed it: what is committed begins behind it there. */
  readonly isTrimmed: boolean;
  /** The last entry that any replica knows committed. Absent: none said. */
  readonly committed?: EntryId | undefined;
}

export type Supply = SuppliedEntry | Unsupplied;

/** Of one replica. 'trimmed': it is committed, and not stored any more. Undefined: not to be had here, or not now. */
export type OneSupply = SuppliedEntry | 'trimmed' | undefined;

/** What to ask for to have the entry at `index` of this log back. */
export function wantedEntry(log: Pick<Log, 'damage' | 'termAt'>, index: LogIndex): WantedEntry {
  const known = isTermKnown(log, index) ? index : log.damage.find((one) => covers(one, index))!.lastIndex;
  return { index, witness: { index: known, term: log.termAt(known) ?? 0 } };
}

/**
 * Whether the term this log names for an entry is that entry's. Of a damaged region at its tail it is known in which
 * term it ends, from what is sound behind it, and in which the entry before it is; in between it is a guess, unless
 * both are the same. (The terms of a sealed segment are in the manifest.)
 */
export function isTermKnown(log: Pick<Log, 'damage' | 'termAt'>, index: LogIndex): boolean {
  const found = log.damage.find((one) => one.where === 'tail' && covers(one, index));
  return found === undefined || index === found.lastIndex || log.termAt(found.firstIndex - 1) === log.termAt(index);
}

function covers({ firstIndex, lastIndex }: Log['damage'][number], index: LogIndex): boolean {
  return firstIndex <= index && index <= lastIndex;
}

/** The entry at `wanted.index`. `committed`: the last index known so. */
export async function supplyEntry(log: Log, { index, witness }: WantedEntry, committed: LogIndex): Promise<OneSupply> {
  const isCommitted = index <= committed;
  const isAskedFor = (): boolean =>
    isCommitted || (isTermKnown(log, witness.index) && log.termAt(witness.index) === witness.term);
  if (index < log.firstIndex) return 'trimmed';
  if (index > log.lastIndex || !isAskedFor()) return undefined;
  try {
    const entry = (await log.read(index, 1))[0];
    // The log may have been cut there while it was read.
    return entry === undefined || !isAskedFor() ? undefined : { entry, isCommitted };
  } catch (error) {
    if (!(error instanceof StorageError) || error.code === 'UNSUPPORTED') throw error;
    // Damaged here as well, trimmed or closed meanwhile: another peer may have it.
    return undefined;
  }
}
