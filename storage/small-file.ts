/**
 * Small files that are replaced whole: written aside, flushed, renamed over the old one, directory flushed (W2, W3). A
 * crash leaves the old content or the new, and a leftover '<name>.new', which the next replacement removes.
 *
 * A twin file holds its envelope twice, in different pages, so that no single damaged byte or page loses it. Copies are
 * half the file apart; a reader takes whichever is sound.
 */
import { type Disk, type File, joinPath, PAGE_BYTES } from './disk.ts';
import { decodeEnvelope, type EnvelopeKind, encodeEnvelope } from './envelope.ts';
import { isStorageError } from './errors.ts';

const ASIDE_SUFFIX = '.new';

export function isAside(name: string): boolean {
  return name.endsWith(ASIDE_SUFFIX);
}

export function replaceFile(
  disk: Disk,
  directory: string,
  name: string,
  chunks: readonly Uint8Array[],
  sync?: () => Promise<void>,
): Promise<void> {
  return replaceFileBy(disk, directory, name, (file) => file.write(0, chunks), sync);
}

/**
 * As replaceFile, for a file too large for one write.
 * @param write May write the file in any order and as often as it takes.
 * @param sync Flushes the directory, say together with others who changed it.
 */
export async function replaceFileBy(
  disk: Disk,
  directory: string,
  name: string,
  write: (file: File) => Promise<void>,
  sync: () => Promise<void> = () => disk.syncDirectory(directory),
): Promise<void> {
  const path = joinPath(directory, name);
  const aside = path + ASIDE_SUFFIX;
  if ((await disk.stat(aside)) !== undefined) await disk.remove(aside);
  const file = await disk.open(aside, 'create');
  try {
    await write(file);
    await file.flush();
  } catch (error) {
    // What did not fit must not keep the space it took.
    if (isStorageError(error, 'FULL')) await disk.remove(aside);
    throw error;
  } finally {
    await file.close();
  }
  // Only a flushed file may take the name (W3), and only a flushed directory makes the name count (W2).
  await disk.rename(aside, path);
  await sync();
}

export async function readWhole(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(await file.bytes());
    const count = await file.read(0, bytes);
    return bytes.subarray(0, count);
  } finally {
    await file.close();
  }
}

export async function writeTwin(
  disk: Disk,
  directory: string,
  name: string,
  kind: EnvelopeKind,
  body: Uint8Array,
): Promise<void> {
  await replaceFile(disk, directory, name, [encodeTwin(kind, body)]);
}

export function encodeTwin(kind: EnvelopeKind, body: Uint8Array): Uint8Array {
  const copy = encodeEnvelope(kind, body);
  const half = Math.ceil(copy.length / PAGE_BYTES) * PAGE_BYTES;
  const bytes = new Uint8Array(half * 2);
  bytes.set(copy, 0);
  bytes.set(copy, half);
  return bytes;
}

/** The body of a twin file, and whether both copies were sound; undefined when neither was. */
export function decodeTwin(
  kind: EnvelopeKind,
  bytes: Uint8Array,
  file: string,
): { readonly body: Uint8Array; readonly isWhole: boolean } | undefined {
  const half = Math.floor(bytes.length / 2);
  const copies = [decodeEnvelope(kind, bytes, file), decodeEnvelope(kind, bytes.subarray(half), file)];
  const body = copies[0] ?? copies[1];
  return body === undefined ? undefined : { body, isWhole: copies.every((copy) => copy !== undefined) };
}
