/**
 * Raft messages as bytes between nodes. Who sent them is known from the link, which checked it once (R22), so `from`
 * and `to` are not repeated in each message. Integers are big-endian; u53 is a safe integer in 8 bytes.
 *
 *   every message    u8 kind   u53 term   then by kind:
 *   1 pre-vote       u53 last.term   u53 last.index
 *   2 pre-vote-reply u8 granted
 *   3 vote           u53 last.term   u53 last.index   u8 isTransfer
 *   4 vote-reply     u8 granted
 *   5 heartbeat      u53 commit   u53 round   u8 0: plain, 1: mayRest, 2: isNotice
 *   6 heartbeat-reply u53 round   u32 promiseMs   u8 isResting   u8 isRejoining
 *   7 append         u53 previous.term   u53 previous.index   u8 hasChain   u32 x 2 chain up to previous (when it has)
 *                    u53 commit   entries ...
 *   8 append-reply   u8 accepted   u53 index   u53 hint.term   u53 hint.index   u53 lastIndex
 *                    u8 isRejoining
 *   9 snapshot       u53 term, u53 index of the state   u53 commit   text membership (JSON)   u53 nextOffset
 *                    u53 appendTimeMs   u32 x 2 chain   u32 CRC-32C of the state   blob state
 *  10 snapshot-reply u53 index   u8 isRejoining
 *  11 timeout-now
 *
 * Entries in an append are exactly the bytes that lie on disk, header and payload, back to back: each carries its own
 * checksums and is verified here before the core hears of it (W24, F23).
 */

import {
  type ChainSum,
  crc32c,
  decodeEntries,
  entryBytes,
  type LogEntry,
  type Snapshot,
  StorageError,
} from '../../storage/index.ts';
import type { Membership, Message, NodeId } from '../raft/index.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
import { decodeMembershipEntry } from './control.ts';
import { parseMembershipText } from './membership.ts';

/** A message together with the bytes that came beside it. */
export interface PeerMessage {
  readonly message: Message;
  /** With 'append': the entries, verified. Empty otherwise. */
  readonly entries: readonly LogEntry[];
  /** With 'append': the sender's chain up to message.previous. Always there with entries; a mere check may lack it. */
  readonly previousChain: ChainSum | undefined;
  /** With 'snapshot': the state itself. */
  readonly snapshot: Snapshot | undefined;
}

const KINDS = [
  'pre-vote',
  'pre-vote-reply',
  'vote',
  'vote-reply',
  'heartbeat',
  'heartbeat-reply',
  'append',
  'append-reply',
  'snapshot',
  'snapshot-reply',
  'timeout-now',
] as const satisfies readonly Message['kind'][];

/** Forms of a heartbeat. */
const MAY_REST = 1;
const IS_NOTICE = 2;

/** How many times its own size a kept part of a frame may pin. */
const PINNED_SHARE = 4;

export interface MessageExtras {
  readonly entries?: readonly LogEntry[];
  readonly previousChain?: ChainSum;
  readonly snapshot?: Snapshot;
}

/** Chunks of one message; entry bytes are referenced, not copied. */
export function encodePeerMessage(message: Message, extras: MessageExtras = {}): Uint8Array[] {
  const writer = new ByteWriter(96);
  writer.u8(KINDS.indexOf(message.kind) + 1);
  writer.u53(message.term);
  const chunks: Uint8Array[] = [];
  switch (message.kind) {
    case 'pre-vote':
      writeId(writer, message.last);
      break;
    case 'vote':
      writeId(writer, message.last);
      writer.u8(message.isTransfer ? 1 : 0);
      break;
    case 'pre-vote-reply':
    case 'vote-reply':
      writer.u8(message.granted ? 1 : 0);
      break;
    case 'heartbeat':
      writer.u53(message.commit);
      writer.u53(message.round);
      writer.u8(message.mayRest === true ? MAY_REST : message.isNotice === true ? IS_NOTICE : 0);
      break;
    case 'heartbeat-reply':
      writer.u53(message.round);
      writer.u32(message.promiseMs ?? 0);
      writer.u8(message.isResting === true ? 1 : 0);
      writer.u8(message.isRejoining === true ? 1 : 0);
      break;
    case 'append':
      writeId(writer, message.previous);
      writer.u8(extras.previousChain === undefined ? 0 : 1);
      if (extras.previousChain !== undefined) writeChain(writer, extras.previousChain);
      writer.u53(message.commit);
      for (const entry of extras.entries ?? []) chunks.push(entry.headerBytes, entry.payload);
      break;
    case 'append-reply':
      writer.u8(message.accepted ? 1 : 0);
      writer.u53(message.index);
      writeId(writer, message.hint);
      writer.u53(message.lastIndex);
      writer.u8(message.isRejoining === true ? 1 : 0);
      break;
    case 'snapshot':
      writeSnapshot(
        writer,
        message.snapshot,
        message.commit,
        message.membership,
        required(extras.snapshot, 'snapshot'),
      );
      break;
    case 'snapshot-reply':
      writer.u53(message.index);
      writer.u8(message.isRejoining === true ? 1 : 0);
      break;
    case 'timeout-now':
      break;
    default:
      message satisfies never;
  }
  return [writer.finish(), ...chunks];
}

/**
 * @throws MalformedBytes, or StorageError when an entry fails its checksum. The sender's link is not to be trusted
 * then.
 */
