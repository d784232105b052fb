/**
 * The follower's side of a state that travels in chunks (snapshot-codec.ts). Chunks go to a file of their own, in
 * order; when it is whole it is read back and checked, and only then does the core see the snapshot message. What is of
 * an old term, of another sender than the leader, or of another snapshot than the one that was offered last is dropped
 * (R15).
 */
import {
  type IncomingSnapshot,
  type Snapshot,
  type SnapshotKey,
  StorageError,
  sameSnapshot,
} from '../../storage/index.ts';
import type { InstallSnapshot, NodeId, Raft } from '../raft/index.ts';
import { encodeTransfer, type SnapshotChunk, type SnapshotOffer, type TransferMessage } from './snapshot-codec.ts';

export interface SnapshotReceiverParts {
  readonly raft: Pick<Raft, 'id' | 'term' | 'leader' | 'isLeaderGone' | 'needsSnapshot'>;
  readonly incoming: IncomingSnapshot;
  send(peer: NodeId, message: TransferMessage, chunks: readonly Uint8Array[]): boolean;
  /** The whole state is here and sound, or it is not needed and `snapshot` is undefined. */
  step(message: InstallSnapshot, snapshot: Snapshot | undefined): void;
  onTrouble(what: string, error: unknown): void;
}

export class SnapshotReceiver {
  readonly #parts: SnapshotReceiverParts;
  #offer: SnapshotOffer | undefined;
  #have = 0;
  /** Something is done to the file: what comes meanwhile is dropped, and offered again. */
  #work: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: SnapshotReceiverParts) {
    this.#parts = parts;
  }

  onOffer(from: NodeId, offer: SnapshotOffer): void {
    if (!this.#isFromLeader(from, offer.term) || this.#work !== undefined) return;
    if (!this.#parts.raft.needsSnapshot(offer.point)) {
      this.#parts.step(this.#messageOf(from, offer), undefined);
      return;
    }
    this.#do(async () => {
      this.#have = await this.#parts.incoming.begin(offer.key);
      this.#offer = offer;
      await this.#next(from, offer);
    });
  }

  onChunk(from: NodeId, { term, key, position, bytes }: SnapshotChunk): void {
    const offer = this.#offer;
    if (!this.#isFromLeader(from, term) || this.#work !== undefined) return;
    if (offer === undefined || offer.term !== term || !sameSnapshot(offer.key, key)) return;
    if (position !== this.#have || bytes.length === 0 || position + bytes.length > key.stateBytes) return;
    this.#do(async () => {
      this.#have = await this.#parts.incoming.write(bytes);
      await this.#next(from, offer);
    });
  }

  /** The snapshot is installed, or its log was replaced otherwise: what was collected is of no more use. */
  installed(): void {
    this.#offer = undefined;
    this.#do(() => this.#parts.incoming.drop());
  }

  /** Resolves when the file is left alone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#work;
    await this.#parts.incoming.close();
  }

  async #next(from: NodeId, offer: SnapshotOffer): Promise<void> {
    const { incoming, onTrouble, step } = this.#parts;
    const { key, point } = offer;
    if (this.#have < key.stateBytes) {
      this.#want(from, offer.term, key);
      return;
    }
    const state = await incoming.finish();
    if (state === undefined) {
      onTrouble(`a snapshot at ${key.index} that came in chunks fails its checksum: it is fetched anew`, undefined);
      this.#have = await incoming.begin(key);
      this.#want(from, offer.term, key);
      return;
    }
    // Read back after some time: the leader may be another one by now, and this one's word old.
    if (this.#isClosed || !this.#isFromLeader(from, offer.term)) return;
    // Nothing more is wanted: the leader need not keep it.
    this.#want(from, offer.term, key);
    const { index, term, nextOffset, appendTimeMs, chain } = point;
    step(this.#messageOf(from, offer), { index, term, nextOffset, appendTimeMs, chain, state });
  }

  #want(to: NodeId, term: number, key: SnapshotKey): void {
    const wanted = { kind: 'wanted', term, key, position: this.#have } as const;
    if (!this.#isClosed) this.#parts.send(to, wanted, encodeTransfer(wanted));
  }

  #do(work: () => Promise<void>): void {
    if (this.#isClosed) return;
    const before = this.#work ?? Promise.resolve();
    const doing: Promise<void> = before
      .then(work)
      .catch((error: unknown) => {
        if (!(error instanceof StorageError)) throw error;
        // Without room, say. What is here stays, and the leader offers it again.
        this.#offer = undefined;
        this.#parts.onTrouble('collecting a snapshot failed; it goes on when it is offered again', error);
      })
      .finally(() => {
        if (this.#work === doing) this.#work = undefined;
      });
    this.#work = doing;
  }

  /** A file is read and written while the link to the leader may break: its word is none any more then, and a replica
   *  that took it would rest under a leader that is gone. */
  #isFromLeader(from: NodeId, term: number): boolean {
    const { raft } = this.#parts;
    return raft.term === term && raft.leader === from && !raft.isLeaderGone;
  }

  #messageOf(from: NodeId, { term, key, message }: SnapshotOffer): InstallSnapshot {
    const snapshot = { term: key.term, index: key.index };
    return { kind: 'snapshot', from, to: this.#parts.raft.id, term, snapshot, ...message };
  }
}
