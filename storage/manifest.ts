/**
 * The manifest of a log: which segments make it up, where each of them ends, and which one is being written. It is the
 * one commit point of every change to that list: roll, suffix truncation, prefix trim and snapshot install all count
 * from the moment the new manifest is durable, and not a moment sooner. Replaced atomically, kept twice
 * (small-file.ts).
 *
 *   twin file 'LDMANIF ', body:
 *     text  cluster id
 *     u32   group id
 *     16B   disk UUID
 *     u64   generation: counts replacements
 *     u64   next segment id: no segment at or above it was ever listed
 *     u64   commit hint
 *     u32   sealed segments, then per segment a summary (footer.ts), oldest first
 *     u64   active segment id
 *     40B   log point before the active segment's first entry
 *
 * Invariants: each segment's `before` is the `last` of the one in front of it; segment ids are distinct and below
 * the next id.
 */
import { type Disk, joinPath } from './disk.ts';
import type { EnvelopeKind } from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter, fromHex, toHex } from './fields.ts';
import { readSummary, type SegmentSummary, writeSummary } from './footer.ts';
import { type LogPoint, readPoint, samePoint, writePoint } from './log-point.ts';
import type { LogIdentity } from './segment-header.ts';
import { decodeTwin, encodeTwin, readWhole, replaceFile } from './small-file.ts';
import { canPass } from './system-error.ts';
import type { LogIndex } from './types.ts';

export const MANIFEST_NAME = 'manifest';

const KIND: EnvelopeKind = { magic: 'LDMANIF ', version: 1, bodyBytesMax: 256 * 1024 * 1024 };

export interface Manifest extends LogIdentity {
  readonly generation: number;
  readonly nextSegmentId: number;
  /** A lower bound of the commit index, for the time when no frame carries a newer one. */
  readonly commitHint: LogIndex;
  readonly sealed: readonly SegmentSummary[];
  readonly active: { readonly segmentId: number; readonly before: LogPoint };
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const body = new FieldWriter().text(manifest.clusterId).u32(manifest.groupId).bytes(fromHex(manifest.diskUuid, 16));
  body.u64(manifest.generation).u64(manifest.nextSegmentId).u64(manifest.commitHint);
  body.u32(manifest.sealed.length);
  for (const summary of manifest.sealed) writeSummary(body, summary);
  body.u64(manifest.active.segmentId);
  writePoint(body, manifest.active.before);
  return encodeTwin(KIND, body.finish());
}

/** The manifest, and whether both copies were sound; undefined when neither was. */
export function decodeManifest(
  bytes: Uint8Array,
  file: string,
): { readonly manifest: Manifest; readonly isWhole: boolean } | undefined {
  const twin = decodeTwin(KIND, bytes, file);
  if (twin === undefined) return undefined;
  const fields = new FieldReader(twin.body);
  const manifest: Manifest = {
    clusterId: fields.text(),
    groupId: fields.u32(),
    diskUuid: toHex(fields.bytes(16)),
    generation: fields.u64(),
    nextSegmentId: fields.u64(),
    commitHint: fields.u64(),
    sealed: Array.from({ length: fields.u32() }, () => readSummary(fields)),
    active: { segmentId: fields.u64(), before: readPoint(fields) },
  };
  return { manifest, isWhole: twin.isWhole };
}

/** Reads and checks the manifest of the log in `directory`. A missing one is CORRUPT: a log is never started anew. */
export async function loadManifest(
  disk: Disk,
  directory: string,
  own: LogIdentity,
): Promise<{ readonly manifest: Manifest; readonly isWhole: boolean }> {
  const file = joinPath(directory, MANIFEST_NAME);
  if ((await disk.stat(file)) === undefined) throw new StorageError('CORRUPT', 'the manifest is missing', { file });
  const decoded = decodeManifest(await readWhole(disk, file), file);
  if (decoded === undefined) throw new StorageError('CORRUPT', 'both copies of the manifest are damaged', { file });
  const { manifest } = decoded;
  if (manifest.clusterId !== own.clusterId || manifest.groupId !== own.groupId || manifest.diskUuid !== own.diskUuid) {
    const found = `cluster ${manifest.clusterId}, group ${manifest.groupId}, disk ${manifest.diskUuid}`;
    throw new StorageError('FOREIGN', `this log belongs elsewhere: ${found}`, { file });
  }
  const disorder = whyDisordered(manifest);
  if (disorder !== undefined)
    throw new StorageError('CORRUPT', `the manifest contradicts itself: ${disorder}`, { file });
  return decoded;
}

export async function storeManifest(disk: Disk, directory: string, manifest: Manifest): Promise<void> {
  const sync = async (): Promise<void> => {
    try {
      await disk.syncDirectory(directory);
    } catch (error) {
      if (!canPass(error)) throw error;
      // It has its name, and whether that lasts is not known: to go on with the old one, or to make another, would be a
      // guess. As final as any flush that failed (W4).
      throw new StorageError('IO', error.message, { file: directory, cause: error });
    }
  };
  await replaceFile(disk, directory, MANIFEST_NAME, [encodeManifest(manifest)], sync);
}

/** The manifest of a new log; durable except for its directory entry, which the caller flushes. */
export async function createManifest(disk: Disk, directory: string, manifest: Manifest): Promise<void> {
  const file = await disk.open(joinPath(directory, MANIFEST_NAME), 'create');
  try {
    await file.write(0, [encodeManifest(manifest)]);
    await file.flush();
  } finally {
    await file.close();
  }
}

function whyDisordered(manifest: Manifest): string | undefined {
  const ids = [...manifest.sealed.map((summary) => summary.segmentId), manifest.active.segmentId];
  if (new Set(ids).size !== ids.length) return 'a segment is listed twice';
  if (ids.some((id) => id >= manifest.nextSegmentId)) return 'a segment id above the next one';
  let last: LogPoint | undefined;
  for (const next of [...manifest.sealed, { ...manifest.active, last: undefined }]) {
    if (last !== undefined && !samePoint(last, next.before)) {
      return `segment ${next.segmentId} does not begin where the one before it ends`;
    }
    last = next.last;
  }
  return undefined;
}
