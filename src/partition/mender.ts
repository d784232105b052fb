/**
 * Damaged entries put back from peers (design 5 "Repair", rule R19): asked for by index and term, from any peer, with
 * or without a leader. What a peer supplies is told in entry-supply.ts; an entry fits only where its term, size and
 * chain fit (storage checks), so nothing can be put in a place it does not belong. Nothing else on disk changes.
 *
 * Entries of one damaged region go back in index order: each one's size says where the next begins.
 *
 * What a peer knows committed and what does not fit here tells that this log has another entry in that place, which was
 * never committed (W10): its leader would cut it away as well. Of an entry whose term is a guess (isTermKnown) nothing
 * less tells that: what is cut away wrongly may have been acked, and made others commit. Where no peer has an entry
 * there, one that is committed below it and differs from the one here tells the same of all that follows it.
 */
import {
  type Damage,
  type EntryId,
  isStorageError,
  type Log,
  type LogEntry,
  type LogIndex,
  StorageError,
} from '../../storage/index.ts';
import { isTermKnown, type Unsupplied, wantedEntry } from './entry-supply.ts';
import { LostEntries } from './lost-entries.ts';
import type { PartitionEvents, PartitionWorld } from './options.ts';

export interface MenderParts {
  readonly log: Log;
  readonly groupId: number;
  readonly world: Pick<PartitionWorld, 'fetchEntry' | 'metrics'>;
  readonly events: Pick<PartitionEvents, 'onTrouble' | 'onLostEntry'>;
  /** Whether the end of the log may be cut here: once there is a Raft core, that is its business alone. */
  mayCut(): boolean;
}

export class Mender {
  readonly #parts: MenderParts;
  /** One repair at a time. */
  #work: Promise<unknown> = Promise.resolve();
  /** Repairs under way or waiting, by index: however many ask for an entry, it is fetched once. */
  readonly #mending = new Map<LogIndex, Promise<boolean>>();
  /** What no peer supplied when it was last asked for. */
  readonly #lost: LostEntries;
  /** Entries that were reported as lost for now, so that asking again and again is not a line each time. */
  readonly #reported = new Set<LogIndex>();
  /** Entries that no replica has any more, and some have trimmed. */
  readonly #trimmedElsewhere = new Set<LogIndex>();
  /** Entries that come back only with all of their segment, in which others have committed something else. */
  readonly #overtaken = new Set<LogIndex>();

  constructor(parts: MenderParts) {
    this.#parts = parts;
    this.#lost = new LostEntries((gravest) => parts.events.onLostEntry(gravest));
  }

  /**
   * Some entry is damaged on every replica of the group: it goes on without a leader until one of them has it again.
   */
  get isStopped(): boolean {
    return this.#lost.gravest?.unheard.length === 0;
  }

  /** Some entry that was asked for was not supplied yet. */
  get isWaiting(): boolean {
    return this.#lost.gravest !== undefined;
  }

