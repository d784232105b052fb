/**
 * Values of requests, checked by hand: exact decimal digits, known names, nothing coerced. Each refusal is INVALID and
 * names the parameter, never the value of a body.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { StartAt, WantedLevel } from '../broker/index.ts';
import { LogError, NUMBER_MAX, type ProducerTuple, parseReadLevel, parseReadToken } from '../protocol/index.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** @throws LogError when a name is not in `known`: a misspelt parameter must not silently do nothing. */
export function checkNames(fields: Fields, known: readonly string[], what: string): void {
  for (const name of Object.keys(fields)) {
    if (known.includes(name)) continue;
    const list = known.length === 0 ? 'there are none here' : `known are ${known.join(', ')}`;
    throw new LogError('INVALID', `unknown ${what} ${JSON.stringify(name.slice(0, 64))}; ${list}`);
  }
}

/** A query parameter or header that holds a whole number >= 0; `standard` when absent. */
export function numberOf(value: unknown, name: string, standard: number): number {
  if (value === undefined) return standard;
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new LogError('INVALID', `${name} must be a whole number from 0 to 2^53-1`);
  return number;
}

/** A member of a JSON body that holds a whole number within bounds; undefined when absent and `standard` is. */
export function integerOf<T extends number | undefined>(
  value: unknown,
  name: string,
  standard: T,
  bounds: { readonly min: number; readonly max: number } = { min: 0, max: NUMBER_MAX },
): number | T {
  if (value === undefined) return standard;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < bounds.min || value > bounds.max) {
    throw new LogError('INVALID', `${name} must be a whole number from ${bounds.min} to ${bounds.max}`);
  }
  return value;
}

export function startOf(value: unknown): StartAt {
  if (value === undefined || value === 'earliest') return { kind: 'earliest' };
  if (value === 'latest') return { kind: 'latest' };
  return { kind: 'offset', offset: numberOf(value, 'offset', 0) };
}

/** `level` and `token`; a token alone means atLeast. Whether the two fit is for the broker to say. */
export function levelOf({ level, token }: Fields): WantedLevel {
  const asked = level === undefined ? undefined : parseReadLevel(level);
  if (token === undefined) return { level: asked ?? 'any' };
  return { level: asked ?? 'atLeast', token: parseReadToken(token) };
}

/** The members of a JSON object body. */
export function jsonObject(body: unknown, known: readonly string[]): Fields {
  const value = parseJson(body instanceof Uint8Array ? body : new Uint8Array(0));
  return objectOf(value, known, 'the body');
}

export function objectOf(value: unknown, known: readonly string[], what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new LogError('INVALID', `${what} must be a JSON object`);
  }
  checkNames(value as Fields, known, 'member');
  return value as Fields;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    // The parser's own words quote the input, and payload must not come back in errors or reach the log.
    throw new LogError('INVALID', 'the body is not valid JSON in UTF-8');
  }
}

/** Producer-Id, Producer-Epoch, Producer-Seq: all or none. */
export function producerOf(headers: IncomingHttpHeaders): ProducerTuple | undefined {
  const { 'producer-id': id, 'producer-epoch': epoch, 'producer-seq': sequence } = headers;
  if (id === undefined && epoch === undefined && sequence === undefined) return undefined;
  if (typeof id !== 'string' || id === '' || epoch === undefined || sequence === undefined) {
    throw new LogError('INVALID', 'Producer-Id, Producer-Epoch and Producer-Seq belong together');
  }
  const epochNumber = numberOf(epoch, 'Producer-Epoch', 0);
  if (epochNumber > 0xffff_ffff) throw new LogError('INVALID', 'Producer-Epoch must be below 2^32');
  return { id: producerId(id), epoch: epochNumber, sequence: numberOf(sequence, 'Producer-Seq', 0) };
}

/** 32 hex digits are the id itself; any other text stands for the first half of its SHA-256. */
function producerId(text: string): string {
  if (/^[0-9a-f]{32}$/i.test(text)) return text.toLowerCase();
  return createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 32);
}
