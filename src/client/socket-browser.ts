/**
 * SocketLike over the WebSocket that browsers have. It masks and buffers by itself and cannot be asked to push back.
 */
import { SUBPROTOCOL } from '../protocol/index.ts';
import type { SocketLike } from './socket.ts';

/** The only codes below 3000 that a page may close with is this one; others become it (WebSocket API, close()). */
const NORMAL_CLOSURE = 1000;
const FIRST_FREE_CODE = 3000;

export function openBrowserSocket(url: string): SocketLike {
  return new BrowserSocket(url);
}

class BrowserSocket implements SocketLike {
  onOpen: (() => void) | undefined;
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  onClose: ((code: number, reason: string) => void) | undefined;
  onError: ((error: Error) => void) | undefined;
  readonly #socket: WebSocket;

  constructor(url: string) {
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.onOpen?.();
    socket.onmessage = (event) => {
      if (event.data instanceof ArrayBuffer) this.onMessage?.(new Uint8Array(event.data));
      else this.close(NORMAL_CLOSURE, 'text is not spoken here');
    };
    // A page is not told why: the event has no reason, for the sake of other people's networks.
    socket.onerror = () => this.onError?.(new Error('the browser could not connect or lost the connection'));
    socket.onclose = (event) => this.onClose?.(event.code, event.reason);
    this.#socket = socket;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(chunks.length === 1 ? (chunks[0] as Uint8Array<ArrayBuffer>) : joined(chunks));
  }

  close(code: number, reason: string): void {
    this.#socket.close(code >= FIRST_FREE_CODE ? code : NORMAL_CLOSURE, reason);
  }
}

/** One buffer: a browser takes one per message, and copies it. */
function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(chunks.reduce((bytes, chunk) => bytes + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
