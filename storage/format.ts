/**
 * The entry: the unit of the log, identical on every replica and inside AppendEntries. Pure encode and decode; frames,
 * segments and files are elsewhere. Little-endian, 96 bytes of header, then the payload.
 *
 *   byte  0  u32  header CRC-32C over bytes 4..95, and for a batch also over payload bytes 0..20, which the batch's
 *                 own CRC leaves out: one pass over each byte, and a damaged length is never believed (W6)
 *         4  u32  payload bytes; at most 2^31 - 1, so that a frame's magic never reads as a length
 *         8  u8   entry version, 1
 *         9  u8   kind: 1 batch, 2 no-op, 3 membership, 4 control
 *        10  u8   flags, 0
 *        11  u8   1 when the producer tuple is present, else 0 and the tuple is all zero
 *        12  u32  payload checksum: CRC-32C of the payload; of a batch: the batch's own CRC, which is big-endian at
 *                 payload bytes 17..20 and covers payload bytes 21..
 *        16  u64  index
 *        24  u64  term
 *        32  u64  base offset: of the first record, or of the next one when there is none
 *        40  u64  append time, ms
 *        48  u32  record count
 *        52  u32  group id: an entry that was misdirected into another log is refused
 *        56  16B  producer id
 *        72  u32  producer epoch
 *        76  u32  reserved, 0
 *        80  u64  producer sequence
 *        88  u32  chain, high half   } over the previous chain and bytes 4..87, and so over the payload checksum;
 *        92  u32  chain, low half    } not over itself and the header CRC
 *
 * 64-bit fields hold safe integers; anything above is refused. An entry that lost records to compaction has a prefix in
 * front of the same header, and other bytes behind it: compacted-entry.ts.
 */
import assert from 'node:assert/strict';
import { chainAfter, sameChain } from './chain.ts';
import { crc32c } from './checksum.ts';
import { COMPACTED_PREFIX_BYTES, isCompactedAt, parseCompactedPrefix } from './compacted-entry.ts';
import { StorageError } from './errors.ts';
import { fromHex, getU64, putU64, toHex } from './fields.ts';
import type {
  ChainSum,
  EntryHeader,
  EntryKind,
  GroupId,
  LogEntry,
  LogIndex,
  Ms,
  Offset,
  ProducerTuple,
  Term,
} from './types.ts';

export const ENTRY_HEADER_BYTES = 96;
/** Bytes of a batch that its own CRC leaves out and the header CRC takes over. */
export const BATCH_UNCHECKED_BYTES = 21;
const BATCH_PROBE_BYTES = ENTRY_HEADER_BYTES + BATCH_UNCHECKED_BYTES;
/** The most that must be at hand to check any entry's header. */
export const ENTRY_PROBE_BYTES: number = ENTRY_HEADER_BYTES + Math.max(BATCH_UNCHECKED_BYTES, COMPACTED_PREFIX_BYTES);
/** Far above every limit upstairs; bounds what a reader allocates for one entry. */
export const ENTRY_PAYLOAD_BYTES_MAX: number = 256 * 1024 * 1024;

const ENTRY_VERSION = 1;
const KINDS: readonly (EntryKind | undefined)[] = [undefined, 'batch', 'no-op', 'membership', 'control'];
const BATCH_CODE = 1;
const CHAIN_START = 4;
const CHAIN_END = 88;
const BATCH_CRC_AT = 17;

/** What the caller decides about a new entry; the codec adds checksums, chain and sizes. */
export interface NewEntry {
  readonly kind: EntryKind;
  readonly groupId: GroupId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly baseOffset: Offset;
  /** Records in the payload; 0 unless kind is 'batch'. */
  readonly recordCount: number;
  readonly appendTimeMs: Ms;
  readonly producer: ProducerTuple | undefined;
  /** Frozen from here on: referred to, not copied. */
  readonly payload: Uint8Array;
}

/** Why bytes are not an entry header. 'short': they end too early to tell. */
export type HeaderFault = 'short' | 'corrupt' | 'unsupported';

// One scratch for header and the batch bytes its CRC covers: encoding is synchronous and never re-entered.
const scratch = new Uint8Array(BATCH_PROBE_BYTES);
const scratchView = new DataView(scratch.buffer);

