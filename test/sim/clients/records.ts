/**
 * The records that clients append, and how one that is read says which it is: by its value, which also shows damage
 * without the sender's help; a tombstone, which has none, by a header. In a compacted topic the key follows from the
 * id: most share a few keys, so that they supersede each other soon, and some have one of their own.
 */
import type { RecordHeader } from '../../../src/protocol/index.ts';
import { crc32c } from '../../../storage/index.ts';
import type { Sighting } from '../oracle/index.ts';
import type { SimTopic } from './client-world.ts';

const SHARED_KEYS = 10;
/** One in so many has a key of its own. */
const OWN_KEY_EVERY = 8;
const TOMBSTONE_EVERY = 6;
const ID_HEADER = 'id';
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export interface SimRecord {
  readonly value: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `id`: unique in the run. */
export function recordOf({ compaction }: SimTopic, id: string, padding: number): SimRecord {
  const value = `${id}~${padding}~${'x'.repeat(padding)}`;
  if (compaction === undefined) return { value };
  const key = keyOf(id);
  return isTombstone(id) ? { key, value: '', headers: { [ID_HEADER]: id } } : { key, value };
}

/** What the history says of the keys of these records. */
export function keysOf(
  { compaction }: SimTopic,
  ids: readonly string[],
): { readonly keys?: readonly string[]; readonly tombstones?: readonly string[] } {
  return compaction === undefined ? {} : { keys: ids.map(keyOf), tombstones: ids.filter(isTombstone) };
}

function keyOf(id: string): string {
  const sum = crc32c(ENCODER.encode(id));
  return sum % OWN_KEY_EVERY === 0 ? id : `k${sum % SHARED_KEYS}`;
}

function isTombstone(id: string): boolean {
  return Math.floor(crc32c(ENCODER.encode(id)) / 2 ** 8) % TOMBSTONE_EVERY === 0;
}

interface SeenRecord {
  readonly offset: number;
  readonly key: string | Uint8Array | undefined;
  readonly value: string | Uint8Array;
  readonly headers: readonly RecordHeader[];
}

export function sightingOf({ offset, key, value, headers }: SeenRecord): Sighting {
  const header = headers.find((one) => one.key === ID_HEADER);
  const [id = '', length = '', padding = ''] =
    header === undefined ? textOf(value).split('~') : [textOf(header.value), '0', textOf(value)];
  const isWhole = padding.length === Number(length) && /^x*$/.test(padding);
  const hasItsKey = key === undefined || textOf(key) === keyOf(id);
  return isWhole && hasItsKey ? { offset, value: id } : { offset, value: id, isDamaged: true };
}

function textOf(text: string | Uint8Array): string {
  return typeof text === 'string' ? text : DECODER.decode(text);
}
