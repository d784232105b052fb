/**
 * pino behind env.Logger. JSON lines by default; lines for people on a terminal. Both are written in this process,
 * synchronously: no worker, so the last words of a dying node reach the file.
 *
 * What never gets here: payload bytes, tokens, credentials (callers pass names, offsets and sizes). What cannot hurt:
 * text from outside, because control characters are escaped before a line is written, whatever the format, so that a
 * topic name or an error text can neither forge a line nor drive a terminal.
 */
import { type DestinationStream, destination, type Logger as Pino, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { LogFields, Logger } from '../env.ts';

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly isPretty: boolean;
  /** Where lines go; stderr when absent, because stdout belongs to data. */
  readonly stream?: DestinationStream;
}

export function createLogger(options: LoggerOptions): Logger {
  const stream = options.stream ?? destination({ fd: 2, sync: true });
  const out = options.isPretty ? prettyStream(stream, options.stream === undefined) : stream;
  return new PinoLogger(pino({ level: options.level, base: null }, out));
}

function prettyStream(stream: DestinationStream, isStderr: boolean): DestinationStream {
  const colorize = isStderr && process.stderr.isTTY === true && process.stderr.hasColors();
  // The factory, not pino-pretty's own stream: that one is a pipe, and a process that ends at once loses what is in it.
  const format = prettyFactory({ colorize, singleLine: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l' });
  return { write: (line: string) => void stream.write(format(line)) };
}

class PinoLogger implements Logger {
  readonly #pino: Pino;

  constructor(logger: Pino) {
    this.#pino = logger;
  }

  debug(fields: LogFields, message: string): void {
    // The check is here because escaping costs more than the line that is not written.
    if (this.#pino.isLevelEnabled('debug')) this.#pino.debug(sound(fields), escapeControls(message));
  }

  info(fields: LogFields, message: string): void {
    this.#pino.info(sound(fields), escapeControls(message));
  }

  warn(fields: LogFields, message: string): void {
    this.#pino.warn(sound(fields), escapeControls(message));
  }

  error(fields: LogFields, message: string): void {
    this.#pino.error(sound(fields), escapeControls(message));
  }

  fatal(fields: LogFields, message: string): void {
    this.#pino.fatal(sound(fields), escapeControls(message));
  }

  child(fields: LogFields): Logger {
    return new PinoLogger(this.#pino.child(sound(fields)));
  }
}

/** Fields fit for a line: texts escaped, errors as name, text and stack, bytes only by their number. */
function sound(fields: LogFields): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) result[name] = soundValue(value, 0);
  return result;
}

const DEPTH_MAX = 4;

function soundValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return escapeControls(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth === DEPTH_MAX) return '...';
  if (value instanceof Error) return soundError(value, depth);
  if (Array.isArray(value)) return value.map((item) => soundValue(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, soundValue(item, depth + 1)]));
}

function soundError(error: Error & { readonly code?: unknown }, depth: number): Record<string, unknown> {
  return {
    name: error.name,
    message: escapeControls(error.message),
    ...(error.code === undefined ? {} : { code: soundValue(error.code, depth + 1) }),
    ...(error.stack === undefined
      ? {}
      : {
          stack: error.stack
            .split('\n')
            .slice(1)
            .map((at) => escapeControls(at.trim())),
        }),
    ...(error.cause === undefined ? {} : { cause: soundValue(error.cause, depth + 1) }),
  };
}

/** C0, DEL, C1, line and paragraph separators, and the marks that turn text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
