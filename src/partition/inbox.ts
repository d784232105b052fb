/**
 * Messages of peers on their way to the core: decoded, checked, and held back where they must be. One that is held back
 * or does not check is dropped; raft repeats itself.
 *
 * Here the chain checksum of the leader is compared with this log's, the moment both know the entry before what is
 * sent: equal terms and indexes with different chains mean damage that no checksum caught (R27).
 */
import { type Log, sameChain } from '../../storage/index.ts';
import type { Append } from '../raft/index.ts';
import { decodePeerMessage, type PeerMessage } from './peer-codec.ts';
import type { Rights } from './rights.ts';
import type { TailCache } from './tail-cache.ts';

export interface InboxParts {
  readonly nodeId: string;
  readonly log: Log;
  readonly cache: TailCache;
  readonly rights: Rights;
  /** The log is being replaced: nothing may be appended until it is. */
  isInstalling(): boolean;
  onTrouble(what: string, error: unknown): void;
}

export class Inbox {
  readonly #parts: InboxParts;

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  /** The message, when it is to be stepped now. Bytes are given. */
  take(from: string, bytes: Uint8Array): PeerMessage | undefined {
    const { nodeId, log, onTrouble } = this.#parts;
    let received: PeerMessage;
    try {
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

  #mustWait({ message, entries, previousChain }: PeerMessage): boolean {
    const { rights, isInstalling } = this.#parts;
    if (message.kind === 'snapshot') return isInstalling();
    if (message.kind !== 'append') return false;
    if (isInstalling()) return true;
    const isSmall = entries.every(({ header }) => header.kind !== 'batch');
    if (entries.length > 0 && !rights.mayTake(isSmall)) return true;
    return previousChain !== undefined && this.#differs(message, previousChain);
  }

  #differs({ from, previous }: Append, previousChain: { readonly high: number; readonly low: number }): boolean {
    const { log, cache, rights, onTrouble } = this.#parts;
    const isLast = previous.index === log.lastIndex;
    const own = isLast ? log.lastChain : cache.get(previous.index)?.header.chain;
    if (own === undefined || log.termAt(previous.index) !== previous.term || sameChain(own, previousChain))
      return false;
    // Equal (index, term) means equal logs (log matching, paper 5.3); a replica with another chain must not vote, ack or
    // lead (R19, R27).
    if (!rights.isDivergent) {
      const where = `at entry ${previous.index}`;
      onTrouble(`chain checksums differ from ${from} ${where}: this replica takes no part until restored`, undefined);
    }
    rights.setDivergent(true);
    return true;
  }
}
