/**
 * Snapshot files: the state as of one index. Written aside, flushed, renamed, directory flushed, read back and compared
 * (W19), and only then does anything rely on them; the one before is kept until then and one generation longer, so
 * that a rotten file is not the last.
 *
 *   envelope 'LDSNAPS ', body: text cluster id, u32 group id, 40B log point, u32 state bytes, state
 *
 * A state may be large, so it is written, summed, read back and compared in parts, with a disk call between two of
 * them: no part holds up the event loop, and nothing is copied whole.
 *
 * The name is the index, so names sort as indexes do. There is no disk UUID: the state is replicated, not local.
 */
import { crc32c } from './checksum.ts';
import { type Disk, joinPath, PAGE_BYTES } from './disk.ts';
import {
  claimedEnd,
  decodeEnvelope,
  ENVELOPE_BYTES,
  type EnvelopeKind,
  encodeEnvelope,
  envelopeStart,
  envelopeSum,
  isSoundEnvelope,
  sealEnvelope,
} from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter } from './fields.ts';
import { type LogPoint, readPoint, writePoint } from './log-point.ts';
import type { LogIdentity } from './segment-header.ts';
import { replaceFileBy } from './small-file.ts';
import type { LogIndex, Snapshot } from './types.ts';

const KIND: EnvelopeKind = { magic: 'LDSNAPS ', version: 1, bodyBytesMax: 512 * 1024 * 1024 };
/** What is written, read or summed in one piece: a millisecond at most of the event loop's time. */
const PART_BYTES = 1024 * 1024;
const NAME = /^snapshot-(\d{16})$/;

export function snapshotName(index: LogIndex): string {
  return `snapshot-${String(index).padStart(16, '0')}`;
}

/** The index a snapshot file's name gives, or undefined for any other file. */
export function snapshotIndexOf(name: string): LogIndex | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export function pointOfSnapshot(snapshot: Snapshot): LogPoint {
  const { index, term, nextOffset, appendTimeMs, chain } = snapshot;
  return { index, term, nextOffset, appendTimeMs, chain };
}

export function encodeSnapshot(snapshot: Snapshot, own: LogIdentity): Uint8Array {
  const body = new FieldWriter().bytes(bodyStart(snapshot, own)).bytes(snapshot.state);
  return encodeEnvelope(KIND, body.finish());
}

/** The body up to its state. */
function bodyStart(snapshot: Snapshot, own: LogIdentity): Uint8Array {
  const fields = new FieldWriter().text(own.clusterId).u32(own.groupId);
  writePoint(fields, pointOfSnapshot(snapshot));
  return fields.u32(snapshot.state.length).finish();
}

/** The snapshot, or undefined when it fails its check. FOREIGN when it is another log's. */
export function decodeSnapshot(bytes: Uint8Array, own: LogIdentity, file: string): Snapshot | undefined {
  const body = decodeEnvelope(KIND, bytes, file);
  return body === undefined ? undefined : decodeBody(body, own, file);
}

function decodeBody(body: Uint8Array, own: LogIdentity, file: string): Snapshot {
  const fields = new FieldReader(body);
  const clusterId = fields.text();
  const groupId = fields.u32();
  if (clusterId !== own.clusterId || groupId !== own.groupId) {
    throw new StorageError('FOREIGN', `snapshot of group ${groupId} of cluster ${clusterId}`, { file });
  }
  const point = readPoint(fields);
  return { ...point, state: fields.bytes(fields.u32()) };
}

/** Writes a snapshot and reads it back; durable and verified when it resolves (W19). */
export async function storeSnapshot(
  disk: Disk,
  directory: string,
  snapshot: Snapshot,
  own: LogIdentity,
): Promise<void> {
  const name = snapshotName(snapshot.index);
  const fields = bodyStart(snapshot, own);
  const envelope = envelopeStart(KIND, fields.length + snapshot.state.length);
  await replaceFileBy(disk, directory, name, async (file) => {
    let sum = crc32c(fields, envelopeSum(envelope));
    let at = envelope.length + fields.length;
    for (const part of partsOf(snapshot.state)) {
      sum = crc32c(part, sum);
      await file.write(at, [part]);
      at += part.length;
    }
    // Last, for it holds the checksum of everything; nothing is believed before the flush and the rename anyway.
    sealEnvelope(envelope, sum);
    await file.write(0, [envelope, fields]);
  });
  const path = joinPath(directory, name);
  if (!(await readsBack(disk, path, [envelope, fields, ...partsOf(snapshot.state)]))) {
    throw new StorageError('CORRUPT', 'a snapshot reads back otherwise than it was written', { file: path });
  }
}

