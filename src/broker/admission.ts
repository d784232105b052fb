/**
 * Bytes of appends that were taken and not answered yet: of each connection and of the node (R23, S12). Above a cap
 * the producer hears OVERLOADED and when to come back, before anything is queued; memory stays bounded and what is in
 * the queue is still answered in time.
 */
import { CONNECTION_INFLIGHT_BYTES_MAX, LogError, NODE_INFLIGHT_BYTES_MAX } from '../protocol/index.ts';
import type { ClientHandle } from './verbs.ts';

const RETRY_AFTER_MS = 50;

export class Admission {
  #inflightBytes = 0;

  get inflightBytes(): number {
    return this.#inflightBytes;
  }

  /** @throws LogError OVERLOADED; otherwise the bytes count until release(). */
  admit(client: ClientHandle, bytes: number): void {
    const isConnectionFull = client.inflightBytes + bytes > CONNECTION_INFLIGHT_BYTES_MAX;
    if (isConnectionFull || this.#inflightBytes + bytes > NODE_INFLIGHT_BYTES_MAX) {
      const limitBytes = isConnectionFull ? CONNECTION_INFLIGHT_BYTES_MAX : NODE_INFLIGHT_BYTES_MAX;
      const whose = isConnectionFull ? 'this connection has' : 'this node has';
      throw overloaded(`${whose} too many bytes of appends in flight`, { limitBytes });
    }
    client.inflightBytes += bytes;
    this.#inflightBytes += bytes;
  }

  release(client: ClientHandle, bytes: number): void {
    client.inflightBytes -= bytes;
    this.#inflightBytes -= bytes;
  }
}

export function overloaded(what: string, details: { readonly limitBytes?: number } = {}): LogError {
  return new LogError('OVERLOADED', what, { details: { ...details, retryAfterMs: RETRY_AFTER_MS } });
}
