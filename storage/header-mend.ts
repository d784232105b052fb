/**
 * The header of a segment file that lies there already: whether it is sound, and how it is written anew. Everything in
 * it is known from the manifest, so it is derived data; recovery and the scrub mend it.
 */
import type { File } from './disk.ts';
import { isUnreadable } from './errors.ts';
import type { LogContext } from './log-context.ts';
import type { LogPoint } from './log-point.ts';
import {
  assertOwn,
  decodeSegmentHeader,
  encodeSegmentHeader,
  isInPlace,
  SEGMENT_HEADER_BYTES,
} from './segment-header.ts';

/** What the manifest says of a segment's header. */
export interface KnownHeader {
  readonly path: string;
  readonly segmentId: number;
  readonly before: LogPoint;
}

/** Whether the header is sound and in its place. @throws StorageError FOREIGN for a segment of another log. */
export async function hasOwnHeader(
  context: LogContext,
  file: Pick<File, 'read'>,
  { path, segmentId, before }: KnownHeader,
): Promise<boolean> {
  const header = decodeSegmentHeader(await readHeader(file), path);
  if (header === undefined) return false;
  assertOwn(header, context.own, path);
  return isInPlace(header, segmentId, before);
}

/** The header's bytes; none when the medium cannot give them back, which is as bad as giving wrong ones. */
async function readHeader(file: Pick<File, 'read'>): Promise<Uint8Array> {
  const block = new Uint8Array(SEGMENT_HEADER_BYTES);
  try {
    return block.subarray(0, await file.read(0, block));
  } catch (error) {
    if (isUnreadable(error)) return block.subarray(0, 0);
    throw error;
  }
}

/** Durable when it resolves. */
export async function writeHeader(
  context: LogContext,
  { path, segmentId, before }: KnownHeader,
  mode: 'write' | 'create' = 'write',
): Promise<void> {
  const file = await context.disk.open(path, mode);
  try {
    await file.write(0, [encodeSegmentHeader({ ...context.own, segmentId, before })]);
    await file.flush();
  } finally {
    await file.close();
  }
}
