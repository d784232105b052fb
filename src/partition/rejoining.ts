/**
 * A replica that lost what it may have promised (its log, its term and vote, or the end of its log), on its way back
 * (R19, R21, W26). Why this is safe without a change of the membership is argued in docs/raft.md, "Rejoining":
 *
 *   1 the marker is durable      no vote, no campaign, acks that count for nothing (raft: isRejoining)
 *   2 the leader is asked        it puts an entry into the log that names the marker: it was made after 1
 *   3 that entry is committed    by a majority without this replica, and is part of this log with all before it
 *   4 vote for that leader       of the present term, unless one was given; it and the log are flushed
 *   5 the marker is removed      durably; then the replica takes part again
 *
 * Each step can be repeated: a stop anywhere begins again at 2, since the marker is still there.
 *
 * A log that cannot be mended any more, or that differs from its leader's, is given up on the way: between 2 and 3 it
 * is set aside, and begun anew empty. Not before the leader says that the entry of 2 is committed: the others have it
 * by a majority without this replica, and all that was committed before, as the leader has it. So however many replicas
 * mean to give up theirs, a majority keeps its own; and the leader that alone is wrong commits nothing.
 */
import { type Log, type Marker, StorageError } from '../../storage/index.ts';
import type { Env } from '../env.ts';
import { canDoWithout, type Raft } from '../raft/index.ts';
import type { AppendOutcome } from './append-queue.ts';
import { encodeControl } from './control.ts';
import type { Mender } from './mender.ts';
import type { PartitionEvents, PartitionWorld } from './options.ts';
import type { PartitionState } from './state.ts';

/** A marker names one loss and no other: drawn at random. */
const MARKER_BYTES = 16;

export interface RejoiningParts {
  readonly world: Pick<PartitionWorld, 'directory' | 'env'>;
  readonly events: Pick<PartitionEvents, 'onGivenUp' | 'onRejoined' | 'onTrouble'>;
  readonly log: Log;
  readonly raft: Raft;
  readonly state: PartitionState;
  readonly mender: Pick<Mender, 'hopeless'>;
  readonly nodeId: string;
  /** After the core was told something. */
  run(): void;
  /** Puts a control entry into the log, when this replica leads. */
  propose(payload: Uint8Array): Promise<AppendOutcome>;
  isClosed(): boolean;
}

export function newMarker(env: Pick<Env, 'random'>, reason: string): Marker {
  return { id: Buffer.from(env.random.bytes(MARKER_BYTES)).toString('hex'), reason };
}

export class Rejoining {
  readonly #parts: RejoiningParts;
  #marker: Marker | undefined;
  #isMarkerDurable: boolean;
  /** Why the log itself is of no use any more. */
  #useless: string | undefined;
  /** Writing the marker, or step 4 and 5. */
  #isBusy = false;

  /** @param marker As found on disk. */
  constructor(parts: RejoiningParts, marker: Marker | undefined) {
    this.#parts = parts;
    this.#marker = marker;
    this.#isMarkerDurable = marker !== undefined;
  }

  get reason(): string | undefined {
    return this.#marker?.reason;
  }

  /** Leader: puts the marker of a rejoining replica into the log. */
  propose(node: string, marker: string): Promise<AppendOutcome> {
    return this.#parts.propose(encodeControl({ kind: 'rejoin', node, marker }));
  }

  /** Leader: voters that lost what they had promised, as it found or as they say, and are not back. */
  get lostPeers(): readonly string[] {
    const { raft } = this.#parts;
    return raft.membership.voters.filter((peer) => (raft.progressOf(peer)?.standing ?? 'sound') !== 'sound');
  }

  /** Leader: whether `peer` lost what it had acked and does not know it yet. */
  isUnaware(peer: string): boolean {
    return this.#parts.raft.progressOf(peer)?.standing === 'lost';
  }

