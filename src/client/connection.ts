/**
 * One WebSocket to one node: HELLO and WELCOME, request ids to their answers, channels to their subscriptions, and the
 * signs of life. It retries nothing: when it ends, everybody who waited is told and goes elsewhere (node-pool.ts).
 *
 *     opening -> greeting -> ready -> leaving -> closed       (any state may go to closed)
 *
 * leaving: the node said GOAWAY. What is under way is finished; nothing new is begun.
 *
 * An append or request handed to the socket may have happened when the connection ends: CONNECTION, unknown. Those who
 * find the connection not ready are told none.
 */
import type { TimerHandle } from '../env.ts';
import {
  type AckMessage,
  type AppendMessage,
  assert,
  CHANNEL_MAX,
  CLOSE_CODES,
  type CreditMessage,
  type DataMessage,
  decodeFrame,
  encodeFrame,
  errorOf,
  type Frame,
  LogError,
  type Message,
  type PositionMessage,
  PROTOCOL_VERSION,
  type RequestBody,
  type ResponseBody,
  type SubscribeMessage,
  type WelcomeMessage,
} from '../protocol/index.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Platform } from './platform.ts';
import type { SocketLike } from './socket.ts';

export interface ConnectionOptions {
  readonly clientId: string | undefined;
  readonly token: string | undefined;
  /** From the first byte to WELCOME. */
  readonly connectTimeoutMs: number;
  readonly heartbeatMs: number;
  /** As heartbeatMs, while somebody waits for an answer. */
  readonly probeMs: number;
  /** The longest that appends under way excuse a silence. */
  readonly uploadMsMax: number;
}

/** The slowest uplink that is waited for: 100 KB/s. */
const UPLOAD_BYTES_PER_MS_MIN = 100;

export interface ConnectionEvents {
  onReady(connection: Connection): void;
  /** GOAWAY came: begin nothing new here. */
  onLeaving(connection: Connection, reason: string): void;
  /** Called before those who wait are told, so that they can look for another connection at once. */
  onClosed(connection: Connection, error: LogError): void;
}

/** One append under way. Exactly one of the two is called, once. */
export interface AppendHandler {
  onAck(ack: AckMessage): void;
  /** A NACK, or CONNECTION with outcome unknown. */
  onNack(error: LogError): void;
}

/** One subscription. After onEnd nothing more is called. */
export interface ChannelHandler {
  onPosition(message: PositionMessage): void;
  onData(message: DataMessage, payload: Uint8Array): void;
  /** The node said GOAWAY: go on elsewhere. */
  onLeaving(): void;
  /** undefined: it was asked for with unsubscribe(). CONNECTION: the connection ended. */
  onEnd(error: LogError | undefined): void;
}

export interface Answer {
  readonly body: ResponseBody;
  readonly payload: Uint8Array;
}

interface RequestHandler {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: LogError) => void;
}

export class Connection {
  readonly url: string;
  readonly #platform: Platform;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #socket: SocketLike;
  readonly #deadline: TimerHandle;
  readonly #requests = new Map<number, RequestHandler>();
  /** Those of them that nobody waits for. */
  readonly #asides = new Set<number>();
  readonly #appends = new Map<number, AppendHandler & { readonly bytes: number }>();
  readonly #channels = new Map<number, ChannelHandler>();
  /** Told when appends were answered, by whoever found no room. */
  readonly #roomWaiters = new Set<() => void>();
  #state: 'opening' | 'greeting' | 'ready' | 'leaving' | 'closed' = 'opening';
  #welcome: WelcomeMessage | undefined;
  #heartbeat: Heartbeat | undefined;
  #nextRequestId = 1;
  #nextChannel = 1;
  /** Payload bytes of #appends. */
  #inflightBytes = 0;
  /** Why the socket will close, when it said so beforehand. */
  #cause: unknown;

