/**
 * Questions and orders to the cluster, each answered by one node: sent to the best connection, and again elsewhere
 * after a failure that may pass, for as long as the operation has time.
 *
 * What has an effect is sent again only when it surely had none yet, or when doing it twice is the same as once.
 */
import { LogError, type RequestBody, type ResponseBody } from '../protocol/index.ts';
import { operationBackoff } from './backoff.ts';
import type { Answer } from './connection.ts';
import type { NodePool, Wish } from './node-pool.ts';
import type { Operation } from './operation.ts';
import type { Settings } from './options.ts';
import type { Platform } from './platform.ts';

/** Doing these twice is not the same as once, and the second answer would mislead. */
const ONCE: ReadonlySet<RequestBody['kind']> = new Set([
  'create-topic',
  'delete-topic',
  'add-node',
  'remove-node',
  'replace-node',
]);

export interface AskOptions {
  readonly wish?: Wish;
  readonly signal?: AbortSignal | undefined;
  /** Time beyond the client's own limit, for requests that are allowed to wait at the server. */
  readonly extraMs?: number;
}

export class Requests {
  readonly #platform: Platform;
  readonly #settings: Settings;
  readonly #pool: NodePool;

  constructor(platform: Platform, settings: Settings, pool: NodePool) {
    this.#platform = platform;
    this.#settings = settings;
    this.#pool = pool;
  }

  /** @throws LogError of the last attempt; outcome unknown when any attempt may have had an effect. */
  async ask<K extends ResponseBody['kind']>(
    body: RequestBody,
    expected: K,
    options: AskOptions = {},
  ): Promise<{ readonly body: Extract<ResponseBody, { readonly kind: K }>; readonly payload: Uint8Array }> {
    const timeoutMs = this.#settings.requestTimeoutMs + (options.extraMs ?? 0);
    const operation = this.#pool.begin(options.signal, timeoutMs);
    try {
      const answer = await this.#askUntilDone(body, options.wish ?? {}, operation);
      if (answer.body.kind !== expected) {
        throw new LogError('INTERNAL', `A ${body.kind} was answered with ${answer.body.kind}.`);
      }
      return answer as { body: Extract<ResponseBody, { readonly kind: K }>; payload: Uint8Array };
    } finally {
      this.#pool.end(operation);
    }
  }

  async #askUntilDone(body: RequestBody, wish: Wish, operation: Operation): Promise<Answer> {
    const { backoff: delays, requestTimeoutMs } = this.#settings;
    const backoff = operationBackoff(this.#platform.random, delays, requestTimeoutMs);
    let lastError: LogError | undefined;
    let avoid = wish.avoid;
    let mayBeDone = false;
    const question = isQuestion(body);
    for (;;) {
      let node: string | undefined;
      let isSent = false;
      try {
        const connection = await this.#pool.acquire({ ...wish, avoid }, operation);
        node = connection.nodeId;
        // A connection that is ready is had at once, also by a call that was given up before it began.
        if (operation.stopped !== undefined) throw operation.stopped;
        isSent = true;
        return await operation.race(connection.request(body));
      } catch (caught) {
        const error = asLogError(caught);
        // An operation that stopped while the request was out leaves its fate open.
        const stoppedWhileOut = isSent && operation.stopped === error;
        mayBeDone ||= !question && (stoppedWhileOut || (operation.stopped !== error && error.outcome === 'unknown'));
        const mayRetry =
          error.retriable &&
          this.#settings.retries &&
          operation.stopped === undefined &&
          !(mayBeDone && ONCE.has(body.kind));
        if (!mayRetry) throw finalError(error, lastError, mayBeDone, question);
        lastError = error;
        avoid = node;
        try {
          await operation.sleep(backoff.next(error.details.retryAfterMs));
        } catch (stopped) {
          throw finalError(stopped as LogError, lastError, mayBeDone, question);
        }
      }
    }
  }
}

const ORDERS: ReadonlySet<RequestBody['kind']> = new Set([
  'create-topic',
  'delete-topic',
  'trim',
  'transfer-leader',
  'take-snapshot',
  'add-node',
  'remove-node',
  'replace-node',
  'drain-node',
]);

/** A question has no effect, answered or not. */
function isQuestion(body: RequestBody): boolean {
  return !ORDERS.has(body.kind);
}

/**
 * The failure to show: what went wrong says more than that time ran out, and no effect is denied that may have been.
 */
function finalError(
  error: LogError,
  lastError: LogError | undefined,
  mayBeDone: boolean,
  isQuestion: boolean,
): LogError {
  const shown = error.code === 'TIMEOUT' && lastError !== undefined ? lastError : error;
  const outcome = mayBeDone ? 'unknown' : isQuestion || shown !== error ? 'none' : error.outcome;
  if (shown.outcome === outcome) return shown;
  return new LogError(shown.code, shown.message, { outcome, details: shown.details, cause: shown });
}

/** Whatever is thrown below is a LogError or a defect. */
export function asLogError(error: unknown): LogError {
  if (LogError.is(error)) return error;
  return new LogError('INTERNAL', `A defect in the client: ${String(error)}`, { cause: error });
}
