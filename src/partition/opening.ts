/**
 * From a directory to a log whose state is as far as it is known committed: what Partition.open() does before there is
 * a partition. The log already talks meanwhile; what it says is kept for the partition, or does not matter yet.
 */
import type { EntryId, Log, Marker } from '../../storage/index.ts';
import { supplyEntry } from './entry-supply.ts';
import { Mender } from './mender.ts';
import type { PartitionEvents, PartitionOptions, PartitionWorld } from './options.ts';
import type { PendingEntries } from './pending-entries.ts';
import { overTurns } from './pieces.ts';
import { replay } from './replay.ts';
import { PartitionState } from './state.ts';

/** Who hears the log. */
export interface LogListener {
  onFlushed(at: EntryId): void;
  onSealed(last: EntryId): void;
  onFull(isFull: boolean, cause: Error | undefined): void;
  /** Stored bytes were found damaged: log.damage has more than before. */
  onDamage(): void;
}

export interface Opened {
  readonly log: Log;
  readonly state: PartitionState;
  readonly pending: PendingEntries;
  readonly mender: Mender;
  /** This replica lost what it may have promised, and has not rejoined. */
  readonly marker: Marker | undefined;
  /** The log has found its disk full while it was replayed. */
  readonly isFull: boolean;
  /** From here on the log is heard by `listener`. */
  hearBy(listener: LogListener): void;
}

/** @throws StorageError when the log cannot be opened; UnsupportedEntry when a newer version wrote it. */
export async function openReplayed(
  options: PartitionOptions,
  world: PartitionWorld,
  events: PartitionEvents,
): Promise<Opened> {
  const { groupId, segmentBytes, firstOffset, clusterId, createMachine } = options;
  const { timers } = world.env;
  let listener: LogListener | undefined;
  let isFull = false;
  const becameFull = (isSo: boolean, cause?: Error): void => {
    isFull = isSo;
    listener?.onFull(isSo, cause);
  };
  const log = await world.directory.openLog(groupId, {
    segmentBytes,
    ...(firstOffset !== undefined && { firstOffset }),
    clusterId,
    timers,
    // Nothing is accepted before there is a listener, so nothing is flushed or sealed either.
    onFlushed: (at) => listener?.onFlushed(at),
    onSealed: (last) => listener?.onSealed(last),
    onFull: (cause) => becameFull(true, cause),
    onSpace: () => becameFull(false),
    observe: (event) => {
      events.onLogEvent(event);
      // At once: a flush that ends before whoever read the damage hears of it must not be acked (R19).
      if (event.kind === 'damage') listener?.onDamage();
    },
  });
  try {
    const marker = await world.directory.marker(groupId);
    const state = new PartitionState(createMachine?.(), log.firstOffset);
    const snapshot = log.latestSnapshot;
    if (snapshot !== undefined) state.adopt(snapshot, await overTurns(PartitionState.decode(snapshot.state), timers));
    let isReplaying = true;
    const mender = new Mender({ log, groupId, world, events, mayCut: () => isReplaying });
    events.onReplaying((wanted) => supplyEntry(log, wanted, log.commitHint));
    const pending = await replay({ log, state, mender, timers, isStopping: () => events.isStopping() });
    isReplaying = false;
    const hearBy = (by: LogListener): void => {
      listener = by;
    };
    return { log, state, pending, mender, marker, isFull, hearBy };
  } catch (error) {
    await log.close();
    throw error;
  }
}
