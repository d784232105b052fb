/**
 * The flush frame: the local header in front of the entries of one flush. It is the evidence by which recovery tells a
 * torn end from damage: frame n+1 is written only after the flush of frame n returned, so a sound frame n+1 proves
 * every byte before it. An empty frame (no entries) proves the end of an idle log. 96 bytes, little-endian:
 *
 *   byte  0  u32  CRC-32C over bytes 4..95, seeded with disk UUID and segment id: a frame of another disk or segment,
 *                 left over in recycled blocks, does not check
 *         4  u32  magic, above every legal payload length, so that entry and frame are told apart at this word
 *         8  u64  segment id
 *        16  u64  frame sequence in this segment, from 1; a frame that does not continue it is no evidence
 *        24  u64  position of this frame in the file: a block copied elsewhere is refused
 *        32  u64  proven position: everything before it in this segment was flushed when this was written
 *        40  u64  commit hint: a lower bound of the commit index, never above the last entry of this frame
 *        48  u32  body bytes: the entries that follow
 *        52  u32  entry count
 *        56  40B  log point before the first entry (log-point.ts): recovery goes on from here behind damage, knowing
 *                 index, term, offset, time and chain
 */
import { crc32c } from './checksum.ts';
import { fromHex, getU64, putU64 } from './fields.ts';
import { getPoint, type LogPoint, putPoint } from './log-point.ts';
import type { ByteCount, LogIndex } from './types.ts';

export const FRAME_HEADER_BYTES = 96;
/** 'LDF' and 0xf1 in the top byte: larger than 2^31. */
export const FRAME_MAGIC = 0xf146_444c;

export interface FrameHeader {
  readonly segmentId: number;
  readonly sequence: number;
  readonly position: ByteCount;
  readonly provenPosition: ByteCount;
  readonly commitHint: LogIndex;
  readonly bodyBytes: ByteCount;
  readonly entryCount: number;
  /** The log just before the first entry of this frame. */
  readonly before: LogPoint;
}

/** The seed of all frame checksums of one segment on one disk. */
export function frameSeed(diskUuid: string, segmentId: number): number {
  const bytes = new Uint8Array(24);
  bytes.set(fromHex(diskUuid, 16), 0);
  putU64(new DataView(bytes.buffer), 16, segmentId);
  return crc32c(bytes);
}

export function encodeFrameHeader(frame: FrameHeader, seed: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, FRAME_MAGIC, true);
  putU64(view, 8, frame.segmentId);
  putU64(view, 16, frame.sequence);
  putU64(view, 24, frame.position);
  putU64(view, 32, frame.provenPosition);
  putU64(view, 40, frame.commitHint);
  view.setUint32(48, frame.bodyBytes, true);
  view.setUint32(52, frame.entryCount, true);
  putPoint(view, 56, frame.before);
  view.setUint32(0, crc32c(bytes.subarray(4), seed), true);
  return bytes;
}

/** The frame header at `at`, checked against its own position in the file; undefined when there is none. */
export function parseFrameHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  expect: { readonly seed: number; readonly segmentId: number; readonly position: ByteCount },
): FrameHeader | undefined {
  if (at + FRAME_HEADER_BYTES > bytes.length || view.getUint32(at + 4, true) !== FRAME_MAGIC) return undefined;
  if (crc32c(bytes.subarray(at + 4, at + FRAME_HEADER_BYTES), expect.seed) !== view.getUint32(at, true))
    return undefined;
  const segmentId = getU64(view, at + 8);
  const sequence = getU64(view, at + 16);
  const position = getU64(view, at + 24);
  const provenPosition = getU64(view, at + 32);
  const commitHint = getU64(view, at + 40);
  const before = getPoint(view, at + 56);
  if (segmentId !== expect.segmentId || position !== expect.position) return undefined;
  if (sequence === undefined || provenPosition === undefined || commitHint === undefined) return undefined;
  if (before === undefined || provenPosition > position) return undefined;
  return {
    segmentId,
    sequence,
    position,
    provenPosition,
    commitHint,
    bodyBytes: view.getUint32(at + 48, true),
    entryCount: view.getUint32(at + 52, true),
    before,
  };
}