  /** Does what can be done now; returns the marker the leader is to be asked for, if any. To be called now and then. */
  poll(): string | undefined {
    const { mender, raft, nodeId } = this.#parts;
    const { hopeless } = mender;
    // Where the others are no majority without it, nobody could take it back: what it has is better than nothing.
    if (hopeless !== undefined && canDoWithout(raft.membership, nodeId))
      this.giveUp(`entry ${hopeless.firstIndex} is damaged, and every other replica has trimmed it`);
    this.#persist();
    this.check();
    return this.wanted;
  }

  /** The marker the leader is to put into the log; undefined while there is nothing to ask for. */
  get wanted(): string | undefined {
    const { state, nodeId } = this.#parts;
    if (this.#marker === undefined || !this.#isMarkerDurable) return undefined;
    if (this.#useless !== undefined) return this.#marker.id;
    return state.rejoinOf(nodeId) === this.#marker.id ? undefined : this.#marker.id;
  }

  /** This replica is known to have lost what it may have promised. The rights go at once, the marker follows; one that
   *  is rejoining already goes on with what it has. */
  lose(reason: string): void {
    const { raft, run, world, events, isClosed } = this.#parts;
    if (this.#marker !== undefined || isClosed()) return;
    events.onTrouble(`${reason}: this replica takes no part until it has rejoined`, undefined);
    this.#marker = newMarker(world.env, reason);
    raft.beginRejoining();
    run();
    this.#persist();
  }

  /** As lose(), of a log that cannot be mended: it is to go, see above. */
  giveUp(reason: string): void {
    if (this.#useless !== undefined || this.#parts.isClosed()) return;
    this.#useless = reason;
    this.lose(reason);
  }

  /** The leader has replaced the log by a state of its own: whatever was wrong with it, it is another one now. */
  replaced(): void {
    this.#useless = undefined;
  }

  /** The entry that names `marker` is committed, says the leader. */
  committed(marker: string): void {
    const { events, isClosed } = this.#parts;
    if (this.#useless === undefined || marker !== this.#marker?.id || isClosed()) return;
    events.onGivenUp(new StorageError('CORRUPT', this.#useless));
  }

  /** Writes a marker that could not be written before, say for want of space. */
  #persist(): void {
    const { world, log, isClosed } = this.#parts;
    const marker = this.#marker;
    if (marker === undefined || this.#isMarkerDurable || this.#isBusy || isClosed()) return;
    this.#isBusy = true;
    this.#work('the marker of a lost replica was not written', async () => {
      await world.directory.mark(log.groupId, marker);
      this.#isMarkerDurable = true;
    });
  }

  /** Something was applied: perhaps this was the last that was missing. */
  check(): void {
    const { state, raft, nodeId, isClosed } = this.#parts;
    if (this.#marker === undefined || this.#isBusy || isClosed() || this.#useless !== undefined) return;
    if (state.rejoinOf(nodeId) !== this.#marker.id || raft.leader === undefined) return;
    this.#isBusy = true;
    this.#work('a replica could not end its rejoining', () => this.#end());
  }

  async #end(): Promise<void> {
    const { world, log, raft, run, isClosed, events } = this.#parts;
    raft.pledgeToLeader();
    run();
    // Everything up to the entry that names the marker, and the vote, are on disk before the marker goes.
    await log.flush();
    await log.saveHardState(log.hardState);
    // Found meanwhile to be of no use: the marker stays, and the log goes by it.
    if (this.#useless !== undefined) return;
    await world.directory.unmark(log.groupId);
    this.#marker = undefined;
    this.#isMarkerDurable = false;
    if (isClosed()) return;
    // Found at the last moment: it rejoins once more, by a marker of its own.
    if (this.#useless !== undefined) {
      this.lose(this.#useless);
      return;
    }
    raft.endRejoining();
    events.onRejoined();
    run();
  }

  #work(what: string, work: () => Promise<void>): void {
    const { isClosed, events } = this.#parts;
    work()
      .catch((error: unknown) => {
        // Full, or closed meanwhile: it is tried again, now or after a start. A failed flush has ended the process
        // (W4).
        if (!(error instanceof StorageError)) throw error;
        if (!isClosed()) events.onTrouble(what, error);
      })
      .finally(() => {
        this.#isBusy = false;
      });
  }
}