/** Encodes an entry. The payload of a batch already carries its CRC, checked where the batch came in. */
export function encodeEntry(entry: NewEntry, previousChain: ChainSum): LogEntry {
  const { payload, producer } = entry;
  const kindCode = KINDS.indexOf(entry.kind);
  const isBatch = kindCode === BATCH_CODE;
  if (payload.length > ENTRY_PAYLOAD_BYTES_MAX) assert.fail(`payload of ${payload.length} bytes`);
  if (isBatch && payload.length < BATCH_UNCHECKED_BYTES)
    assert.fail(`a batch of ${payload.length} bytes has no header`);
  if (isBatch !== entry.recordCount > 0) assert.fail(`${entry.kind} of ${entry.recordCount} records`);
  const payloadChecksum = isBatch ? batchChecksum(payload, 0) : crc32c(payload);
  scratch.fill(0);
  const view = scratchView;
  view.setUint32(4, payload.length, true);
  view.setUint8(8, ENTRY_VERSION);
  view.setUint8(9, kindCode);
  view.setUint32(12, payloadChecksum, true);
  putU64(view, 16, entry.index);
  putU64(view, 24, entry.term);
  putU64(view, 32, entry.baseOffset);
  putU64(view, 40, entry.appendTimeMs);
  view.setUint32(48, entry.recordCount, true);
  view.setUint32(52, entry.groupId, true);
  if (producer !== undefined) {
    view.setUint8(11, 1);
    scratch.set(fromHex(producer.id, 16), 56);
    view.setUint32(72, producer.epoch, true);
    putU64(view, 80, producer.sequence);
  }
  const chain = chainAfter(previousChain, scratch, CHAIN_START, CHAIN_END);
  view.setUint32(88, chain.high, true);
  view.setUint32(92, chain.low, true);
  if (isBatch) scratch.set(payload.subarray(0, BATCH_UNCHECKED_BYTES), ENTRY_HEADER_BYTES);
  view.setUint32(0, crc32c(scratch.subarray(4, isBatch ? BATCH_PROBE_BYTES : ENTRY_HEADER_BYTES)), true);
  const header: EntryHeader = {
    kind: entry.kind,
    flags: 0,
    groupId: entry.groupId,
    index: entry.index,
    term: entry.term,
    baseOffset: entry.baseOffset,
    recordCount: entry.recordCount,
    appendTimeMs: entry.appendTimeMs,
    producer,
    payloadBytes: payload.length,
    payloadChecksum,
    chain,
    compacted: undefined,
  };
  return { header, headerBytes: scratch.slice(0, ENTRY_HEADER_BYTES), payload };
}

function batchChecksum(bytes: Uint8Array, payloadAt: number): number {
  const at = payloadAt + BATCH_CRC_AT;
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * The header at `at`, checked by its own CRC and the ranges of its fields; `end` is exclusive. For a batch the first 21
 * payload bytes must be at hand as well, else 'short'.
 */
export function parseEntryHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): EntryHeader | HeaderFault {
  if (at + ENTRY_HEADER_BYTES > end) return 'short';
  if (isCompactedAt(view, at)) return parseCompactedHeader(bytes, view, at, end);
  const payloadBytes = view.getUint32(at + 4, true);
  const kindCode = bytes[at + 9]!;
  const isBatch = kindCode === BATCH_CODE;
  if (isBatch && payloadBytes < BATCH_UNCHECKED_BYTES) return 'corrupt';
  const checkedEnd = at + (isBatch ? BATCH_PROBE_BYTES : ENTRY_HEADER_BYTES);
  if (checkedEnd > end) return 'short';
  if (crc32c(bytes.subarray(at + 4, checkedEnd)) !== view.getUint32(at, true)) return 'corrupt';
  const header = headerFields(bytes, view, at);
  if (typeof header === 'string') return header;
  if (isBatch && batchChecksum(bytes, at + ENTRY_HEADER_BYTES) !== header.payloadChecksum) return 'corrupt';
  return header;
}

/** As parseEntryHeader, of an entry whose prefix says that it was compacted: the prefix's CRC covers the header too. */
function parseCompactedHeader(bytes: Uint8Array, view: DataView, at: number, end: number): EntryHeader | HeaderFault {
  if (at + COMPACTED_PREFIX_BYTES + ENTRY_HEADER_BYTES > end) return 'short';
  const compacted = parseCompactedPrefix(bytes, view, at, ENTRY_HEADER_BYTES);
  if (typeof compacted === 'string') return compacted;
  const header = headerFields(bytes, view, at + COMPACTED_PREFIX_BYTES);
  if (typeof header === 'string') return header;
  // Only records can be superseded, and what is left of them is less than there was.
  if (header.kind !== 'batch' || compacted.payloadBytes >= header.payloadBytes) return 'corrupt';
  return { ...header, compacted };
}

/** The fields of a header whose bytes passed their check. */
function headerFields(bytes: Uint8Array, view: DataView, at: number): EntryHeader | 'corrupt' | 'unsupported' {
  const payloadBytes = view.getUint32(at + 4, true);
  const kind = KINDS[bytes[at + 9]!];
  const hasProducer = bytes[at + 11]!;
  if (bytes[at + 8] !== ENTRY_VERSION || kind === undefined || bytes[at + 10] !== 0 || hasProducer > 1) {
    return 'unsupported';
  }
  const index = getU64(view, at + 16);
  const term = getU64(view, at + 24);
  const baseOffset = getU64(view, at + 32);
  const appendTimeMs = getU64(view, at + 40);
  const sequence = getU64(view, at + 80);
  const payloadChecksum = view.getUint32(at + 12, true);
  if (index === undefined || term === undefined || baseOffset === undefined) return 'corrupt';
  if (appendTimeMs === undefined || sequence === undefined || payloadBytes > ENTRY_PAYLOAD_BYTES_MAX) return 'corrupt';
  return {
    kind,
    flags: 0,
    groupId: view.getUint32(at + 52, true),
    index,
    term,
    baseOffset,
    recordCount: view.getUint32(at + 48, true),
    appendTimeMs,
    producer:
      hasProducer === 0
        ? undefined
        : { id: toHex(bytes.subarray(at + 56, at + 72)), epoch: view.getUint32(at + 72, true), sequence },
    payloadBytes,
    payloadChecksum,
    chain: { high: view.getUint32(at + 88, true), low: view.getUint32(at + 92, true) },
    compacted: undefined,
  };
}

