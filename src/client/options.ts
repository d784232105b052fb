/**
 * Every option of connect(): unit, default, check. What an application may leave out is filled in here, once; the rest
 * of the client sees Settings only. docs/client.md lists the same options, and a test compares the two.
 */
import { LogError } from '../protocol/index.ts';
import type { BackoffOptions } from './backoff.ts';

export interface ReconnectOptions {
  /** Bound of the first delay, ms. Delays are random between 0 and the bound. */
  readonly minDelayMs?: number;
  /** Bound of every delay, ms. */
  readonly maxDelayMs?: number;
  /** Growth of the bound from attempt to attempt. */
  readonly factor?: number;
}

export interface ConnectOptions {
  /** Name of this client in the nodes' logs, at most 128 bytes. */
  readonly clientId?: string;
  /** Sent in the first message, never in a URL. */
  readonly auth?: { readonly token: string };
  /** Aborting it closes the client. */
  readonly signal?: AbortSignal;
  /** How long connect() tries, and how long one attempt to reach one node may take, ms. */
  readonly connectTimeoutMs?: number;
  /** How long one operation may take, all of its retries included, ms. */
  readonly requestTimeoutMs?: number;
  /** How often an idle connection is asked for a sign of life, ms; two silent periods end it. */
  readonly heartbeatMs?: number;
  /** false: a lost connection is not replaced, and operations are not retried. */
  readonly reconnect?: false | ReconnectOptions;
  /** false: only the servers given are used, never others of their cluster. */
  readonly discover?: boolean;
}

export interface Settings {
  readonly clientId: string | undefined;
  readonly token: string | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly heartbeatMs: number;
  /** False: one attempt. */
  readonly retries: boolean;
  readonly backoff: BackoffOptions;
  readonly discover: boolean;
}

export const CONNECT_DEFAULTS = {
  connectTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  heartbeatMs: 15_000,
  minDelayMs: 100,
  maxDelayMs: 10_000,
  factor: 2,
  discover: true,
} as const;

const MS_MAX = 24 * 60 * 60 * 1_000;

export function settingsOf(options: ConnectOptions): Settings {
  const { reconnect = {} } = options;
  const delays: ReconnectOptions = reconnect === false ? {} : reconnect;
  const minDelayMs = number('reconnect.minDelayMs', delays.minDelayMs ?? CONNECT_DEFAULTS.minDelayMs, 1, MS_MAX);
  return {
    clientId: options.clientId,
    token: options.auth?.token,
    connectTimeoutMs: number(
      'connectTimeoutMs',
      options.connectTimeoutMs ?? CONNECT_DEFAULTS.connectTimeoutMs,
      1,
      MS_MAX,
    ),
    requestTimeoutMs: number(
      'requestTimeoutMs',
      options.requestTimeoutMs ?? CONNECT_DEFAULTS.requestTimeoutMs,
      1,
      MS_MAX,
    ),
    heartbeatMs: number('heartbeatMs', options.heartbeatMs ?? CONNECT_DEFAULTS.heartbeatMs, 10, MS_MAX),
    retries: reconnect !== false,
    backoff: {
      minDelayMs,
      maxDelayMs: number(
        'reconnect.maxDelayMs',
        delays.maxDelayMs ?? Math.max(minDelayMs, CONNECT_DEFAULTS.maxDelayMs),
        minDelayMs,
        MS_MAX,
      ),
      factor: number('reconnect.factor', delays.factor ?? CONNECT_DEFAULTS.factor, 1, 100),
    },
    discover: options.discover ?? CONNECT_DEFAULTS.discover,
  };
}

/** Checks a number an application gave. @throws LogError INVALID that names the option and its range. */
export function number(name: string, value: number, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new LogError('INVALID', `${name} is a number from ${least} to ${most}, not ${String(value)}.`);
}

/** As number(), for counts and sizes. */
export function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new LogError('INVALID', `${name} is an integer from ${least} to ${most}, not ${String(value)}.`);
}