  constructor(platform: Platform, url: string, options: ConnectionOptions, events: ConnectionEvents) {
    this.url = url;
    this.#platform = platform;
    this.#options = options;
    this.#events = events;
    this.#deadline = platform.timers.after(options.connectTimeoutMs, () =>
      this.#end(this.#lost(`did not answer within ${options.connectTimeoutMs} ms`), CLOSE_CODES.normal),
    );
    this.#socket = platform.openSocket(url);
    this.#socket.onOpen = () => this.#onOpen();
    this.#socket.onMessage = (bytes) => this.#onMessage(bytes);
    this.#socket.onError = (error) => {
      this.#cause = error;
    };
    this.#socket.onClose = (code, reason) => {
      const why = this.#state === 'opening' ? 'could not be reached' : `closed the connection (${code} ${reason})`;
      this.#end(this.#lost(why), undefined);
    };
  }

  /** May new work be begun here? */
  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** What the node said of itself and its cluster. Only when it is or was ready. */
  get welcome(): WelcomeMessage {
    const welcome = this.#welcome;
    assert(welcome !== undefined, 'a connection that is used was welcomed');
    return welcome;
  }

  get nodeId(): string | undefined {
    return this.#welcome?.nodeId;
  }

  /**
   * @param urgency 'aside': nobody waits for the answer, and silence until then is that of an idle connection.
   * @throws LogError when it cannot be sent; after that the promise says what became of it.
   */
  request(body: RequestBody, urgency: 'awaited' | 'aside' = 'awaited'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!this.#isUsable()) {
        reject(this.#lost('is not connected', 'none'));
        return;
      }
      const requestId = this.#nextRequestId++;
      if (urgency === 'aside') this.#asides.add(requestId);
      else this.#begin();
      this.#requests.set(requestId, { resolve, reject });
      try {
        this.#send(0, { kind: 'request', requestId, body });
      } catch (error) {
        this.#takeRequest(requestId);
        reject(error as LogError);
      }
    });
  }

  /** Whether the node would take that many bytes more; a first append always fits. */
  hasRoomFor(batchBytes: number): boolean {
    return this.#inflightBytes === 0 || this.#inflightBytes + batchBytes <= this.welcome.inflightBytesMax;
  }

  /** Calls `fn` once, when appends were answered or the connection ended. */
  whenRoom(fn: () => void): void {
    this.#roomWaiters.add(fn);
  }

  append(message: Omit<AppendMessage, 'kind' | 'requestId'>, batch: Uint8Array, handler: AppendHandler): void {
    assert(this.#isUsable(), 'appends are begun on a usable connection');
    const requestId = this.#nextRequestId++;
    this.#begin();
    this.#appends.set(requestId, {
      bytes: batch.length,
      onAck: (ack) => handler.onAck(ack),
      onNack: (error) => handler.onNack(error),
    });
    this.#inflightBytes += batch.length;
    this.#send(0, { kind: 'append', requestId, ...message }, [batch]);
  }

  /** Opens a channel, whose number nobody else uses while it lives. */
  subscribe(message: Omit<SubscribeMessage, 'kind'>, handler: ChannelHandler): number {
    assert(this.#isUsable(), 'subscriptions are begun on a usable connection');
    const channel = this.#freeChannel();
    this.#channels.set(channel, handler);
    this.#send(channel, { kind: 'subscribe', ...message });
    return channel;
  }

  grant(channel: number, credit: Omit<CreditMessage, 'kind'>): void {
    if (this.#isUsable() && this.#channels.has(channel)) this.#send(channel, { kind: 'credit', ...credit });
  }

  /** onEnd(undefined) follows; DATA under way may come before it. */
  unsubscribe(channel: number): void {
    if (this.#isUsable() && this.#channels.has(channel)) this.#send(channel, { kind: 'unsubscribe' });
  }

  /** Ends it from our side: CONNECTION to everybody who waits, `why` in the text. */
  close(why: string, code: number = CLOSE_CODES.normal): void {
    this.#end(this.#lost(why), code);
  }

  #isUsable(): boolean {
    return this.#state === 'ready' || this.#state === 'leaving';
  }

  #freeChannel(): number {
    for (;;) {
      const channel = this.#nextChannel;
      this.#nextChannel = channel === CHANNEL_MAX ? 1 : channel + 1;
      if (!this.#channels.has(channel)) return channel;
    }
  }

  /** An answer is awaited from now on: silence counts from here. */
  #begin(): void {
    if (!this.#isAwaiting()) this.#heartbeat?.onHeard();
  }

  #isAwaiting(): boolean {
    return this.#requests.size > this.#asides.size || this.#appends.size > 0;
  }

  #send(channel: number, message: Message, payload?: readonly Uint8Array[]): void {
    this.#socket.send(encodeFrame(channel, message, payload));
  }

  #onOpen(): void {
    this.#state = 'greeting';
    const { clientId, token } = this.#options;
    this.#send(0, {
      kind: 'hello',
      versionMin: PROTOCOL_VERSION,
      versionMax: PROTOCOL_VERSION,
      clientId,
      token,
      agent: this.#platform.agent,
    });
  }

  #onMessage(bytes: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#heartbeat?.onHeard();
    let frame: Frame | undefined;
    try {
      frame = decodeFrame(bytes, 'server');
    } catch (error) {
      this.#cause = error;
      this.#end(this.#lost('sent what the protocol does not allow'), CLOSE_CODES.protocolError);
      return;
    }
    // undefined: a kind of a later version that may be ignored.
    if (frame !== undefined) this.#onFrame(frame);
  }

  #onFrame({ channel, message, payload }: Frame): void {
    switch (message.kind) {
      case 'welcome':
        this.#onWelcome(message);
        return;
      case 'ack':
        this.#takeAppend(message.requestId)?.onAck(message);
        return;
      case 'nack':
        this.#takeAppend(message.requestId)?.onNack(errorOf(message.failure));
        return;
      case 'response':
        this.#onResponse(message.requestId, { body: message.body, payload });
        return;
      case 'data':
        this.#channels.get(channel)?.onData(message, payload);
        return;
      case 'position':
        this.#channels.get(channel)?.onPosition(message);
        return;
      case 'end':
        this.#takeChannel(channel)?.onEnd(message.failure && errorOf(message.failure));
        return;
      case 'error':
        if (channel === 0) this.#onConnectionError(errorOf(message.failure));
        else this.#takeChannel(channel)?.onEnd(errorOf(message.failure));
        return;
      case 'ping':
        this.#send(0, { kind: 'pong', nonce: message.nonce });
        return;
      case 'goaway':
        if (this.#state !== 'ready') return;
        this.#state = 'leaving';
        this.#events.onLeaving(this, message.reason);
        for (const handler of [...this.#channels.values()]) handler.onLeaving();
        return;
      default:
        return;
    }
  }

  #onWelcome(welcome: WelcomeMessage): void {
    if (this.#state !== 'greeting') return;
    if (welcome.version !== PROTOCOL_VERSION) {
      const error = new LogError('UNSUPPORTED', `${this.url} speaks protocol version ${welcome.version}.`);
      this.#end(error, CLOSE_CODES.protocolError);
      return;
    }
    this.#deadline.cancel();
    this.#welcome = welcome;
    this.#state = 'ready';
    const periodMs = Math.max(1, Math.min(this.#options.heartbeatMs, welcome.heartbeatMs || this.#options.heartbeatMs));
    this.#heartbeat = new Heartbeat(
      this.#platform.timers,
      { periodMs, probeMs: this.#options.probeMs },
      {
        isAwaiting: () => this.#isAwaiting(),
        uploadMs: () => Math.min(this.#inflightBytes / UPLOAD_BYTES_PER_MS_MIN, this.#options.uploadMsMax),
        ping: (nonce) => this.#send(0, { kind: 'ping', nonce }),
        onSilence: () => this.#end(this.#lost('fell silent'), CLOSE_CODES.goingAway),
      },
    );
    this.#events.onReady(this);
  }

  #onConnectionError(error: LogError): void {
    this.#cause = error;
    // Before WELCOME it is the node's verdict on us; afterwards only the end of this connection.
    const verdict = this.#state === 'greeting' ? error : this.#lost(`closed the connection (${error.code})`);
    this.#end(verdict, CLOSE_CODES.normal);
  }

  #onResponse(requestId: number, answer: Answer): void {
    const handler = this.#takeRequest(requestId);
    if (handler === undefined) return;
    if (answer.body.kind === 'failure') handler.reject(errorOf(answer.body.failure));
    else handler.resolve(answer);
  }

  #takeRequest(requestId: number): RequestHandler | undefined {
    const handler = this.#requests.get(requestId);
    this.#requests.delete(requestId);
    this.#asides.delete(requestId);
    return handler;
  }

  #takeAppend(requestId: number): AppendHandler | undefined {
    const append = this.#appends.get(requestId);
    if (append === undefined) return undefined;
    this.#appends.delete(requestId);
    this.#inflightBytes -= append.bytes;
    if (this.#roomWaiters.size > 0) this.#tellRoomWaiters();
    return append;
  }

  #tellRoomWaiters(): void {
    const waiters = [...this.#roomWaiters];
    this.#roomWaiters.clear();
    // At the end of the turn: the append that made room is to be handled by its own waiter first.
    for (const wake of waiters) this.#platform.timers.soon(wake);
  }

  #takeChannel(channel: number): ChannelHandler | undefined {
    const handler = this.#channels.get(channel);
    this.#channels.delete(channel);
    return handler;
  }

  #lost(why: string, outcome: 'none' | 'unknown' = 'unknown'): LogError {
    return new LogError('CONNECTION', `${this.url} ${why}.`, { outcome, cause: this.#cause });
  }

  /** @param code undefined: the socket is closed already. */
  #end(error: LogError, code: number | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#deadline.cancel();
    this.#heartbeat?.stop();
    const socket = this.#socket;
    socket.onOpen = socket.onMessage = socket.onClose = undefined;
    socket.onError = undefined;
    if (code !== undefined) socket.close(code, '');
    this.#events.onClosed(this, error);

    const sent = new LogError('CONNECTION', error.message, { outcome: 'unknown', cause: error });
    const appends = [...this.#appends.values()];
    const requests = [...this.#requests.values()];
    const channels = [...this.#channels.values()];
    this.#appends.clear();
    this.#requests.clear();
    this.#asides.clear();
    this.#channels.clear();
    this.#inflightBytes = 0;
    for (const append of appends) append.onNack(sent);
    for (const request of requests) request.reject(sent);
    for (const channel of channels) channel.onEnd(sent);
    this.#tellRoomWaiters();
  }
}