/** Whether the payload is the one its (checked) header names. */
export function isPayloadSound(header: EntryHeader, payload: Uint8Array): boolean {
  const { payloadBytes, payloadChecksum } = header.compacted ?? header;
  if (payload.length !== payloadBytes) return false;
  // A compacted payload has a checksum over all of it; that of a whole batch is the batch's own.
  const isWholeBatch = header.kind === 'batch' && header.compacted === undefined;
  return crc32c(isWholeBatch ? payload.subarray(BATCH_UNCHECKED_BYTES) : payload) === payloadChecksum;
}

/** Whether the header's chain follows from the chain before it. */
export function isChained(headerBytes: Uint8Array, header: EntryHeader, previousChain: ChainSum): boolean {
  // A compacted entry's header lies behind its prefix, unchanged: its chain is that of the entry as it was appended.
  const at = headerBytes.length - ENTRY_HEADER_BYTES;
  return sameChain(chainAfter(previousChain, headerBytes, at + CHAIN_START, at + CHAIN_END), header.chain);
}

/** Where the payload begins, from the entry's first byte on. */
export function payloadStart({ compacted }: EntryHeader): number {
  return compacted === undefined ? ENTRY_HEADER_BYTES : COMPACTED_PREFIX_BYTES + ENTRY_HEADER_BYTES;
}

/** Bytes the entry takes where it lies, header and payload. */
export function storedBytes(header: EntryHeader): number {
  return payloadStart(header) + (header.compacted ?? header).payloadBytes;
}

export function entryBytes(entry: LogEntry): number {
  return entry.headerBytes.length + entry.payload.length;
}

/** A sentence about why `next` cannot follow `previous`, or undefined when it can. */
export function whyNotNext(previous: EntryHeader, next: EntryHeader): string | undefined {
  if (next.groupId !== previous.groupId) return `group ${next.groupId} after group ${previous.groupId}`;
  if (next.index !== previous.index + 1) return `index ${next.index} after ${previous.index}`;
  if (next.term < previous.term) return `term ${next.term} after ${previous.term}`;
  const nextOffset = previous.baseOffset + previous.recordCount;
  if (next.baseOffset !== nextOffset) return `base offset ${next.baseOffset} instead of ${nextOffset}`;
  if (next.appendTimeMs < previous.appendTimeMs) {
    return `append time ${next.appendTimeMs} after ${previous.appendTimeMs}`;
  }
  return undefined;
}

/**
 * Decodes entries that lie back to back and fill `bytes`; slices, no copies. Checks every header CRC, payload CRC, the
 * order of index, term, offset and time, and the chain from `previousChain` on (undefined: from the first entry's own).
 * Throws CORRUPT, or UNSUPPORTED for an unknown kind, flag or version.
 */
export function decodeEntries(bytes: Uint8Array, previousChain: ChainSum | undefined): LogEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: LogEntry[] = [];
  let chain = previousChain;
  let at = 0;
  while (at < bytes.length) {
    const entry = decodeEntryAt(bytes, view, at, bytes.length);
    if (typeof entry === 'string') throw entryError(entry, at);
    const { header } = entry;
    if (chain !== undefined && !isChained(entry.headerBytes, header, chain))
      throw entryError('broken chain', at, header);
    const last = entries.at(-1);
    const disorder = last === undefined ? undefined : whyNotNext(last.header, header);
    if (disorder !== undefined) throw entryError(disorder, at, header);
    entries.push(entry);
    chain = header.chain;
    at += storedBytes(header);
  }
  return entries;
}

/** The whole entry at `at`, header and payload checked, or the reason why not. */
export function decodeEntryAt(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): LogEntry | HeaderFault | 'payload' {
  const header = parseEntryHeader(bytes, view, at, end);
  if (typeof header === 'string') return header;
  const payloadAt = at + payloadStart(header);
  const payloadEnd = at + storedBytes(header);
  if (payloadEnd > end) return 'short';
  const payload = bytes.subarray(payloadAt, payloadEnd);
  if (!isPayloadSound(header, payload)) return 'payload';
  return { header, headerBytes: bytes.subarray(at, payloadAt), payload };
}

const FAULT_TEXT: Readonly<Record<string, string>> = {
  short: 'an entry ends too early',
  corrupt: 'the header of an entry fails its check',
  unsupported: 'an entry of an unknown version, kind or flag',
  payload: 'the payload of an entry fails its checksum',
};

function entryError(fault: string, position: number, header?: EntryHeader): StorageError {
  const code = fault === 'unsupported' ? 'UNSUPPORTED' : 'CORRUPT';
  return new StorageError(code, FAULT_TEXT[fault] ?? fault, { position, index: header?.index });
}
