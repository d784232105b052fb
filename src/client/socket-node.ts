/**
 * SocketLike over the `ws` package; the only file of the client that knows it.
 *
 * One message is one frame: joining head and payload first costs a memcpy and was measured to be no slower than two
 * fragments, which the server would have to join. What costs is the mask that a client must put over every byte
 * (4 CPU-seconds a GB, both ends together, against 1 without). Its purpose is to keep the bytes on the wire
 * unpredictable to intermediaries; on the loopback interface there are none, so there the mask is zero, and `ws` then
 * skips the work at both ends.
 */
import { WebSocket } from 'ws';
import { FRAME_BYTES_MAX, SUBPROTOCOL } from '../protocol/index.ts';
import type { SocketLike } from './socket.ts';

/** How long a closing socket waits for the other side's goodbye before it is cut. */
const CLOSE_TIMEOUT_MS = 1_000;
/** What `ws` reports when the connection broke without a goodbye (RFC 6455, 7.1.5). */
const ABNORMAL_CLOSURE = 1006;
const UNSUPPORTED_DATA = 1003;
const SEND_OPTIONS = { binary: true, compress: false };
/** Messages from this size on are joined in buffers that are used again. */
const REUSED_BYTES_MIN = 64 * 1024;
/** One that is on its way and one for the next. */
const BUFFERS_KEPT_MAX = 2;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

export function openNodeSocket(url: string): SocketLike {
  return new NodeSocket(url);
}

class NodeSocket implements SocketLike {
  onOpen: (() => void) | undefined;
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  onClose: ((code: number, reason: string) => void) | undefined;
  onError: ((error: Error) => void) | undefined;
  readonly #socket: WebSocket;
  /** Of messages that have left, for the next large ones. */
  readonly #buffers: Buffer[] = [];

  constructor(url: string) {
    const isLoopback = LOOPBACK.test(new URL(url).hostname);
    const options = {
      perMessageDeflate: false,
      maxPayload: FRAME_BYTES_MAX,
      closeTimeout: CLOSE_TIMEOUT_MS,
      ...(isLoopback ? { generateMask: (mask: Buffer): void => void mask.fill(0) } : {}),
    };
    this.#socket = new WebSocket(url, SUBPROTOCOL, options);
    this.#socket.on('open', () => this.onOpen?.());
    this.#socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.onMessage?.(data);
      else this.close(UNSUPPORTED_DATA, 'text is not spoken here');
    });
    this.#socket.on('error', (error) => this.onError?.(error));
    this.#socket.on('close', (code, reason) => this.onClose?.(code, reason.toString()));
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // One buffer, and our own: ws keeps what it is given until the system has taken it.
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    if (bytes < REUSED_BYTES_MIN) {
      this.#socket.send(Buffer.concat(chunks, bytes), SEND_OPTIONS);
      return;
    }
    const buffer = this.#takeBuffer(bytes);
    let at = 0;
    for (const chunk of chunks) {
      buffer.set(chunk, at);
      at += chunk.byteLength;
    }
    this.#socket.send(buffer.subarray(0, bytes), SEND_OPTIONS, () => {
      if (this.#buffers.length < BUFFERS_KEPT_MAX) this.#buffers.push(buffer);
    });
  }

  /** A large message a millisecond would be as much garbage, which costs more to collect than to send. */
  #takeBuffer(bytes: number): Buffer {
    const kept = this.#buffers.findIndex((buffer) => buffer.length >= bytes);
    if (kept >= 0) return this.#buffers.splice(kept, 1)[0]!;
    // Those that were too small make room for larger ones.
    this.#buffers.length = 0;
    return Buffer.allocUnsafeSlow(Math.ceil(bytes / REUSED_BYTES_MIN) * REUSED_BYTES_MIN);
  }

  close(code: number, reason: string): void {
    // A code for a broken connection must not be sent (RFC 6455, 7.4.1); there is nobody to read it either.
    if (code === ABNORMAL_CLOSURE) this.#socket.terminate();
    else this.#socket.close(code, reason);
  }
}
