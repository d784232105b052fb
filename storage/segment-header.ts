/**
 * The header of a segment file: which log, of which cluster, on which disk, and where the log stands before its first
 * entry. It fills the first 4 KiB block by itself, so that no append ever rewrites the page it lies in.
 *
 *   an envelope 'LDSEGMT ' (envelope.ts), body:
 *     text  cluster id          } a file of another cluster, log, node or disk is FOREIGN (F51)
 *     u32   group id            }
 *     16B   disk UUID           }
 *     u64   segment id          never reused; the file's identity (W16)
 *     40B   log point before the first entry: first index - 1, its term, first offset, time and chain
 *     text  chain algorithm
 *   then zeros up to byte 4096, where the first frame begins.
 */
import { CHAIN_ALGORITHM } from './chain.ts';
import { PAGE_BYTES } from './disk.ts';
import { decodeEnvelope, type EnvelopeKind, encodeEnvelope } from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter, fromHex, toHex } from './fields.ts';
import { type LogPoint, readPoint, samePoint, writePoint } from './log-point.ts';
import type { GroupId } from './types.ts';

/** Where the first frame begins. */
export const SEGMENT_HEADER_BYTES: number = PAGE_BYTES;

const KIND: EnvelopeKind = { magic: 'LDSEGMT ', version: 1, bodyBytesMax: 1024 };

/** Whose a log is. */
export interface LogIdentity {
  readonly clusterId: string;
  readonly groupId: GroupId;
  /** 32 hex digits. */
  readonly diskUuid: string;
}

export interface SegmentHeader extends LogIdentity {
  readonly segmentId: number;
  readonly before: LogPoint;
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const body = new FieldWriter().text(header.clusterId).u32(header.groupId).bytes(fromHex(header.diskUuid, 16));
  body.u64(header.segmentId);
  writePoint(body, header.before);
  body.text(CHAIN_ALGORITHM);
  const block = new Uint8Array(SEGMENT_HEADER_BYTES);
  block.set(encodeEnvelope(KIND, body.finish()));
  return block;
}

/** The header in the first block of a file, or undefined when it fails its check. */
export function decodeSegmentHeader(block: Uint8Array, file: string): SegmentHeader | undefined {
  const body = decodeEnvelope(KIND, block, file);
  if (body === undefined) return undefined;
  const fields = new FieldReader(body);
  const header: SegmentHeader = {
    clusterId: fields.text(),
    groupId: fields.u32(),
    diskUuid: toHex(fields.bytes(16)),
    segmentId: fields.u64(),
    before: readPoint(fields),
  };
  const algorithm = fields.text();
  if (algorithm !== CHAIN_ALGORITHM) throw new StorageError('UNSUPPORTED', `chain algorithm ${algorithm}`, { file });
  return header;
}

/** Throws FOREIGN when a sound header is of another cluster, log or disk: somebody put that file there. */
export function assertOwn(header: SegmentHeader, own: LogIdentity, file: string): void {
  const differences = [
    header.clusterId === own.clusterId ? '' : `cluster ${header.clusterId} instead of ${own.clusterId}`,
    header.groupId === own.groupId ? '' : `group ${header.groupId} instead of ${own.groupId}`,
    header.diskUuid === own.diskUuid ? '' : `disk ${header.diskUuid} instead of ${own.diskUuid}`,
  ].filter((difference) => difference !== '');
  if (differences.length > 0) {
    throw new StorageError('FOREIGN', `this segment belongs elsewhere: ${differences.join(', ')}`, { file });
  }
}

/** Whether a header of this log is the one of that place; another one came there by a misdirected write (F48). */
export function isInPlace(header: SegmentHeader, segmentId: number, before: LogPoint): boolean {
  return header.segmentId === segmentId && samePoint(header.before, before);
}
