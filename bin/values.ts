/**
 * The words people type after flags, turned into values: counts, sizes, durations, offsets, headers. All of
 * them refuse what they do not understand with a UsageError that names the flag, the value and what would be right.
 */
import { LogError, parseReadToken, type ReadLevel } from '../src/protocol/index.ts';
import { UsageError } from './exit.ts';

/** A whole number in [min, 2^53). */
export function parseCount(flag: string, text: string, min = 0): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < min) {
    throw new UsageError(`${flag} wants a whole number of at least ${min}, not '${text}'`);
  }
  return value;
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** Bytes: 4096, 64KiB, 1GB. */
export function parseBytes(flag: string, text: string): number {
  const match = /^(\d+) ?([A-Za-z]*)$/.exec(text);
  const unit = match === null ? undefined : SIZE_UNITS[match[2]!];
  const bytes = unit === undefined ? Number.NaN : Number(match![1]) * unit;
  if (!Number.isSafeInteger(bytes))
    throw new UsageError(`${flag} wants a size such as 4096, 64KiB or 1GiB, not '${text}'`);
  return bytes;
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Milliseconds: 250ms, 10s, 5m, 1h, 7d. */
export function parseDurationMs(flag: string, text: string): number {
  const match = /^(\d+) ?(ms|s|m|h|d)$/.exec(text);
  const durationMs = match === null ? Number.NaN : Number(match[1]) * DURATION_UNITS[match[2]!]!;
  if (!Number.isSafeInteger(durationMs)) {
    throw new UsageError(`${flag} wants a duration such as 250ms, 10s, 5m or 7d, not '${text}'`);
  }
  return durationMs;
}

export type StartPlace =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  | { readonly last: number }
  | { readonly timestamp: number };

/** Where to start reading: earliest, latest, N, -N (the last N records), @time (ISO date, or ms since the epoch). */
export function parseStartPlace(text: string): StartPlace {
  if (text === 'earliest' || text === 'latest') return text;
  if (text.startsWith('@')) {
    const time = text.slice(1);
    // Date.parse alone would take '-1' for a year.
    const timestamp = /^\d+$/.test(time) ? Number(time) : /^\d{4}-/.test(time) ? Date.parse(time) : Number.NaN;
    if (Number.isSafeInteger(timestamp) && timestamp >= 0) return { timestamp };
  } else if (/^-?\d+$/.test(text)) {
    const value = Number(text);
    if (Number.isSafeInteger(value)) return value < 0 || text === '-0' ? { last: -value } : { offset: value };
  }
  throw new UsageError(
    `--offset wants earliest, latest, N, -N (the last N) or @time (ISO date or ms since the epoch), not '${text}'`,
  );
}

/** --level and --token, which belong together; what is not given is left out. */
export function parseReadLevels(
  level: string | undefined,
  token: string | undefined,
): { readonly level?: ReadLevel; readonly tokens?: readonly string[] } {
  const known = (['any', 'atLeast', 'linearizable', 'lease'] as const).find((one) => one === level);
  if (level !== undefined && known === undefined) {
    throw new UsageError(`--level wants any, atLeast, linearizable or lease, not '${level}'`);
  }
  if (token !== undefined && !isReadToken(token)) {
    throw new UsageError(`--token wants the token that an append or a read gave, such as 7.0.1042.3, not '${token}'`);
  }
  if (known !== undefined && (known === 'atLeast') !== (token !== undefined)) {
    throw new UsageError('--level atLeast goes with a --token, and a --token with no other level');
  }
  return { ...(known !== undefined && { level: known }), ...(token !== undefined && { tokens: [token] }) };
}

function isReadToken(text: string): boolean {
  try {
    parseReadToken(text);
    return true;
  } catch (error) {
    if (LogError.is(error)) return false;
    throw error;
  }
}

/** Where a node listens for clients unless told otherwise. */
export const CLIENT_PORT = 4437;

/** k=v, split at the first =. */
export function parseHeader(text: string): { readonly key: string; readonly value: string } {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--header wants name=value, not '${text}'`);
  return { key: text.slice(0, at), value: text.slice(at + 1) };
}

const ESCAPES: Readonly<Record<string, number>> = { n: 0x0a, t: 0x09, r: 0x0d, '0': 0x00, '\\': 0x5c };

/**
 * Text as typed into bytes: \n, \t, \r, \0, \\ and \xHH are the bytes they name, so that a shell needs no tricks for
 * them; everything else is UTF-8.
 */
export function unescapeBytes(text: string): Buffer {
  const pieces: Buffer[] = [];
  const pattern = /\\(?:x([0-9A-Fa-f]{2})|([ntr0\\]))/g;
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    pieces.push(Buffer.from(text.slice(at, match.index)));
    pieces.push(Buffer.from([match[1] === undefined ? ESCAPES[match[2]!]! : Number.parseInt(match[1], 16)]));
    at = match.index + match[0].length;
  }
  pieces.push(Buffer.from(text.slice(at)));
  return Buffer.concat(pieces);
}