  /** Mends up to and including `index`, as far as that lies in a damaged region. False: no peer could supply it. */
  mend(index: LogIndex): Promise<boolean> {
    const known = this.#mending.get(index);
    if (known !== undefined) return known;
    const mending = this.#work
      .then(() => this.#mendUpTo(index))
      .finally(() => {
        this.#mending.delete(index);
      });
    this.#mending.set(index, mending);
    // The next repair waits for this one's end, however it ends; a failure is for those who asked.
    this.#work = mending.catch(() => undefined);
    return mending;
  }

  /** Why the damaged region that hides `index` will not be mended, if that is so: the log has to be replaced. */
  whyBeyondRepair(index: LogIndex): string | undefined {
    const first = this.#covering(index)?.firstIndex;
    if (first === undefined) return undefined;
    // The others begin behind it.
    if (this.#trimmedElsewhere.has(first)) return 'every other replica has trimmed it';
    if (this.#overtaken.has(first)) return 'others have committed something else in the rest of its segment';
    return undefined;
  }

  /** Damage at the end of the log, which takes the rights of the replica away, that will not be mended any more. */
  get hopeless(): Damage | undefined {
    return this.#parts.log.damage.find(
      ({ where: at, firstIndex }) => at === 'tail' && this.#trimmedElsewhere.has(firstIndex),
    );
  }

  /** Mends everything known to be damaged, as far as peers can supply it: one region they cannot is no end to it. */
  async mendAll(): Promise<void> {
    // Entries that were cut off, trimmed or replaced by a snapshot are nobody's loss any more.
    this.#lost.keep((index) => this.#covering(index) !== undefined);
    for (const { lastIndex } of [...this.#parts.log.damage]) await this.mend(lastIndex);
  }

  async #mendUpTo(index: LogIndex): Promise<boolean> {
    for (let found = this.#covering(index); found !== undefined; found = this.#covering(index)) {
      if (!(await this.#mendOne(found))) return false;
    }
    return true;
  }

  #covering(index: LogIndex): Damage | undefined {
    return this.#parts.log.damage.find(({ firstIndex, lastIndex }) => firstIndex <= index && index <= lastIndex);
  }

  async #mendOne(found: Damage): Promise<boolean> {
    const { log, groupId, world } = this.#parts;
    const { firstIndex: index } = found;
    const supplied = await world.fetchEntry(groupId, wantedEntry(log, index));
    if (supplied.entry === undefined) {
      if (this.#isBehindAnother(supplied.committed, index)) return this.#cut(found);
      this.#notSupplied(found, supplied);
      return false;
    }
    const { entry } = supplied;
    const isKnown = isTermKnown(log, index);
    const mayCut = supplied.isCommitted && index > log.commitHint && this.#parts.mayCut();
    if (mayCut && isKnown && entry.header.term !== log.termAt(index)) return this.#cut(found);
    try {
      await this.#putBack(entry);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      // A compacted entry is smaller than the one it was: of that one it tells nothing.
      const isOther = error.code === 'OUT_OF_RANGE' && entry.header.compacted === undefined;
      if (mayCut && !isKnown && isOther) return this.#cut(found);
      this.#report(index, `${where(found)} is damaged and what a peer supplied did not fit`, error);
      return false;
    }
    this.#reported.delete(index);
    this.#lost.keep((lost) => lost !== index);
    world.metrics.add('logdrive_wal_repairs_total');
    return true;
  }

  /** This log holds another entry than the one committed there, in front of `index`: what follows it never was. */
  #isBehindAnother(committed: EntryId | undefined, index: LogIndex): boolean {
    const { log, mayCut } = this.#parts;
    if (committed === undefined || !mayCut() || committed.index >= index || committed.index <= log.commitHint)
      return false;
    return isTermKnown(log, committed.index) && log.termAt(committed.index) !== committed.term;
  }

  #notSupplied(found: Damage, { unheard, isTrimmed }: Unsupplied): void {
    const { firstIndex: index, file, position } = found;
    if (unheard.length === 0 && isTrimmed) {
      this.#trimmedElsewhere.add(index);
      this.#lost.keep((lost) => lost !== index);
      this.#report(index, `${where(found)} is damaged, and trimmed elsewhere: no replica has it any more`, undefined);
      return;
    }
    const who = unheard.length === 0 ? 'on every replica' : `here, and may be sound on ${unheard.join(', ')}`;
    this.#lost.add({ index, file, position, unheard });
    const what = `${where(found)} is damaged and no peer could supply it: it is damaged or missing ${who}`;
    this.#report(index, what, undefined);
  }

  #cut(found: Damage): true {
    const { firstIndex: index } = found;
    const what = `${where(found)} is damaged, and another one was committed in its place, or before it: it is cut away`;
    this.#reported.delete(index);
    this.#report(index, what, undefined);
    this.#parts.log.truncateSuffix(index);
    this.#lost.keep((lost) => lost < index);
    return true;
  }

  /**
   * In its place; in a segment written anew where the medium does not give the place back, or where the entry has
   * another size there, because only one of the two was compacted.
   * @throws StorageError OUT_OF_RANGE when it is another entry than the one that was there.
   */
  async #putBack(entry: LogEntry): Promise<void> {
    try {
      await this.#parts.log.repair(entry);
    } catch (error) {
      const mayFitElsewhere = isStorageError(error, 'OUT_OF_RANGE') || isStorageError(error, 'IO');
      if (!mayFitElsewhere || !(await this.#rewrite(entry))) throw error;
    }
  }

  /** Writes the segment anew, with all that is damaged in it from peers. False: that could not be done. */
  async #rewrite(entry: LogEntry): Promise<boolean> {
    const { log, groupId, world, mayCut } = this.#parts;
    const { index } = entry.header;
    let isCertain = mayCut();
    try {
      const rewritten = await log.rewrite(index, index, {
        keep: ({ payload }) => payload,
        pace: async () => undefined,
        supply: async (wanted) => {
          if (wanted === index) return entry;
          const supplied = await world.fetchEntry(groupId, wantedEntry(log, wanted));
          if (supplied.entry === undefined) {
            if (this.#isBehindAnother(supplied.committed, wanted)) this.#overtaken.add(index);
          } else if (!supplied.isCommitted) isCertain = false;
          return supplied.entry;
        },
      });
      return rewritten !== undefined;
    } catch (error) {
      // Of another entry of the segment nobody has what was here, or others have something else: they go on from there.
      // What is known of this one is why it was refused.
      if (isStorageError(error, 'CORRUPT')) return false;
      if (!isStorageError(error, 'OUT_OF_RANGE')) throw error;
      if (isCertain && (error.index ?? 0) > log.commitHint) this.#overtaken.add(index);
      return false;
    }
  }

  #report(index: LogIndex, what: string, error: unknown): void {
    if (this.#reported.has(index)) return;
    this.#reported.add(index);
    this.#parts.events.onTrouble(what, error);
  }
}

function where({ firstIndex, position, file }: Damage): string {
  return `entry ${firstIndex} (byte ${position} of ${file})`;
}
