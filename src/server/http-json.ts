/**
 * Records as JSON, both ways. Bytes are text in `value` and `key`, or base64 in `valueBase64` and `keyBase64`; an
 * answer uses the second exactly when the bytes are not valid UTF-8, so that what was read can be sent again as it is.
 * Headers are an object of texts; when a key repeats or a value is no text they are a list of {key, value |
 * valueBase64} instead. Both forms are taken.
 */
import { isUtf8 } from 'node:buffer';
import { type DecodedRecord, LogError, type NewRecord, type RecordHeader } from '../protocol/index.ts';
import { type Fields, integerOf, objectOf } from './http-values.ts';

const RECORD_MEMBERS = ['value', 'valueBase64', 'key', 'keyBase64', 'headers', 'timestamp'];

/** @throws LogError INVALID, naming the member and never its content. */
export function recordOfJson(json: unknown): NewRecord {
  const fields = objectOf(json, RECORD_MEMBERS, 'a record');
  const value = bytesOf(fields, 'value');
  if (value === undefined) throw new LogError('INVALID', 'a record must have value or valueBase64');
  const timestampMs = integerOf(fields.timestamp, 'timestamp', undefined);
  return {
    value,
    key: bytesOf(fields, 'key'),
    headers: headersOf(fields.headers),
    ...(timestampMs === undefined ? {} : { timestampMs }),
  };
}

export function jsonOfRecord(record: DecodedRecord): Record<string, unknown> {
  return {
    offset: record.offset,
    timestamp: record.timestampMs,
    ...(record.key === undefined ? { key: null } : memberOf('key', record.key)),
    ...memberOf('value', record.value),
    headers: jsonOfHeaders(record.headers),
  };
}

function bytesOf(fields: Fields, name: 'value' | 'key'): Uint8Array | undefined {
  const { [name]: text, [`${name}Base64`]: base64 } = fields;
  if (text !== undefined && base64 !== undefined) {
    throw new LogError('INVALID', `${name} and ${name}Base64 exclude each other`);
  }
  if (base64 !== undefined) return fromBase64(base64, `${name}Base64`);
  if (text === undefined || (name === 'key' && text === null)) return undefined;
  return fromText(text, name);
}

function fromText(text: unknown, name: string): Uint8Array {
  // Half a surrogate pair has no bytes in UTF-8; encoding would quietly store something else.
  if (typeof text !== 'string' || /\p{Surrogate}/u.test(text)) {
    throw new LogError('INVALID', `${name} must be well-formed text; other bytes go in base64`);
  }
  return Buffer.from(text, 'utf8');
}

function fromBase64(text: unknown, name: string): Uint8Array {
  if (typeof text !== 'string' || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw new LogError('INVALID', `${name} must be base64 with its padding`);
  }
  return Buffer.from(text, 'base64');
}

function headersOf(value: unknown): readonly RecordHeader[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) {
    return value.map((item) => {
      const fields = objectOf(item, ['key', 'value', 'valueBase64'], 'a header');
      const bytes = bytesOf(fields, 'value');
      if (bytes === undefined) throw new LogError('INVALID', 'a header must have value or valueBase64');
      return { key: headerKey(fields.key), value: bytes };
    });
  }
  if (typeof value !== 'object' || value === null) {
    throw new LogError('INVALID', 'headers must be an object of texts or a list of {key, value}');
  }
  return Object.entries(value).map(([key, text]) => ({ key: headerKey(key), value: fromText(text, 'a header') }));
}

function headerKey(key: unknown): string {
  if (typeof key !== 'string' || /\p{Surrogate}/u.test(key)) {
    throw new LogError('INVALID', 'the key of a header must be well-formed text');
  }
  return key;
}

function memberOf(name: 'value' | 'key', bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? { [name]: buffer.toString('utf8') } : { [`${name}Base64`]: buffer.toString('base64') };
}

function jsonOfHeaders(headers: readonly RecordHeader[]): unknown {
  const isPlain =
    new Set(headers.map(({ key }) => key)).size === headers.length && headers.every((h) => isUtf8(h.value));
  if (!isPlain) return headers.map(({ key, value }) => ({ key, ...memberOf('value', value) }));
  // fromEntries defines members, so that a header called __proto__ is one like any other.
  return Object.fromEntries(headers.map(({ key, value }) => [key, Buffer.from(value).toString('utf8')]));
}
