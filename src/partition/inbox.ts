/**
 * Messages of peers on their way to the core: decoded, checked, and held back where they must be. One that is held back
 * or does not check is dropped; raft repeats itself.
 *
 * Here the chain checksum of the leader is compared with this log's, the moment both know the entry before what is
 * sent: equal terms and indexes with different chains mean damage that no checksum caught (R27).
 */
import { type ChainSum, type EntryId, type Log, type LogEntry, type Snapshot, sameChain } from '../../storage/index.ts';
import type { Append, InstallSnapshot, NodeId, Raft } from '../raft/index.ts';
import { decodePeerMessage, type PeerMessage } from './peer-codec.ts';
import type { Rights } from './rights.ts';
import { decodeTransfer, isTransferMessage, type SnapshotWanted, type TransferMessage } from './snapshot-codec.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import type { TailCache } from './tail-cache.ts';
import type { Lane } from './transport.ts';

export interface InboxParts {
  readonly nodeId: string;
  readonly log: Log;
  readonly cache: TailCache;
  readonly rights: Rights;
  readonly raft: Raft;
  send(peer: NodeId, lane: Lane, chunks: readonly Uint8Array[]): boolean;
  /** A snapshot message whose state came in chunks. */
  step(message: InstallSnapshot, snapshot: Snapshot | undefined): void;
  /** A follower wants more of the state it was offered. */
  onWanted(from: NodeId, wanted: SnapshotWanted): void;
  /** The log is being replaced: nothing may be appended until it is. */
  isInstalling(): boolean;
  onTrouble(what: string, error: unknown): void;
  /** This log and the leader's disagree where they cannot. */
  onDivergence(what: string): void;
}

export class Inbox {
  readonly #parts: InboxParts;

  readonly #chunks: SnapshotReceiver;

  constructor(parts: InboxParts) {
    this.#parts = parts;
    const { raft, log, onTrouble } = parts;
    this.#chunks = new SnapshotReceiver({
      raft,
      incoming: log.incomingSnapshot,
      send: (peer, _message, chunks) => parts.send(peer, 'control', chunks),
      step: (message, snapshot) => parts.step(message, snapshot),
      onTrouble: (what, error) => onTrouble(what, error),
    });
  }

  /** The log was replaced by a snapshot. */
  installed(): void {
    this.#chunks.installed();
  }

  /** Resolves when no file of this room's is open. */
  close(): Promise<void> {
    return this.#chunks.close();
  }

  /** The message, when it is to be stepped now. Bytes are given. */
  take(from: string, bytes: Uint8Array): PeerMessage | undefined {
    const { nodeId, log, onTrouble } = this.#parts;
    let received: PeerMessage;
    try {
      if (isTransferMessage(bytes)) {
        this.#takeTransfer(from, decodeTransfer(bytes));
        return undefined;
      }
      received = decodePeerMessage(bytes, from, nodeId);
    } catch (error) {
      onTrouble(`dropped a message from ${from} that does not check`, error);
      return undefined;
    }
    const stray = received.entries.find(({ header }) => header.groupId !== log.groupId);
    if (stray !== undefined) {
      onTrouble(`dropped a message from ${from} with an entry of group ${stray.header.groupId}`, undefined);
      return undefined;
    }
    return this.#mustWait(received) ? undefined : received;
  }

  #takeTransfer(from: NodeId, message: TransferMessage): void {
    if (message.kind === 'wanted') this.#parts.onWanted(from, message);
    else if (this.#parts.isInstalling()) return;
    else if (message.kind === 'offer') this.#chunks.onOffer(from, message);
    else this.#chunks.onChunk(from, message);
  }

  #mustWait({ message, entries, previousChain }: PeerMessage): boolean {
    const { rights, isInstalling } = this.#parts;
    if (message.kind === 'snapshot') return isInstalling();
    if (message.kind !== 'append') return false;
    if (isInstalling()) return true;
    const isSmall = entries.every(({ header }) => header.kind !== 'batch');
    if (entries.length > 0 && !rights.mayTake(isSmall)) return true;
    return this.#differs(message, entries, previousChain);
  }

  /**
   * Whether the two logs differ where they agree in index and term, of all that the message tells of entries held here.
   * What is appended or cut is above the commit index, from where on this log's chain is in memory: so nothing is taken
   * that does not follow on what is here, which storage would end the process for.
   */
  #differs({ from, previous }: Append, entries: readonly LogEntry[], previousChain: ChainSum | undefined): boolean {
    if (previousChain !== undefined && this.#isOther(previous, previousChain, from)) return true;
    const { log } = this.#parts;
    for (const { header } of entries) {
      if (header.index > log.lastIndex) return false;
      if (this.#isOther(header, header.chain, from)) return true;
    }
    return false;
  }

  #isOther({ index, term }: EntryId, chain: ChainSum, from: string): boolean {
    const { log, cache, rights, onDivergence } = this.#parts;
    const own = log.chainAt(index) ?? cache.get(index)?.header.chain;
    if (own === undefined || log.termAt(index) !== term || sameChain(own, chain)) return false;
    // Equal (index, term) means equal logs (log matching, paper 5.3); a replica with another chain must not vote, ack
    // or lead (R19, R27).
    const isNews = !rights.isDivergent;
    rights.setDivergent(true);
    if (isNews) onDivergence(`chain checksums differ from those of ${from} at entry ${index}`);
    return true;
  }
}
