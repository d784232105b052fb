/**
 * What a replica does about damage in its own log: it has entries put back by the mender, supplies what is sound to
 * others, and each time the damage is another one it takes on the rights that are left to it before the core runs again
 * (design decision 7, R19). How an entry is found and fits is the mender's to say; which rights there are, Rights'.
 */
import { type Log, type LogIndex, StorageError } from '../../storage/index.ts';
import type { Raft } from '../raft/index.ts';
import { type OneSupply, supplyEntry, type WantedEntry } from './entry-supply.ts';
import type { Mender } from './mender.ts';
import type { Rights } from './rights.ts';

export interface MendingParts {
  readonly log: Log;
  readonly raft: Raft;
  readonly mender: Mender;
  readonly rights: Rights;
  isClosed(): boolean;
  run(): void;
  /** Hands the leadership, if it is here, to a voter that holds everything committed. */
  giveWay(): void;
  onTrouble(what: string, error: unknown): void;
}

export class Mending {
  readonly #parts: MendingParts;
  /** The state at the log's start has rotted. Its entries are gone, so it cannot be made again here: another replica is
   *  to lead, or a follower that needs it would never get it. */
  #lacksState = false;

  constructor(parts: MendingParts) {
    this.#parts = parts;
  }

  /** Up to and including `index`. False: no peer could supply it. */
  async mend(index: LogIndex): Promise<boolean> {
    const isMended = await this.#parts.mender.mend(index);
    this.changed();
    return isMended;
  }

  /** All that is known to be damaged, as far as peers can supply it. */
  async mendAll(): Promise<void> {
    const { log, mender, rights, isClosed, giveWay } = this.#parts;
    // Here, and not when a read fails: two replicas without it do not pass the leadership to and fro at every read.
    if (this.#lacksState && !isClosed()) {
      this.#lacksState = false;
      giveWay();
    }
    if (isClosed() || (log.damage.length === 0 && !mender.isWaiting && !rights.isStale)) return;
    this.changed();
    await mender.mendAll();
    this.changed();
  }

  /** One entry, for a peer whose copy is damaged. `committed`: the last index known so. */
  async supply(wanted: WantedEntry, committed: LogIndex): Promise<OneSupply> {
    const { log } = this.#parts;
    const supplied = await supplyEntry(log, wanted, committed);
    // Looking for it may have found the same damage here.
    if (supplied === undefined && log.damage.length > 0) this.changed();
    return supplied;
  }

  /** Entries for a follower could not be read. */
  readFailed(error: unknown): void {
    const { raft, isClosed, run, onTrouble } = this.#parts;
    const isDamaged = error instanceof StorageError && error.code === 'CORRUPT';
    const index = isDamaged ? error.index : undefined;
    if (index === undefined) {
      this.#lacksState ||= isDamaged;
      onTrouble('reading entries for a follower failed', error);
      return;
    }
    // Peers that cannot help are an answer; a rejection is a broken invariant, and the process ends by it (N9).
    void this.mend(index).then((isMended) => {
      if (isMended || isClosed()) return;
      // Perhaps nobody else ever had the entry, and a majority does without it.
      raft.stepDown();
      run();
    });
  }

  /** The log has other damage than before. */
  changed(): void {
    const { raft, mender, rights, isClosed, run } = this.#parts;
    if (isClosed()) return;
    rights.refresh();
    // Nobody leads what every replica has lost a part of: nothing is appended behind it until that is back.
    if (mender.isStopped) raft.stepDown();
    run();
  }
}
