/**
 * An entry that lost records to compaction. Its header stays, byte for byte, so that the entry still proves which one
 * it is: index, term, offsets, append time, producer, the checksum of the payload it had, and the chain. What applying
 * a batch reads is its header alone, so that a replica which replays compacted entries comes to the same state as one
 * that saw them whole. In front of the header stands a prefix of 24 bytes, little-endian:
 *
 *   byte  0  u32  CRC-32C over bytes 4..119: the rest of the prefix and the header. The header's own CRC cannot be
 *                 checked any more: it covers 21 bytes of the payload that was
 *         4  u32  magic, above every legal payload length and other than a frame's: what lies here is told by this word
 *         8  u32  bytes of the payload that is left; 0 when no record is
 *        12  u32  CRC-32C of all of it
 *        16  u8   version, 1
 *        17  7B   reserved, 0
 *        24  96B  the header as it was appended
 *       120       what is left: a batch with the same base offset and last offset delta, fewer records, a CRC of
 *                 its own
 *
 * Such an entry travels to followers as it lies on the disk.
 */
import assert from 'node:assert/strict';
import { crc32c } from './checksum.ts';
import type { CompactedPayload, LogEntry } from './types.ts';

export const COMPACTED_PREFIX_BYTES = 24;
/** 'LDC' and 0xf2 in the top byte: larger than 2^31. */
const COMPACTED_MAGIC = 0xf243_444c;
const VERSION = 1;

export function isCompactedAt(view: DataView, at: number): boolean {
  return view.getUint32(at + 4, true) === COMPACTED_MAGIC;
}

/** The prefix at `at`, checked together with the `headerBytes` behind it; all of it is at hand. */
export function parseCompactedPrefix(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  headerBytes: number,
): CompactedPayload | 'corrupt' | 'unsupported' {
  const end = at + COMPACTED_PREFIX_BYTES + headerBytes;
  if (crc32c(bytes.subarray(at + 4, end)) !== view.getUint32(at, true)) return 'corrupt';
  const reserved = bytes.subarray(at + 17, at + COMPACTED_PREFIX_BYTES);
  if (bytes[at + 16] !== VERSION || reserved.some((byte) => byte !== 0)) return 'unsupported';
  return { payloadBytes: view.getUint32(at + 8, true), payloadChecksum: view.getUint32(at + 12, true) };
}

/**
 * The entry with `payload` in place of what it has. The header it was appended with goes along unchanged.
 * @param payload Frozen from here on.
 */
export function compactEntry(entry: LogEntry, payload: Uint8Array): LogEntry {
  const { kind, payloadBytes } = entry.header;
  assert(kind === 'batch' && payload.length < payloadBytes, `${payload.length} bytes left of a ${kind}`);
  const prefixed = entry.header.compacted === undefined ? 0 : COMPACTED_PREFIX_BYTES;
  const appended = entry.headerBytes.subarray(prefixed);
  const headerBytes = new Uint8Array(COMPACTED_PREFIX_BYTES + appended.length);
  const view = new DataView(headerBytes.buffer);
  const payloadChecksum = crc32c(payload);
  view.setUint32(4, COMPACTED_MAGIC, true);
  view.setUint32(8, payload.length, true);
  view.setUint32(12, payloadChecksum, true);
  view.setUint8(16, VERSION);
  headerBytes.set(appended, COMPACTED_PREFIX_BYTES);
  view.setUint32(0, crc32c(headerBytes.subarray(4)), true);
  const compacted = { payloadBytes: payload.length, payloadChecksum };
  return { header: { ...entry.header, compacted }, headerBytes, payload };
}
