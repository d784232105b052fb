/**
 * How an application's values and keys become bytes and back. Three codecs are built in; any object of the same shape
 * will do. A codec throws what it likes: the client wraps it, naming topic, partition and offset.
 */
import type { RecordHeader } from '../protocol/index.ts';

/** Where a record lies, for codecs that need to know. */
export interface RecordMeta {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Ms since the epoch: the record's own timestamp. */
  readonly timestamp: number;
  readonly headers: readonly RecordHeader[];
}

export interface Codec<V, K = Uint8Array> {
  /** For people and tools; not stored. */
  readonly contentType: string;
  encodeValue(value: V): Uint8Array;
  /** @param bytes A view of the received batch: copy what is to be kept for long. */
  decodeValue(bytes: Uint8Array, record: RecordMeta): V;
  /** Without these two, keys are bytes. */
  encodeKey?(key: K): Uint8Array;
  decodeKey?(bytes: Uint8Array): K;
}

const ENCODER = new TextEncoder();
/** Strict: bytes that are not text become an error, never a replacement character that hides a loss. */
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as they are: the default. */
export const bytes: Codec<Uint8Array, Uint8Array> = {
  contentType: 'application/octet-stream',
  encodeValue: (value) => value,
  decodeValue: (value) => value,
};

/** Text, for value and key. */
export const utf8: Codec<string, string> = {
  contentType: 'text/plain; charset=utf-8',
  encodeValue: (value) => ENCODER.encode(value),
  decodeValue: (value) => DECODER.decode(value),
  encodeKey: (key) => ENCODER.encode(key),
  decodeKey: (key) => DECODER.decode(key),
};

/** JSON values with text keys. The type is a promise of the caller's: nothing checks it. */
export function json<T = unknown>(): Codec<T, string> {
  return {
    contentType: 'application/json',
    encodeValue(value) {
      const text = JSON.stringify(value);
      // undefined and functions have no JSON; encoding them as nothing would lose them silently.
      if (text === undefined) throw new TypeError('the value has no JSON representation');
      return ENCODER.encode(text);
    },
    decodeValue: (value) => JSON.parse(DECODER.decode(value)) as T,
    encodeKey: (key) => ENCODER.encode(key),
    decodeKey: (key) => DECODER.decode(key),
  };
}
