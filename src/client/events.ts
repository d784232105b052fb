/** What happens to a client between calls, for logs and status lights. Never needed for correctness. */
import type { LogError } from '../protocol/index.ts';

export type ClientEvent =
  | { readonly kind: 'connected'; readonly node: string; readonly url: string }
  /** A connection was lost; operations under way are moved or retried. */
  | { readonly kind: 'reconnecting'; readonly node: string; readonly url: string; readonly error: LogError }
  /** A node asked its clients to leave, for example before a restart. */
  | { readonly kind: 'goaway'; readonly node: string; readonly url: string; readonly reason: string }
  | {
      readonly kind: 'leader-changed';
      readonly topic: string;
      readonly partition: number;
      readonly leader: string | undefined;
      readonly term: number;
    }
  /** Retention overtook a subscription with onTrimmed 'earliest': offsets from .. to were skipped. */
  | {
      readonly kind: 'trimmed';
      readonly topic: string;
      readonly partition: number;
      readonly from: number;
      readonly to: number;
    };

/** Events a listener may be behind; then the oldest are dropped. */
const EVENTS_MAX = 256;

class Listener implements AsyncIterableIterator<ClientEvent> {
  readonly #queue: ClientEvent[] = [];
  readonly #onDone: (listener: Listener) => void;
  #waiting: ((result: IteratorResult<ClientEvent>) => void)[] = [];
  #isDone = false;

  constructor(onDone: (listener: Listener) => void) {
    this.#onDone = onDone;
  }

  push(event: ClientEvent): void {
    const resolve = this.#waiting.shift();
    if (resolve !== undefined) resolve({ value: event, done: false });
    else if (this.#queue.push(event) > EVENTS_MAX) this.#queue.shift();
  }

  end(): void {
    this.#isDone = true;
    for (const resolve of this.#waiting) resolve({ value: undefined, done: true });
    this.#waiting = [];
  }

  next(): Promise<IteratorResult<ClientEvent>> {
    const event = this.#queue.shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.#isDone) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<ClientEvent>> {
    this.end();
    this.#onDone(this);
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

export class EventHub {
  readonly #listeners = new Set<Listener>();
  #isClosed = false;

  emit(event: ClientEvent): void {
    for (const listener of this.#listeners) listener.push(event);
  }

  /** From now on, until the signal aborts, the loop is left, or the client closes. */
  listen(signal?: AbortSignal): AsyncIterable<ClientEvent> {
    const onAbort = (): void => void listener.return();
    const listener = new Listener((ended) => {
      this.#listeners.delete(ended);
      signal?.removeEventListener('abort', onAbort);
    });
    if (this.#isClosed || signal?.aborted === true) {
      listener.end();
      return listener;
    }
    this.#listeners.add(listener);
    signal?.addEventListener('abort', onAbort, { once: true });
    return listener;
  }

  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) void listener.return();
  }
}
