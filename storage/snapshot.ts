/**
 * Snapshot files: the state as of one index. Written aside, flushed, renamed, directory flushed, read back and compared
 * (W19), and only then does anything rely on them; the one before is kept until then and one generation longer, so
 * that a rotten file is not the last.
 *
 *   envelope 'LDSNAPS ', body: text cluster id, u32 group id, 40B log point, u32 state bytes, state
 *
 * The name is the index, so names sort as indexes do. There is no disk UUID: the state is replicated, not local.
 */
import { type Disk, joinPath, PAGE_BYTES } from './disk.ts';
import { decodeEnvelope, ENVELOPE_BYTES, type EnvelopeKind, encodeEnvelope } from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter } from './fields.ts';
import { type LogPoint, readPoint, writePoint } from './log-point.ts';
import type { LogIdentity } from './segment-header.ts';
import { readWhole, replaceFile } from './small-file.ts';
import type { LogIndex, Snapshot } from './types.ts';

const KIND: EnvelopeKind = { magic: 'LDSNAPS ', version: 1, bodyBytesMax: 512 * 1024 * 1024 };
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
  const body = new FieldWriter().text(own.clusterId).u32(own.groupId);
  writePoint(body, pointOfSnapshot(snapshot));
  body.u32(snapshot.state.length).bytes(snapshot.state);
  return encodeEnvelope(KIND, body.finish());
}

/** The snapshot, or undefined when it fails its check. FOREIGN when it is another log's. */
export function decodeSnapshot(bytes: Uint8Array, own: LogIdentity, file: string): Snapshot | undefined {
  const body = decodeEnvelope(KIND, bytes, file);
  if (body === undefined) return undefined;
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
  const bytes = encodeSnapshot(snapshot, own);
  const name = snapshotName(snapshot.index);
  await replaceFile(disk, directory, name, [bytes]);
  const file = joinPath(directory, name);
  const back = decodeSnapshot(await readWhole(disk, file), own, file);
  if (back === undefined || back.index !== snapshot.index || Buffer.compare(back.state, snapshot.state) !== 0) {
    throw new StorageError('CORRUPT', 'a snapshot reads back otherwise than it was written', { file });
  }
}

/** Snapshot files, newest first, with the point each claims in its first page. Claims are not checked: see loadSnapshot. */
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
  const snapshot = decodeSnapshot(await readWhole(disk, file), own, file);
  return snapshot?.index === index ? snapshot : undefined;
}

export async function removeSnapshots(disk: Disk, directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) await disk.remove(joinPath(directory, name));
  if (names.length > 0) await disk.syncDirectory(directory);
}