/** In parts of PART_BYTES, views of `bytes`. */
function partsOf(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += PART_BYTES) parts.push(bytes.subarray(at, at + PART_BYTES));
  return parts;
}

/** Whether the file is `parts`, back to back. */
async function readsBack(disk: Disk, path: string, parts: readonly Uint8Array[]): Promise<boolean> {
  const file = await disk.open(path, 'read');
  try {
    const block = new Uint8Array(PART_BYTES);
    let at = 0;
    for (const part of parts) {
      const count = await file.read(at, block.subarray(0, part.length));
      if (Buffer.compare(block.subarray(0, count), part) !== 0) return false;
      at += part.length;
    }
    return (await file.bytes()) === at;
  } finally {
    await file.close();
  }
}

/** The body of a snapshot file, its checksum computed as its parts arrive; undefined when it is not sound. */
async function readBody(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(await file.bytes());
    let end: number | undefined;
    let sum = 0;
    let at = 0;
    for (const part of partsOf(bytes)) {
      await file.read(at, part);
      if (at === 0) {
        end = claimedEnd(KIND, part);
        if (end === undefined || end > bytes.length) return undefined;
        sum = envelopeSum(part);
      }
      sum = crc32c(bytes.subarray(Math.max(at, ENVELOPE_BYTES), Math.min(at + part.length, end!)), sum);
      at += part.length;
    }
    return end !== undefined && isSoundEnvelope(KIND, bytes, sum, path)
      ? bytes.subarray(ENVELOPE_BYTES, end)
      : undefined;
  } finally {
    await file.close();
  }
}

/**
 * Snapshot files, newest first, with the point each claims in its first page. Claims are not checked: see loadSnapshot.
 */
export async function listSnapshots(
  disk: Disk,
  directory: string,
  own: LogIdentity,
): Promise<{ readonly index: LogIndex; readonly claimed: LogPoint | undefined }[]> {
  const listed: { index: LogIndex; claimed: LogPoint | undefined }[] = [];
  for (const { name } of await disk.list(directory)) {
    const index = snapshotIndexOf(name);
    if (index !== undefined) listed.unshift({ index, claimed: await readClaim(disk, joinPath(directory, name), own) });
  }
  return listed;
}

async function readClaim(disk: Disk, path: string, own: LogIdentity): Promise<LogPoint | undefined> {
  const file = await disk.open(path, 'read');
  try {
    const page = new Uint8Array(PAGE_BYTES);
    const count = await file.read(0, page);
    const fields = new FieldReader(page.subarray(ENVELOPE_BYTES, Math.max(count, ENVELOPE_BYTES)));
    const isOwn = fields.text() === own.clusterId && fields.u32() === own.groupId;
    return isOwn ? readPoint(fields) : undefined;
  } catch (error) {
    // A damaged page claims nothing; the file is then read whole and judged by its checksum.
    if (error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

/** The snapshot at `index`, checked; undefined when its file fails the check. */
export async function loadSnapshot(
  disk: Disk,
  directory: string,
  own: LogIdentity,
  index: LogIndex,
): Promise<Snapshot | undefined> {
  const file = joinPath(directory, snapshotName(index));
  const body = await readBody(disk, file);
  const snapshot = body && decodeBody(body, own, file);
  return snapshot?.index === index ? snapshot : undefined;
}

export async function removeSnapshots(disk: Disk, directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) await disk.remove(joinPath(directory, name));
  if (names.length > 0) await disk.syncDirectory(directory);
}
