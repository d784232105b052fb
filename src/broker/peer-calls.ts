/**
 * Bodies of the questions brokers ask each other: a JSON head and raw bytes behind it.
 *
 *   u32 length of the head   head (UTF-8 JSON)   bytes ...
 *
 * Peers are trusted (they proved cluster, node and disk at the handshake, and their frames carry a checksum), so heads
 * are checked for shape where a wrong one could do harm, and not field by field.
 */
import { type EntryId, MalformedBytes } from '../partition/index.ts';
import type { ReadLevel, StartAt, WantedLevel } from './verbs.ts';

export interface AppendCall {
  readonly groupId: number;
  readonly producer: { readonly id: string; readonly epoch: number; readonly sequence: number } | undefined;
}

/** The answer of a leader to an append, when it was appended. Refusals travel as errors. */
export interface AppendAnswer {
  readonly baseOffset: number | undefined;
  readonly appendTimeMs: number;
  readonly term: number;
  readonly isDuplicate: boolean;
}

export interface ReadCall extends WantedLevel {
  readonly topicId: number;
  readonly partition: number;
  readonly start: StartAt;
  readonly bytesMax: number;
  readonly waitMs: number;
}

/** Everything of a ReadResult but its batches, which follow as bytes. */
export interface ReadAnswer {
  readonly topicId: number;
  readonly fromOffset: number;
  readonly nextOffset: number;
  readonly compacted: boolean;
  readonly earliest: number;
  readonly tail: number;
  readonly level: ReadLevel;
  readonly node: string;
  readonly appliedOffset: number;
  readonly term: number;
}

export interface GroupCall {
  readonly groupId: number;
}

/** Asks the leader for the index that a linearizable read asked for now needs (R7). */
export interface ReadIndexCall extends GroupCall {
  /** A lease of the leader's is good enough. */
  readonly mayLease: boolean;
}

export interface ReadIndexAnswer {
  readonly index: number;
  /** In which it leads. */
  readonly term: number;
  readonly level: 'linearizable' | 'lease';
  /** Of the leader, as of this answer. */
  readonly earliest: number;
  readonly tail: number;
}

export interface TransferCall extends GroupCall {
  readonly to: string;
}

export interface TrimCall extends GroupCall {
  readonly before: number;
}

export interface SnapshotAnswer {
  readonly index: number;
  readonly nextOffset: number;
}

export interface FetchEntryCall extends GroupCall {
  readonly index: number;
  /** An entry of the asking node's log: see WantedEntry. */
  readonly witness: { readonly index: number; readonly term: number };
}

/** The entry follows as bytes; none when it cannot be supplied. */
export interface FetchEntryAnswer {
  readonly isCommitted: boolean;
  /** The log of the answering node is open: what it does not supply it does not have. */
  readonly isFinal: boolean;
  /** It is committed, and not stored any more. */
  readonly isTrimmed: boolean;
  /** Without an entry: ids of nodes that are members no more, so that nobody waits for their answer. Absent: none. */
  readonly gone?: readonly string[];
  /** Without an entry: the last one known committed there. Absent: that log is not open. */
  readonly committed?: EntryId;
}

/** Of a replica that lost what it may have promised, to its leader: put this marker into the log. */
export interface RejoinCall extends GroupCall {
  readonly marker: string;
}

export interface RejoinAnswer {
  /** Of the entry that names the marker. */
  readonly index: number;
}

/** Of a leader to a follower: your log ends before what you had acked to me. */
export interface LostAcksCall extends GroupCall {
  readonly term: number;
}

/** What a node tells of itself: the groups it leads. The answer is the same of the other node. */
export interface StatusCall {
  readonly leads: readonly { readonly groupId: number; readonly term: number }[];
  /** False while the node wants no leadership: it drains, or its disk is full. */
  readonly mayLead: boolean;
  /** Groups whose offsets are asked for. */
  readonly groups: readonly number[];
  /** `leads` holds what is new and not all there is; the answer need not name any. */
  readonly isNews?: boolean;
  /** Members that were added since the cluster was founded, as the teller's catalog has them. Absent: not told. */
  readonly added?: readonly NodeAddress[] | undefined;
}

export interface NodeAddress {
  readonly id: string;
  /** host:port. */
  readonly peerAddress: string;
}

export interface StatusAnswer {
  readonly leads: StatusCall['leads'];
  readonly mayLead: boolean;
  readonly added?: readonly NodeAddress[] | undefined;
  readonly groups: readonly {
    readonly groupId: number;
    readonly earliest: number;
    readonly tail: number;
    readonly isDamaged: boolean;
    /** Below it the replica asked is compacted. */
    readonly cleanOffset: number;
  }[];
}

const LENGTH_BYTES = 4;

export function encodeCall(head: object, bytes: readonly Uint8Array[] = []): Uint8Array[] {
  const text = Buffer.from(JSON.stringify(head), 'utf8');
  const length = Buffer.allocUnsafe(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return [length, text, ...bytes];
}

/** @throws MalformedBytes when there is no head. */
export function decodeCall<T extends object>(body: Uint8Array): { readonly head: T; readonly bytes: Uint8Array } {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const end = body.length < LENGTH_BYTES ? Number.POSITIVE_INFINITY : LENGTH_BYTES + view.getUint32(0);
  if (end > body.length) throw new MalformedBytes('a call between nodes is cut short');
  const head: unknown = JSON.parse(Buffer.from(body.subarray(LENGTH_BYTES, end)).toString('utf8'));
  if (typeof head !== 'object' || head === null) throw new MalformedBytes('the head of a call is no object');
  return { head: head as T, bytes: body.subarray(end) };
}
