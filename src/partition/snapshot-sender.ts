/**
 * The leader's side of a state that travels in chunks (snapshot-codec.ts). It keeps no position: the follower says what
 * it wants next, after a broken link or a restart of either side as well, so every chunk is the answer to a question.
 * One chunk is on its way at a time, and none faster than the node's pace.
 */
import { crc32c, type Snapshot, type SnapshotKey, sameSnapshot } from '../../storage/index.ts';
import type { Timers } from '../env.ts';
import type { InstallSnapshot, NodeId, Raft } from '../raft/index.ts';
import { encodeTransfer, type SnapshotWanted, type TransferMessage } from './snapshot-codec.ts';
import { SNAPSHOT_CHUNK_BYTES, type SnapshotPace } from './snapshot-pace.ts';

export interface SnapshotSenderParts {
  readonly raft: Raft;
  readonly timers: Timers;
  /** Absent: as fast as the follower asks. */
  readonly pace: SnapshotPace | undefined;
  send(peer: NodeId, message: TransferMessage, chunks: readonly Uint8Array[]): boolean;
}

interface Transfer {
  readonly term: number;
  readonly key: SnapshotKey;
  readonly snapshot: Snapshot;
  /** A chunk waits for its turn at the pace. */
  isWaiting: boolean;
}

export class SnapshotSender {
  readonly #parts: SnapshotSenderParts;
  /** At most one a follower. */
  readonly #transfers = new Map<NodeId, Transfer>();

  constructor(parts: SnapshotSenderParts) {
    this.#parts = parts;
  }

  /** Larger states than this are not sent whole. */
  get chunkBytes(): number {
    return this.#parts.pace?.chunkBytes ?? SNAPSHOT_CHUNK_BYTES;
  }

  /** Offers the state `message` speaks of. False: the transport refuses. */
  offer(message: InstallSnapshot, snapshot: Snapshot): boolean {
    const { index, term, state } = snapshot;
    const known = this.#transfers.get(message.to);
    // The same one again, say because the link broke: its checksum need not be computed again.
    const isKnown = known?.snapshot === snapshot;
    const key = isKnown ? known.key : { index, term, stateBytes: state.length, stateCrc: crc32c(state) };
    if (!isKnown || known.term !== message.term) {
      this.#transfers.set(message.to, { term: message.term, key, snapshot, isWaiting: false });
    }
    const { commit, membership } = message;
    const offer = { kind: 'offer', term: message.term, key, message: { commit, membership }, point: snapshot } as const;
    return this.#send(message.to, offer);
  }

  /** The follower has so much, and wants what follows. */
  onWanted(from: NodeId, { term, key, position }: SnapshotWanted): void {
    const transfer = this.#transfers.get(from);
    if (transfer === undefined || transfer.term !== term || !sameSnapshot(transfer.key, key)) return;
    if (!this.#isCurrent(from, transfer) || position >= key.stateBytes) {
      // All there, or it needs the state no more; the core hears of it by itself.
      this.#transfers.delete(from);
      return;
    }
    if (transfer.isWaiting) return;
    const bytes = transfer.snapshot.state.subarray(position, position + this.chunkBytes);
    const { pace, timers } = this.#parts;
    const delayMs = pace?.delayMs(bytes.length) ?? 0;
    const leave = (): void => {
      transfer.isWaiting = false;
      if (this.#transfers.get(from) !== transfer || !this.#isCurrent(from, transfer)) return;
      // Each chunk is a sign of life of the transfer: the core does not ask for the state again meanwhile.
      if (this.#send(from, { kind: 'chunk', term, key, position, bytes })) this.#parts.raft.snapshotSent(from);
    };
    if (delayMs < 1) {
      leave();
      return;
    }
    transfer.isWaiting = true;
    this.#parts.raft.snapshotSent(from);
    timers.after(delayMs, leave);
  }

  /** Another term, or the partition is closed. */
  reset(): void {
    this.#transfers.clear();
  }

  #isCurrent(peer: NodeId, { term }: Transfer): boolean {
    const { raft } = this.#parts;
    return raft.role === 'leader' && raft.term === term && raft.progressOf(peer)?.state === 'snapshot';
  }

  #send(peer: NodeId, message: TransferMessage): boolean {
    return this.#parts.send(peer, message, encodeTransfer(message));
  }
}
