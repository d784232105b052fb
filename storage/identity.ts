/**
 * Who a data directory is: node id, disk UUID, and the cluster it joined. A twin file (small-file.ts), body:
 *
 *   text node id, 16B disk UUID, u8 1 when a cluster id follows, text cluster id
 *
 * The disk UUID is drawn once, when the directory is made: an emptied disk gets another one, and is a stranger (R18).
 */
import { type Disk, joinPath } from './disk.ts';
import type { EnvelopeKind } from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter, fromHex, toHex } from './fields.ts';
import { decodeTwin, encodeTwin, readWhole, replaceFile } from './small-file.ts';

export const IDENTITY_NAME = 'identity';

const KIND: EnvelopeKind = { magic: 'LDIDENT ', version: 1, bodyBytesMax: 1024 };

export interface Identity {
  readonly nodeId: string;
  /** 32 hex digits. */
  readonly diskUuid: string;
  readonly clusterId: string | undefined;
}

export function encodeIdentity(identity: Identity): Uint8Array {
  const body = new FieldWriter().text(identity.nodeId).bytes(fromHex(identity.diskUuid, 16));
  body.u8(identity.clusterId === undefined ? 0 : 1);
  if (identity.clusterId !== undefined) body.text(identity.clusterId);
  return encodeTwin(KIND, body.finish());
}

/** The identity, and whether both copies of it were sound; undefined when neither was. */
export function decodeIdentity(
  bytes: Uint8Array,
  file: string,
): { readonly identity: Identity; readonly isWhole: boolean } | undefined {
  const twin = decodeTwin(KIND, bytes, file);
  if (twin === undefined) return undefined;
  const fields = new FieldReader(twin.body);
  const nodeId = fields.text();
  const diskUuid = toHex(fields.bytes(16));
  const clusterId = fields.u8() === 0 ? undefined : fields.text();
  return { identity: { nodeId, diskUuid, clusterId }, isWhole: twin.isWhole };
}

/** The identity of a data directory, or undefined when it has none yet. CORRUPT when the file is there and damaged. */
export async function loadIdentity(
  disk: Disk,
  directory: string,
): Promise<{ readonly identity: Identity; readonly isWhole: boolean } | undefined> {
  const file = joinPath(directory, IDENTITY_NAME);
  if ((await disk.stat(file)) === undefined) return undefined;
  const decoded = decodeIdentity(await readWhole(disk, file), file);
  if (decoded === undefined) throw new StorageError('CORRUPT', 'both copies of the identity are damaged', { file });
  return decoded;
}

export async function storeIdentity(disk: Disk, directory: string, identity: Identity): Promise<void> {
  await replaceFile(disk, directory, IDENTITY_NAME, [encodeIdentity(identity)]);
}
