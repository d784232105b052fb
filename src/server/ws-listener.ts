/**
 * The client WebSocket door: upgrades on /v1/ws become sessions. It shares its port with HTTP, which hands over each
 * upgrade request; origin and subprotocol are checked before anything is agreed to.
 *
 * `ws` parses what arrives and closes; what is sent goes past it, straight to the socket: a frame from a server is a
 * header of 2 to 10 bytes and the payload as it is, and ws would either copy megabytes to make it one buffer or make
 * fragments of it, which the receiver then puts together again.
 */
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws';
import type { BrokerVerbs } from '../broker/index.ts';
import type { Env, Timers } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import { CLOSE_CODES, FRAME_BYTES_MAX, LogError, SUBPROTOCOL } from '../protocol/index.ts';
import type { ClientSocket, ClientSocketEvents } from './client-socket.ts';
import { isOriginAllowed, type OriginRule } from './origin.ts';
import { httpError, problemOf, rawAnswer } from './problem.ts';
import { Session, type SessionOptions } from './session.ts';
import { TurnWriter } from './turn-writer.ts';

export const WS_PATH = '/v1/ws';

/** A browser sends one fragment, ws clients too; a proxy may cut a few. */
const FRAGMENTS_MAX = 64;
/** Chunks one message may arrive in: a largest message in TCP segments of loopback and of Ethernet size. */
const BUFFERED_CHUNKS_MAX = 16_384;
const CLOSE_MS = 5_000;

export interface WsListenerOptions extends SessionOptions {
  readonly origin: OriginRule;
}

export class WsListener {
  readonly #env: Env;
  readonly #metrics: Metrics;
  readonly #options: WsListenerOptions;
  readonly #broker: () => BrokerVerbs | undefined;
  readonly #server: WebSocketServer;
  readonly #sessions = new Set<Session>();

  /** @param broker undefined while the node recovers: upgrades are told to come back. */
  constructor(env: Env, metrics: Metrics, options: WsListenerOptions, broker: () => BrokerVerbs | undefined) {
    this.#env = env;
    this.#metrics = metrics;
    this.#options = options;
    this.#broker = broker;
    // closeTimeout is newer than the types.
    const limits: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      // Compression would let 1 KB ask for 1 MB of memory, and record batches bring their own.
      perMessageDeflate: false,
      maxPayload: FRAME_BYTES_MAX,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: BUFFERED_CHUNKS_MAX,
      closeTimeout: CLOSE_MS,
      handleProtocols: () => SUBPROTOCOL,
    };
    this.#server = new WebSocketServer(limits);
  }

  /** An upgrade request of the HTTP server. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const refusal = this.#refusal(request);
    const broker = this.#broker();
    if (refusal !== undefined || broker === undefined) {
      const { error, status } = refusal ?? { error: new LogError('NO_LEADER', 'this node is recovering'), status: 503 };
      this.#metrics.add('logdrive_connections_refused_total', 1, { face: 'ws' });
      socket.on('error', () => socket.destroy());
      // Nothing watches over it any more: a client that keeps its side open would keep its place for ever.
      socket.end(rawAnswer(problemOf(error, status), STATUS_CODES[status] ?? ''), () => socket.destroy());
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#onOpen(webSocket, socket as Socket, broker));
  }

  /** Tells every client to go elsewhere, each after a delay of its own so that they do not arrive together. */
  goAway(reason: string, spreadMs: number): void {
    for (const session of this.#sessions) session.goAway(reason, Math.floor(this.#env.random.next() * spreadMs));
  }

  close(): void {
    for (const session of [...this.#sessions]) session.close(CLOSE_CODES.goingAway, 'the node is stopping');
    this.#server.close();
  }

  #refusal(request: IncomingMessage): { readonly error: LogError; readonly status: number } | undefined {
    const { origin, host } = request.headers;
    const refuse = (status: number, error: LogError) => ({ status, error });
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== WS_PATH) return refuse(404, httpError(404, `WebSockets are at ${WS_PATH}`));
    if (!isOriginAllowed(this.#options.origin, origin, host)) {
      return refuse(403, new LogError('FORBIDDEN', 'pages of this origin may not call this node'));
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes(SUBPROTOCOL)) {
      return refuse(400, new LogError('UNSUPPORTED', `the WebSocket subprotocol must be ${SUBPROTOCOL}`));
    }
    return undefined;
  }

  #onOpen(webSocket: WebSocket, socket: Socket, broker: BrokerVerbs): void {
    const face = this.#options.face;
    this.#metrics.add('logdrive_connections_total', 1, { face });
    const client = new WsSocket(webSocket, socket, this.#env.timers);
    const session = new Session(client, broker, this.#env, this.#metrics, this.#options, () => {
      this.#sessions.delete(session);
      this.#metrics.set('logdrive_connections', this.#sessions.size, { face });
    });
    this.#sessions.add(session);
    this.#metrics.set('logdrive_connections', this.#sessions.size, { face });
  }
}

class WsSocket implements ClientSocket {
  events: ClientSocketEvents | undefined;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #writer: TurnWriter;

  constructor(webSocket: WebSocket, socket: Socket, timers: Timers) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#writer = new TurnWriter(socket, timers);
    webSocket.on('message', (data, isBinary) => {
      if (isBinary) this.events?.onMessage(data as Buffer);
      else this.events?.onForeign('messages are binary; this one was text');
    });
    // What ws found wrong (framing, size) it has answered with a close code of its own; 'close' follows.
    webSocket.on('error', () => undefined);
    webSocket.on('close', () => this.events?.onClose());
    socket.on('drain', () => this.events?.onDrain());
  }

  get queuedBytes(): number {
    return this.#writer.queuedBytes;
  }

  get deliveredBytes(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  send(chunks: readonly Uint8Array[]): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    this.#writer.push(frameHead(bytes), ...chunks);
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  close(code: number, reason: string): void {
    // A paused socket would never see the answer to the close frame.
    this.#webSocket.resume();
    this.#writer.flush();
    // A reason is at most 123 bytes (RFC 6455, 5.5); ours are short and ASCII.
    this.#webSocket.close(code, reason.slice(0, 120));
  }
}

/** RFC 6455, 5.2: final, binary, unmasked. */
function frameHead(payloadBytes: number): Uint8Array {
  if (payloadBytes < 126) return Uint8Array.of(0x82, payloadBytes);
  if (payloadBytes < 65_536) return Uint8Array.of(0x82, 126, payloadBytes >>> 8, payloadBytes & 0xff);
  const head = new Uint8Array(10);
  head[0] = 0x82;
  head[1] = 127;
  // The length has 64 bits; ours fit 32.
  new DataView(head.buffer).setUint32(6, payloadBytes);
  return head;
}
