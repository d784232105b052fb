/**
 * What a node knows of its own replica of a group, apart from the log: that there was one, and whether it may be
 * counted on. A twin file (small-file.ts) `standing/<group id, 10 digits>`, outside the log's directory, so that it
 * survives the loss of that. Body:
 *
 *   16B disk UUID, u32 group id, u8 1 when a marker follows: 16B marker id, text reason
 *
 * Without a marker: the log was made and took part. Its directory must be there; it is never started empty again (F50).
 * With one: this replica lost what it may have promised, and takes no part until it has rejoined (W26). The marker is
 * durable before the first byte of the log is replaced, and goes only when the log is whole and durable again.
 */
import { type Disk, joinPath } from './disk.ts';
import type { EnvelopeKind } from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter, fromHex, toHex } from './fields.ts';
import { decodeTwin, encodeTwin, readWhole, replaceFile } from './small-file.ts';
import type { GroupId } from './types.ts';

export interface Marker {
  /** 32 hex digits, drawn anew for each loss: whatever names it was made after the marker was durable. */
  readonly id: string;
  /** For people: what was lost. */
  readonly reason: string;
}

export interface Standing {
  readonly diskUuid: string;
  readonly groupId: GroupId;
  readonly marker: Marker | undefined;
}

const KIND: EnvelopeKind = { magic: 'LDSTAND ', version: 1, bodyBytesMax: 1024 };
/** A text field has a length of one byte. */
const REASON_BYTES_MAX = 255;
const ID_BYTES = 16;

export function encodeStanding({ diskUuid, groupId, marker }: Standing): Uint8Array {
  const body = new FieldWriter().bytes(fromHex(diskUuid, ID_BYTES)).u32(groupId);
  body.u8(marker === undefined ? 0 : 1);
  if (marker !== undefined) body.bytes(fromHex(marker.id, ID_BYTES)).text(cutText(marker.reason));
  return encodeTwin(KIND, body.finish());
}

function cutText(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= REASON_BYTES_MAX) return text;
  // A character that was cut in half is left out.
  return new TextDecoder().decode(bytes.subarray(0, REASON_BYTES_MAX)).replace(/\uFFFD.*$/u, '');
}

/** The standing, and whether both copies of it were sound; undefined when neither was. */
export function decodeStanding(
  bytes: Uint8Array,
  file: string,
): { readonly standing: Standing; readonly isWhole: boolean } | undefined {
  const twin = decodeTwin(KIND, bytes, file);
  if (twin === undefined) return undefined;
  const fields = new FieldReader(twin.body);
  const diskUuid = toHex(fields.bytes(ID_BYTES));
  const groupId = fields.u32();
  const isMarked = fields.u8() === 1;
  const marker = isMarked ? { id: toHex(fields.bytes(ID_BYTES)), reason: fields.text() } : undefined;
  return { standing: { diskUuid, groupId, marker }, isWhole: twin.isWhole };
}

/** Undefined when there is none. CORRUPT when both copies are damaged; FOREIGN when it is another disk's or group's. */
export async function loadStanding(
  disk: Disk,
  directory: string,
  name: string,
  own: Pick<Standing, 'diskUuid' | 'groupId'>,
): Promise<Standing | undefined> {
  const file = joinPath(directory, name);
  if ((await disk.stat(file)) === undefined) return undefined;
  const decoded = decodeStanding(await readWhole(disk, file), file);
  if (decoded === undefined) throw new StorageError('CORRUPT', 'both copies of the standing are damaged', { file });
  const { standing, isWhole } = decoded;
  if (standing.diskUuid !== own.diskUuid || standing.groupId !== own.groupId) {
    throw new StorageError('FOREIGN', `the standing of group ${standing.groupId} on disk ${standing.diskUuid}`, {
      file,
    });
  }
  if (!isWhole) await storeStanding(disk, directory, name, standing);
  return standing;
}

/** @param sync Flushes the directory; absent: by itself. */
export async function storeStanding(
  disk: Disk,
  directory: string,
  name: string,
  standing: Standing,
  sync?: () => Promise<void>,
): Promise<void> {
  await replaceFile(disk, directory, name, [encodeStanding(standing)], sync);
}
