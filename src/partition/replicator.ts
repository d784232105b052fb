/**
 * Entries and snapshots on their way to followers. The core says who wants what (SendRequest); the bytes come from the
 * tail cache, or from disk with one read a peer at a time. After a read the core is asked again: it alone knows
 * whether this node still leads and whether the follower still wants that range (design 5, "The core has no bytes").
 */

import {
  type ChainSum,
  entryBytes,
  type Log,
  type LogEntry,
  type Snapshot,
  StorageError,
} from '../../storage/index.ts';
import type { Timers } from '../env.ts';
import type { InstallSnapshot, LogIndex, Membership, Message, NodeId, Raft } from '../raft/index.ts';
import { CommitNotices } from './commit-notices.ts';
import { encodePeerMessage } from './peer-codec.ts';
import type { SnapshotWanted } from './snapshot-codec.ts';
import type { SnapshotPace } from './snapshot-pace.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import type { TailCache } from './tail-cache.ts';
import type { Lane, Transport } from './transport.ts';

export interface ReplicatorParts {
  readonly groupId: number;
  readonly raft: Raft;
  readonly log: Log;
  readonly cache: TailCache;
  readonly transport: Transport;
  readonly timers: Timers;
  readonly pace: SnapshotPace | undefined;
  /** The last one committed at the index of that snapshot (R14). */
  membershipOf(snapshot: Snapshot): Membership;
  /** After the core was told something. */
  run(): void;
  /** A read for a follower met damage; the partition repairs it and the follower asks again. */
  onReadFailure(error: unknown): void;
}

/** Small messages travel on the control lane, so that they never queue behind entries. */
const LANES: Readonly<Record<Message['kind'], Lane>> = {
  'pre-vote': 'control',
  'pre-vote-reply': 'control',
  vote: 'control',
  'vote-reply': 'control',
  heartbeat: 'control',
  'heartbeat-reply': 'control',
  append: 'bulk',
  'append-reply': 'control',
  snapshot: 'bulk',
  'snapshot-reply': 'control',
  'timeout-now': 'control',
};

export class Replicator {
  readonly #parts: ReplicatorParts;

  readonly #chunks: SnapshotSender;
  readonly #notices: CommitNotices;

  constructor(parts: ReplicatorParts) {
    this.#parts = parts;
    const { raft, timers, pace, transport, groupId } = parts;
    this.#notices = new CommitNotices(timers, (notice) => this.#sendPlain(notice));
    this.#chunks = new SnapshotSender({
      raft,
      timers,
      pace,
      send: (peer, { kind }, chunks) => transport.send(peer, kind === 'chunk' ? 'bulk' : 'control', groupId, chunks),
    });
  }

  /** Messages without entries. Losing one is legal: the core sends again. */
  sendMessage(message: Message): void {
    const isNotice = message.kind === 'heartbeat' && message.isNotice === true;
    if (isNotice) this.#notices.hold(message);
    else this.#sendPlain(message);
  }

  #sendPlain(message: Message): void {
    const previousChain = message.kind === 'append' ? this.#chainBefore(message.previous.index + 1) : undefined;
    this.#send(message.to, message, encodePeerMessage(message, previousChain === undefined ? {} : { previousChain }));
  }

  sendEntries(peer: NodeId, from: LogIndex, bytesMax: number): void {
    const { log, cache } = this.#parts;
    const chain = this.#chainBefore(from);
    const cached = cache.slice(from, log.lastIndex, bytesMax);
    if (chain !== undefined && cached !== undefined) {
      this.#sendNow(peer, from, cached, chain);
      return;
    }
    this.#sendFromDisk(peer, from, bytesMax).catch((error: unknown) => this.#failed(peer, error));
  }

  async #sendFromDisk(peer: NodeId, from: LogIndex, bytesMax: number): Promise<void> {
    const { log, run } = this.#parts;
    const chain = await log.chainBefore(from);
    const entries = await log.read(from, bytesMax);
    this.#sendNow(peer, from, entries, chain);
    run();
  }

  #sendNow(peer: NodeId, from: LogIndex, entries: readonly LogEntry[], previousChain: ChainSum): void {
    const { raft } = this.#parts;
    const last = entries.at(-1)?.header.index;
    const message = last === undefined ? undefined : raft.appendFor(peer, from, last);
    const isSent =
      message !== undefined &&
      isCurrent(message.entries, entries) &&
      this.#send(peer, message, encodePeerMessage(message, { entries, previousChain }));
    if (last === undefined || !isSent) {
      raft.sendFailed(peer);
      return;
    }
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    this.#notices.told(peer, message.commit);
    raft.sent(peer, last, bytes);
  }

  /** The state just below the first stored entry, never a later one: what is retained follows as entries (design 4). */
  sendSnapshot(peer: NodeId): void {
    this.#sendSnapshotFromDisk(peer).catch((error: unknown) => this.#failed(peer, error));
  }

  async #sendSnapshotFromDisk(peer: NodeId): Promise<void> {
    const { log, raft, run, membershipOf } = this.#parts;
    const snapshot = await log.snapshotAt(log.base.index);
    const message = snapshot === undefined ? undefined : raft.snapshotFor(peer, snapshot, membershipOf(snapshot));
    if (snapshot !== undefined && message !== undefined && this.#sendState(peer, message, snapshot)) {
      raft.snapshotSent(peer);
    } else {
      raft.sendFailed(peer);
    }
    run();
  }

  #sendState(peer: NodeId, message: InstallSnapshot, snapshot: Snapshot): boolean {
    if (snapshot.state.length > this.#chunks.chunkBytes) return this.#chunks.offer(message, snapshot);
    return this.#send(peer, message, encodePeerMessage(message, { snapshot }));
  }

  /** A follower says what it has of a state it was offered. */
  onWanted(from: NodeId, wanted: SnapshotWanted): void {
    this.#chunks.onWanted(from, wanted);
  }

  /** Role or term changed: what was offered is offered no more. */
  reset(): void {
    this.#chunks.reset();
    this.#notices.drop();
  }

  #failed(peer: NodeId, error: unknown): void {
    const { raft, run, onReadFailure } = this.#parts;
    // Trimmed or truncated between the request and the read: the core asks anew from where things stand.
    const isRace =
      error instanceof StorageError &&
      (error.code === 'TRIMMED' || error.code === 'OUT_OF_RANGE' || error.code === 'CLOSED');
    if (!isRace) onReadFailure(error);
    raft.sendFailed(peer);
    run();
  }

  #chainBefore(from: LogIndex): ChainSum | undefined {
    const { log, cache } = this.#parts;
    return from === log.lastIndex + 1 ? log.lastChain : cache.get(from - 1)?.header.chain;
  }

  #send(peer: NodeId, message: Message, chunks: readonly Uint8Array[]): boolean {
    return this.#parts.transport.send(peer, LANES[message.kind], this.#parts.groupId, chunks);
  }
}

/** Whether the bytes read are still the entries the core means: the log may have been cut during the read. */
function isCurrent(
  metas: readonly { readonly term: number; readonly index: number }[],
  entries: readonly LogEntry[],
): boolean {
  return (
    metas.length === entries.length &&
    metas.every((meta, at) => meta.index === entries[at]!.header.index && meta.term === entries[at]!.header.term)
  );
}
