/**
 * A connection without a socket: the embedded broker and a client in one process. It behaves as a WebSocket does where
 * that can be seen: messages are copied, arrive in order and in a later turn, queues are counted, a paused side pushes
 * back, and a close lets through what was sent before it. So code tested in one process works against a remote node.
 */
import type { Timers } from '../env.ts';
import type { ClientSocket, ClientSocketEvents } from './client-socket.ts';

/** As of a socket: above this, onDrain is told once the queue is empty. */
const DRAIN_MARK_BYTES = 64 * 1024;

/** The client's end; the shape of the client room's SocketLike. */
export interface InProcessSocket {
  onOpen: (() => void) | undefined;
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  onClose: ((code: number, reason: string) => void) | undefined;
  onError: ((error: Error) => void) | undefined;
  readonly bufferedBytes: number;
  send(chunks: readonly Uint8Array[]): void;
  close(code: number, reason: string): void;
}

/**
 * @param accept Gets the server's end in a later turn and opens a session on it. What it throws is told as onError.
 * @returns the client's end.
 */
export function openInProcess(timers: Timers, accept: (socket: ClientSocket) => void): InProcessSocket {
  const pipe = new Pipe(timers);
  timers.soon(() => pipe.open(accept));
  return pipe.client;
}

class Pipe {
  readonly client: ClientEnd;
  readonly #server: ServerEnd;
  readonly #timers: Timers;
  #state: 'opening' | 'open' | 'closing' = 'opening';

  constructor(timers: Timers) {
    this.#timers = timers;
    const close = (code: number, reason: string): void => this.#close(code, reason);
    this.client = new ClientEnd(new Lane(timers, (bytes) => this.#server.events?.onMessage(bytes)), close);
    this.#server = new ServerEnd(new Lane(timers, (bytes) => this.client.onMessage?.(bytes)), this.client.lane, close);
  }

  open(accept: (socket: ClientSocket) => void): void {
    // The client changed its mind in the meantime: there is nobody to accept.
    if (this.#state !== 'opening') return;
    this.#state = 'open';
    try {
      accept(this.#server);
    } catch (error) {
      this.client.onError?.(error as Error);
      this.#close(1011, 'the broker takes no connection');
      return;
    }
    this.client.onOpen?.();
  }

  #close(code: number, reason: string): void {
    if (this.#state === 'closing') return;
    this.#state = 'closing';
    this.#timers.soon(() => {
      // What was sent before the close arrives before the end, whatever side was paused.
      this.#server.lane.drain();
      this.client.lane.resume();
      this.client.lane.drain();
      this.client.lane.end();
      this.#server.lane.end();
      this.#server.events?.onClose();
      this.client.onClose?.(code, reason);
    });
  }
}

/** One direction. */
class Lane {
  readonly #timers: Timers;
  readonly #deliver: (bytes: Uint8Array) => void;
  #queue: Uint8Array[] = [];
  queuedBytes = 0;
  deliveredBytes = 0;
  onDrain: (() => void) | undefined;
  #isDue = false;
  #isPaused = false;
  #isEnded = false;
  #isAboveMark = false;

  constructor(timers: Timers, deliver: (bytes: Uint8Array) => void) {
    this.#timers = timers;
    this.#deliver = deliver;
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#isEnded) return;
    const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    this.#queue.push(bytes);
    this.queuedBytes += bytes.byteLength;
    this.#isAboveMark ||= this.queuedBytes > DRAIN_MARK_BYTES;
    this.#schedule();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  /** Delivers what is queued, now. Stops when the receiver pauses. */
  drain(): void {
    while (!this.#isPaused && !this.#isEnded) {
      const bytes = this.#queue.shift();
      if (bytes === undefined) break;
      this.queuedBytes -= bytes.byteLength;
      this.deliveredBytes += bytes.byteLength;
      this.#deliver(bytes);
    }
    if (this.queuedBytes > 0 || !this.#isAboveMark) return;
    this.#isAboveMark = false;
    this.onDrain?.();
  }

  end(): void {
    this.#isEnded = true;
    this.#queue = [];
    this.queuedBytes = 0;
  }

  #schedule(): void {
    if (this.#isDue || this.#queue.length === 0) return;
    this.#isDue = true;
    this.#timers.soon(() => {
      this.#isDue = false;
      this.drain();
    });
  }
}

class ClientEnd implements InProcessSocket {
  onOpen: (() => void) | undefined;
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  onClose: ((code: number, reason: string) => void) | undefined;
  onError: ((error: Error) => void) | undefined;
  readonly lane: Lane;
  readonly close: (code: number, reason: string) => void;

  constructor(lane: Lane, close: (code: number, reason: string) => void) {
    this.lane = lane;
    this.close = close;
  }

  get bufferedBytes(): number {
    return this.lane.queuedBytes;
  }

  send(chunks: readonly Uint8Array[]): void {
    this.lane.send(chunks);
  }
}

class ServerEnd implements ClientSocket {
  events: ClientSocketEvents | undefined;
  readonly lane: Lane;
  /** What the client sends. */
  readonly #incoming: Lane;
  readonly close: (code: number, reason: string) => void;

  constructor(lane: Lane, incoming: Lane, close: (code: number, reason: string) => void) {
    this.lane = lane;
    this.#incoming = incoming;
    this.close = close;
    lane.onDrain = () => this.events?.onDrain();
  }

  get queuedBytes(): number {
    return this.lane.queuedBytes;
  }

  get deliveredBytes(): number {
    return this.lane.deliveredBytes;
  }

  send(chunks: readonly Uint8Array[]): void {
    this.lane.send(chunks);
  }

  pause(): void {
    this.#incoming.pause();
  }

  resume(): void {
    this.#incoming.resume();
  }
}
