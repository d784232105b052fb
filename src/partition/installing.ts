/**
 * Replacing the log of a replica by a state of the leader's (paper section 7, R14, R15): from the core's word that it
 * is to be installed to the core's being told that it is durable. While it lasts nothing may be appended, and the log's
 * start is ahead of what the core knows.
 */
import { type Log, type Snapshot, StorageError } from '../../storage/index.ts';
import type { Timers } from '../env.ts';
import type { InstallSnapshot, Raft } from '../raft/index.ts';
import type { Drive } from './drive.ts';
import type { PendingEntries } from './pending-entries.ts';
import { overTurns } from './pieces.ts';
import type { Rights } from './rights.ts';
import type { Snapshots } from './snapshots.ts';
import { type DecodedState, PartitionState } from './state.ts';
import type { TailCache } from './tail-cache.ts';

export interface InstallingParts {
  readonly raft: Raft;
  readonly log: Log;
  readonly state: PartitionState;
  readonly timers: Pick<Timers, 'soon'>;
  readonly pending: PendingEntries;
  readonly cache: TailCache;
  readonly rights: Rights;
  readonly drive: Drive;
  readonly snapshots: Snapshots;
  isClosed(): boolean;
  /** The state is in place; the core does not know yet. */
  onInstalled(): void;
  onApplied(): void;
  onTrouble(what: string, error: unknown): void;
}

export class Installing {
  readonly #parts: InstallingParts;
  #isRunning = false;

  constructor(parts: InstallingParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  begin(message: InstallSnapshot, snapshot: Snapshot): void {
    const { pending, drive, onTrouble } = this.#parts;
    this.#isRunning = true;
    // Their entries go, and whether they are committed elsewhere is not known here. The entries themselves stay pending
    // until the log is replaced: a heartbeat may still say that some of them are committed.
    pending.loseWaiters();
    this.#replace(snapshot).then(
      (decoded) => this.#installed(message, snapshot, decoded),
      (error: unknown) => {
        // A state that cannot be read is a broken invariant: its checksum was right, so the leader made it so.
        if (!(error instanceof StorageError)) throw error;
        // Storage failed on the way and has ended the process (W4), or the log was closed meanwhile.
        drive.stop();
        onTrouble('installing a snapshot failed', error);
      },
    );
  }

  /** Decoded before the log is replaced: from that moment on the state must be the log's, without a turn in between. */
  async #replace(snapshot: Snapshot): Promise<DecodedState> {
    const { log, timers } = this.#parts;
    const decoded = await overTurns(PartitionState.decode(snapshot.state), timers);
    await log.installSnapshot(snapshot);
    return decoded;
  }

  #installed(message: InstallSnapshot, snapshot: Snapshot, decoded: DecodedState): void {
    const { raft, state, pending, cache, rights, drive, snapshots, isClosed, onInstalled, onApplied } = this.#parts;
    this.#isRunning = false;
    if (isClosed()) return;
    pending.truncateSuffix(0);
    cache.clear();
    snapshots.truncated(0);
    state.adopt(snapshot, decoded);
    // Whatever was wrong with the log, it is another one now; the core acks it only with the right to do so.
    rights.setDivergent(false);
    onInstalled();
    raft.installed(message.snapshot);
    onApplied();
    drive.run();
  }
}