export function decodePeerMessage(bytes: Uint8Array, from: NodeId, to: NodeId): PeerMessage {
  const reader = new ByteReader(bytes);
  const kind = KINDS[reader.u8() - 1];
  const term = reader.u53();
  const envelope = { from, to, term };
  switch (kind) {
    case 'pre-vote':
      return plain(reader, { kind, ...envelope, last: readId(reader) });
    case 'vote':
      return plain(reader, { kind, ...envelope, last: readId(reader), isTransfer: reader.u8() === 1 });
    case 'pre-vote-reply':
    case 'vote-reply':
      return plain(reader, { kind, ...envelope, granted: reader.u8() === 1 });
    case 'heartbeat':
      return plain(reader, {
        kind,
        ...envelope,
        commit: reader.u53(),
        round: reader.u53(),
        ...heartbeatMark(reader.u8()),
      });
    case 'heartbeat-reply':
      return plain(reader, {
        kind,
        ...envelope,
        round: reader.u53(),
        ...promiseOf(reader.u32()),
        ...(reader.u8() === 1 ? { isResting: true } : {}),
        ...readMark(reader),
      });
    case 'append':
      return decodeAppend(reader, envelope);
    case 'append-reply':
      return plain(reader, {
        kind,
        ...envelope,
        accepted: reader.u8() === 1,
        index: reader.u53(),
        hint: readId(reader),
        lastIndex: reader.u53(),
        ...readMark(reader),
      });
    case 'snapshot':
      return decodeSnapshot(reader, envelope);
    case 'snapshot-reply':
      return plain(reader, { kind, ...envelope, index: reader.u53(), ...readMark(reader) });
    case 'timeout-now':
      return plain(reader, { kind, ...envelope });
    case undefined:
      throw new MalformedBytes('unknown kind of peer message');
    default:
      return kind satisfies never;
  }
}

/** An unknown form reads as a plain heartbeat, which is always safe to answer. */
function heartbeatMark(form: number): { readonly mayRest?: true; readonly isNotice?: true } {
  if (form === MAY_REST) return { mayRest: true };
  return form === IS_NOTICE ? { isNotice: true } : {};
}

function promiseOf(promiseMs: number): { readonly promiseMs?: number } {
  return promiseMs === 0 ? {} : { promiseMs };
}

type Envelope = { readonly from: NodeId; readonly to: NodeId; readonly term: number };

function plain(reader: ByteReader, message: Message): PeerMessage {
  reader.expectEnd();
  return { message, entries: [], previousChain: undefined, snapshot: undefined };
}

function decodeAppend(reader: ByteReader, envelope: Envelope): PeerMessage {
  const previous = readId(reader);
  const previousChain = reader.u8() === 1 ? readChain(reader) : undefined;
  const commit = reader.u53();
  const rest = reader.rest();
  const entries = rest.length === 0 ? [] : decodeEntries(keepable(rest), previousChain);
  const first = entries[0];
  if (first !== undefined && previousChain === undefined)
    throw new MalformedBytes('entries without the chain before them');
  if (first !== undefined && first.header.index !== previous.index + 1) {
    throw new MalformedBytes(`entries begin at ${first.header.index}, not at ${previous.index + 1}`);
  }
  const metas = entries.map((entry) => ({
    term: entry.header.term,
    index: entry.header.index,
    bytes: entryBytes(entry),
    membership: entry.header.kind === 'membership' ? decodeMembershipEntry(entry.payload).membership : undefined,
  }));
  const message: Message = { kind: 'append', ...envelope, previous, commit, entries: metas };
  return { message, entries, previousChain, snapshot: undefined };
}

/** Entries and state outlive their message, in the log and its cache: a small part of a large frame is copied out of it
 *  rather than keep the whole frame in memory (N8). */
function keepable(bytes: Uint8Array): Uint8Array {
  return bytes.length * PINNED_SHARE < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes;
}

function writeSnapshot(
  writer: ByteWriter,
  id: { readonly term: number; readonly index: number },
  commit: number,
  membership: Membership,
  snapshot: Snapshot,
): void {
  writeId(writer, id);
  writer.u53(commit);
  writer.text(JSON.stringify(membership));
  writer.u53(snapshot.nextOffset);
  writer.u53(snapshot.appendTimeMs);
  writeChain(writer, snapshot.chain);
  writer.u32(crc32c(snapshot.state));
  writer.blob(snapshot.state);
}

function decodeSnapshot(reader: ByteReader, envelope: Envelope): PeerMessage {
  const id = readId(reader);
  const commit = reader.u53();
  const membership = parseMembershipText(reader.text());
  const nextOffset = reader.u53();
  const appendTimeMs = reader.u53();
  const chain = readChain(reader);
  const checksum = reader.u32();
  const state = keepable(reader.blob());
  reader.expectEnd();
  if (crc32c(state) !== checksum) throw new StorageError('CORRUPT', 'a snapshot from a peer fails its checksum');
  const message: Message = { kind: 'snapshot', ...envelope, snapshot: id, membership, commit };
  return {
    message,
    entries: [],
    previousChain: undefined,
    snapshot: { index: id.index, term: id.term, nextOffset, appendTimeMs, chain, state },
  };
}

function writeId(writer: ByteWriter, id: { readonly term: number; readonly index: number }): void {
  writer.u53(id.term);
  writer.u53(id.index);
}

function readId(reader: ByteReader): { term: number; index: number } {
  return { term: reader.u53(), index: reader.u53() };
}

function readMark(reader: ByteReader): { readonly isRejoining?: true } {
  return reader.u8() === 1 ? { isRejoining: true } : {};
}

function writeChain(writer: ByteWriter, chain: ChainSum): void {
  writer.u32(chain.high);
  writer.u32(chain.low);
}

function readChain(reader: ByteReader): ChainSum {
  return { high: reader.u32(), low: reader.u32() };
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`a message of this kind needs ${name}`);
  return value;
}
