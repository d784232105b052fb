/**
 * A snapshot on its way here, a part at a time: the file that collects it. What is in it counts for nothing until it is
 * whole, was read back and fits its checksum; then it is installed like any other (snapshot-files.ts). So nothing here
 * is flushed: after a kill what was written is still there and the transfer goes on behind it, after a power cut it may
 * hold anything, which the checksum tells, and the transfer begins anew (W19).
 *
 *   page 0: envelope 'LDSNAPI ', body: text cluster id, u32 group id, u64 index, u64 term, u64 state bytes, u32 CRC-32C
 *   from page 1 on: the state, as far as it came
 */
import { crc32c } from './checksum.ts';
import { type File, joinPath, PAGE_BYTES } from './disk.ts';
import { decodeEnvelope, type EnvelopeKind, encodeEnvelope } from './envelope.ts';
import { FieldReader, FieldWriter } from './fields.ts';
import type { LogContext } from './log-context.ts';
import type { ByteCount, LogIndex } from './types.ts';

export const INCOMING_NAME = 'incoming-snapshot';

const KIND: EnvelopeKind = { magic: 'LDSNAPI ', version: 1, bodyBytesMax: 1024 };
const READ_BYTES = 1024 * 1024;

/** Which snapshot; two with the same key are the same bytes. */
export interface SnapshotKey {
  readonly index: LogIndex;
  readonly term: number;
  readonly stateBytes: ByteCount;
  /** CRC-32C of the state. */
  readonly stateCrc: number;
}

export function sameSnapshot(a: SnapshotKey, b: SnapshotKey): boolean {
  return a.index === b.index && a.term === b.term && a.stateBytes === b.stateBytes && a.stateCrc === b.stateCrc;
}

type Place = Pick<LogContext, 'disk' | 'directory' | 'own'>;
type Owner = Pick<Place['own'], 'clusterId' | 'groupId'>;

/** Calls must not overlap. */
export class IncomingSnapshot {
  readonly #place: Place;
  #key: SnapshotKey | undefined;
  #file: File | undefined;
  #have: ByteCount = 0;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Makes `key` the one that is collected. Resolves with how much of its state is here: also from an earlier life. */
  async begin(key: SnapshotKey): Promise<ByteCount> {
    if (this.#key !== undefined && sameSnapshot(this.#key, key)) return this.#have;
    const found = this.#key === undefined ? await readIncomingKey(this.#place) : undefined;
    const { disk } = this.#place;
    if (found !== undefined && sameSnapshot(found, key)) {
      this.#file = await disk.open(this.#path, 'write');
      this.#have = Math.min(key.stateBytes, Math.max(0, (await this.#file.bytes()) - PAGE_BYTES));
    } else {
      await this.drop();
      this.#file = await disk.open(this.#path, 'create');
      await this.#file.write(0, [encodeIncomingKey(key, this.#place.own)]);
      this.#have = 0;
    }
    this.#key = key;
    return this.#have;
  }

  /** Adds what follows what is here. Resolves with how much is here then. */
  async write(part: Uint8Array): Promise<ByteCount> {
    await this.#file!.write(PAGE_BYTES + this.#have, [part]);
    this.#have += part.length;
    return this.#have;
  }

  /** The whole state, read back; undefined when it does not fit its checksum: all of it is gone then. */
  async finish(): Promise<Uint8Array | undefined> {
    const { stateBytes, stateCrc } = this.#key!;
    const state = new Uint8Array(stateBytes);
    let sum = 0;
    // A part a turn, its checksum too: a large state in one go would hold up everybody else.
    for (let at = 0; at < stateBytes; at += READ_BYTES) {
      const part = state.subarray(at, at + READ_BYTES);
      await this.#file!.read(PAGE_BYTES + at, part);
      sum = crc32c(part, sum);
    }
    if (sum === stateCrc) return state;
    await this.drop();
    return undefined;
  }

  /** Forgets what is here, and removes it. */
  async drop(): Promise<void> {
    const { disk } = this.#place;
    await this.close();
    if ((await disk.stat(this.#path)) !== undefined) await disk.remove(this.#path);
  }

  /** The file stays, for a later life. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#key = undefined;
    this.#have = 0;
    await file?.close();
  }

  get #path(): string {
    return joinPath(this.#place.directory, INCOMING_NAME);
  }
}

/** What an incoming file says it is; undefined when there is none, or its first page is not sound or another log's. */
export async function readIncomingKey({ disk, directory, own }: Place): Promise<SnapshotKey | undefined> {
  const path = joinPath(directory, INCOMING_NAME);
  if ((await disk.stat(path)) === undefined) return undefined;
  const file = await disk.open(path, 'read');
  try {
    const page = new Uint8Array(PAGE_BYTES);
    const count = await file.read(0, page);
    return decodeIncomingKey(page.subarray(0, count), own, path);
  } finally {
    await file.close();
  }
}

/** What the first page says; undefined when it is not sound, or another log's. */
export function decodeIncomingKey(page: Uint8Array, own: Owner, file: string): SnapshotKey | undefined {
  const body = decodeEnvelope(KIND, page, file);
  if (body === undefined) return undefined;
  const fields = new FieldReader(body);
  if (fields.text() !== own.clusterId || fields.u32() !== own.groupId) return undefined;
  return { index: fields.u64(), term: fields.u64(), stateBytes: fields.u64(), stateCrc: fields.u32() };
}

export function encodeIncomingKey({ index, term, stateBytes, stateCrc }: SnapshotKey, own: Owner): Uint8Array {
  const body = new FieldWriter().text(own.clusterId).u32(own.groupId).u64(index).u64(term);
  body.u64(stateBytes).u32(stateCrc);
  const page = new Uint8Array(PAGE_BYTES);
  page.set(encodeEnvelope(KIND, body.finish()));
  return page;
}
