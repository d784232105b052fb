/**
 * How `consume` writes a record: the value and \n (raw), one JSON line, or a format in the manner of kcat, compiled
 * once to a list of writers. Raw and kcat formats write values and keys as bytes, never through text.
 *
 *   %o offset   %t topic   %p partition   %T timestamp (ms)   %k key   %s value
 *   %K key bytes (-1: no key)   %S value bytes   %h headers as k=v,k=v   %% a percent sign   \n \t \r \0 \\ \xHH
 */
import { isUtf8 } from 'node:buffer';
import type { LogRecord } from '../src/client/index.ts';
import { UsageError } from './exit.ts';
import { unescapeBytes } from './values.ts';

export type ConsumedRecord = LogRecord<Uint8Array>;

/** Hands the bytes of one record to `write`, which may keep them. */
export type RecordFormat = (record: ConsumedRecord, write: (bytes: Uint8Array) => void) => void;

const LINE_FEED = Buffer.from('\n');
const NOTHING = Buffer.alloc(0);
const EQUALS = Buffer.from('=');
const COMMA = Buffer.from(',');

export const rawFormat: RecordFormat = (record, write) => {
  write(record.value);
  write(LINE_FEED);
};

export const jsonFormat: RecordFormat = (record, write) => write(Buffer.from(`${JSON.stringify(jsonOf(record))}\n`));

/** Bytes as text under `name`, or as base64 under `nameBase64` exactly when they are not valid UTF-8. */
function bytesField(name: string, bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? { [name]: buffer.toString('utf8') } : { [`${name}Base64`]: buffer.toString('base64') };
}

/** The fields HTTP uses for a record, so that a line can be sent there again. */
function jsonOf(record: ConsumedRecord): Record<string, unknown> {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    ...(record.key === undefined ? { key: null } : bytesField('key', record.key)),
    ...bytesField('value', record.value),
    headers: jsonOfHeaders(record.headers),
  };
}

/** An object of texts; a list when that would lose something: a name that repeats, a value that is no text. */
function jsonOfHeaders(headers: ConsumedRecord['headers']): unknown {
  const names = new Set(headers.map((header) => header.key));
  const isPlain = names.size === headers.length && headers.every((header) => isUtf8(header.value));
  return isPlain
    ? Object.fromEntries(headers.map((header) => [header.key, Buffer.from(header.value).toString('utf8')]))
    : headers.map((header) => ({ key: header.key, ...bytesField('value', header.value) }));
}

function number(of: (record: ConsumedRecord) => number): RecordFormat {
  return (record, write) => write(Buffer.from(String(of(record))));
}

const DIRECTIVES: Readonly<Record<string, RecordFormat>> = {
  o: number((record) => record.offset),
  p: number((record) => record.partition),
  T: number((record) => record.timestamp),
  S: number((record) => record.value.length),
  K: number((record) => record.key?.length ?? -1),
  t: (record, write) => write(Buffer.from(record.topic)),
  k: (record, write) => write(record.key ?? NOTHING),
  s: (record, write) => write(record.value),
  h: writeHeaders,
};

function writeHeaders(record: ConsumedRecord, write: (bytes: Uint8Array) => void): void {
  record.headers.forEach((header, at) => {
    if (at > 0) write(COMMA);
    write(Buffer.from(header.key));
    write(EQUALS);
    write(header.value);
  });
}

/** Compiles what was typed after -f. */
export function parseRecordFormat(text: string): RecordFormat {
  if (text === 'raw') return rawFormat;
  const writers: RecordFormat[] = [];
  // Between directives lies literal text; %% belongs to it.
  for (const part of text.match(/%%|%.?|[^%]+/gs) ?? []) {
    if (part === '%%' || !part.startsWith('%')) {
      const literal = part === '%%' ? Buffer.from('%') : unescapeBytes(part);
      writers.push((_, write) => write(literal));
      continue;
    }
    const directive = DIRECTIVES[part.slice(1)];
    if (directive === undefined) {
      const known = Object.keys(DIRECTIVES).map((letter) => `%${letter}`);
      throw new UsageError(`--format does not know '${part}'; it knows ${known.join(' ')} and %%, or 'raw'`);
    }
    writers.push(directive);
  }
  return (record, write) => {
    for (const writer of writers) writer(record, write);
  };
}
