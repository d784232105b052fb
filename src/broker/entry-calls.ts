/**
 * Entries that are damaged on one node and sound on another: asking for them, and answering. Who asks also learns who
 * could not be heard: an entry is lost only when every other replica of its group was, and has it neither (R19). A node
 * that left the cluster is none of them; who asks may have been away when it left, and is told by those who answer.
 */
import type { Env } from '../env.ts';
import { decodeEntries, type EntryId, type Supply, type WantedEntry } from '../partition/index.ts';
import { CATALOG_GROUP } from './catalog.ts';
import type { Host } from './host.ts';
import { decodeCall, encodeCall, type FetchEntryAnswer, type FetchEntryCall } from './peer-calls.ts';
import type { Peers } from './peers.ts';

const CALL_TIMEOUT_MS = 2_000;

export interface EntryCallParts {
  readonly nodeId: string;
  readonly world: { readonly env: Pick<Env, 'logger'>; readonly peers: Pick<Peers, 'list' | 'call' | 'learn'> };
  readonly host: Pick<Host, 'catalog' | 'members' | 'canSupply' | 'committed' | 'readEntry'>;
}

export class EntryCalls {
  readonly #parts: EntryCallParts;

  constructor(parts: EntryCallParts) {
    this.#parts = parts;
  }

  /** Asks one peer after the other, replicas or not: a node that is about to be one may have the entry already. */
  async fetch(groupId: number, wanted: WantedEntry): Promise<Supply> {
    const { peers, env } = this.#parts.world;
    if (groupId === CATALOG_GROUP) this.#meetMembers();
    const unheard = new Set(this.#otherReplicas(groupId));
    const { index } = wanted;
    const call: FetchEntryCall = { groupId, ...wanted };
    let isTrimmed = false;
    let committed: EntryId | undefined;
    for (const peer of peers.list) {
      if (!peer.isUp) continue;
      try {
        const body = await peers.call(peer.id, 'fetch-entry', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS });
        const { head, bytes } = decodeCall<FetchEntryAnswer>(body);
        const entry = bytes.length === 0 ? undefined : decodeEntries(bytes, undefined)[0];
        if (entry !== undefined && entry.header.index === index && entry.header.groupId === groupId)
          return { entry, isCommitted: head.isCommitted };
        if (entry === undefined && head.isFinal) unheard.delete(peer.id);
        for (const id of head.gone ?? []) unheard.delete(id);
        isTrimmed ||= head.isTrimmed;
        if (head.committed !== undefined && head.committed.index > (committed?.index ?? 0)) committed = head.committed;
      } catch (error) {
        env.logger.warn({ group: groupId, index, peer: peer.id, err: error }, 'a peer could not supply an entry');
      }
    }
    return { entry: undefined, unheard: [...unheard], isTrimmed, committed };
  }

  /** What a peer asked for. */
  async answer({ groupId, index, witness }: FetchEntryCall): Promise<Uint8Array[]> {
    const { host } = this.#parts;
    // A log that is still being opened, or cannot be, may hold it all the same.
    const isFinal = host.canSupply(groupId);
    const found = await host.readEntry(groupId, { index, witness });
    if (found === undefined || found === 'trimmed') {
      const isTrimmed = found === 'trimmed';
      const { gone } = host.catalog;
      const committed = host.committed(groupId);
      const none = { isCommitted: false, isFinal, isTrimmed, gone, ...(committed !== undefined && { committed }) };
      return encodeCall(none satisfies FetchEntryAnswer);
    }
    const { isCommitted, entry } = found;
    const answer: FetchEntryAnswer = { isCommitted, isFinal, isTrimmed: false };
    return encodeCall(answer, [entry.headerBytes, entry.payload]);
  }

  /** As the catalog places them; of the catalog itself, and of what it does not know yet, every peer counts, and every
   *  member: one that is no peer was not asked. */
  #otherReplicas(groupId: number): readonly string[] {
    const { host, nodeId, world } = this.#parts;
    const everybody = [...world.peers.list, ...host.members].map(({ id }) => id);
    return (host.catalog.replicasOf(groupId) ?? everybody).filter((id) => id !== nodeId);
  }

  /** While the catalog waits for an entry it is not open, and members that were added are dialed by its word alone: it
   *  would wait for ever for one that only they have. They are up at a later attempt. */
  #meetMembers(): void {
    const { host, world } = this.#parts;
    for (const { id, peerAddress } of host.members) if (peerAddress !== undefined) world.peers.learn(id, peerAddress);
  }
}
