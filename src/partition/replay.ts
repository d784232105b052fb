/**
 * From the latest snapshot to the end of the log: what is known committed is applied, the rest is pending. Entries that
 * turn out damaged are mended from peers first, for as long as that takes: a replica that does not know its own log
 * takes no part (R19). Meanwhile it still serves what is sound to others, so that damage at different places on every
 * replica heals.
 */

import { type Log, type LogEntry, type LogIndex, StorageError } from '../../storage/index.ts';
import type { Timers } from '../env.ts';
import { isTermKnown } from './entry-supply.ts';
import type { Mender } from './mender.ts';
import { PendingEntries } from './pending-entries.ts';
import type { PartitionState } from './state.ts';

const READ_BYTES = 1024 * 1024;
/** Between two attempts to find a peer that has the entry. */
const RETRY_MS = 500;

export interface ReplayParts {
  readonly log: Log;
  readonly state: PartitionState;
  readonly mender: Mender;
  readonly timers: Timers;
  /** True once the node is stopping: waiting for peers is given up. */
  isStopping(): boolean;
}

/** @throws StorageError CLOSED when the node stops before damaged entries could be mended; CORRUPT when nobody has one
 *  of them any more. */
export async function replay(parts: ReplayParts): Promise<PendingEntries> {
  const { log, state } = parts;
  await learnTerms(parts);
  const pending = new PendingEntries();
  let next: LogIndex = state.appliedIndex + 1;
  while (next <= log.lastIndex) {
    for (const entry of await readSound(parts, next)) {
      next = entry.header.index + 1;
      if (entry.header.index <= log.commitHint) {
        state.apply(entry.header, entry.payload);
      } else {
        state.producers.appended(entry.header);
        pending.push(entry);
      }
    }
  }
  return pending;
}

/** The Raft core compares terms, also of entries that need not be applied: none of them may be a guess. */
async function learnTerms(parts: ReplayParts): Promise<void> {
  const { log, mender } = parts;
  for (let index = damagedUpToGuess(log); index !== undefined; index = damagedUpToGuess(log)) {
    if (!(await mender.mend(index))) await waitForPeers(parts, index);
  }
}

/** The first of the damaged entries that reach, without a sound one between them, up to a term that is a guess. That
 *  entry may have to be cut away, and behind a damaged one the log does not know how to end. */
function damagedUpToGuess(log: Log): LogIndex | undefined {
  let first: LogIndex | undefined;
  let last: LogIndex | undefined;
  for (const { firstIndex, lastIndex } of log.damage) {
    if (last === undefined || firstIndex !== last + 1) first = firstIndex;
    if (!isTermKnown(log, firstIndex)) return first;
    last = lastIndex;
  }
  return undefined;
}

/** @throws StorageError CORRUPT when there is nothing to wait for: the log has to be replaced as a whole. */
async function waitForPeers({ mender, timers, isStopping }: ReplayParts, index: LogIndex): Promise<void> {
  if (isStopping()) throw new StorageError('CLOSED', 'stopped while waiting for a peer to supply damaged entries');
  const why = mender.whyBeyondRepair(index);
  if (why !== undefined) throw new StorageError('CORRUPT', `entry ${index} is damaged, and ${why}`, { index });
  await new Promise<void>((resolve) => timers.after(RETRY_MS, resolve));
}

async function readSound(parts: ReplayParts, from: LogIndex): Promise<LogEntry[]> {
  const { log, mender, isStopping } = parts;
  let mended: LogIndex | undefined;
  for (;;) {
    try {
      return await log.read(from, READ_BYTES);
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'CORRUPT' || error.index === undefined) throw error;
      if (isStopping()) throw new StorageError('CLOSED', 'stopped while waiting for a peer to supply damaged entries');
      // An entry that fails again right after it was mended is given time like one that nobody could supply.
      const isNews = mended !== error.index && (await mender.mend(error.index));
      mended = isNews ? error.index : undefined;
      // What was mended may have been cut away, with all behind it (mender.ts).
      if (isNews && from > log.lastIndex) return [];
      if (isNews) continue;
      await waitForPeers(parts, error.index);
    }
  }
}
