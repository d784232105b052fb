/**
 * One client connection, from HELLO to close: messages in, broker verbs, messages out. It decides nothing about data;
 * it counts. Every queue it can cause has a cap: appends and requests in flight, subscriptions, credit, bytes towards
 * the client. Above the last one the client is not read from either, and one that takes nothing of it is closed as a
 * slow consumer.
 *
 * The same class serves WebSockets and the in-process transport (client-socket.ts). docs/protocol.md has the rules.
 */
import type { BrokerVerbs, ClientHandle } from '../broker/index.ts';
import type { Env, TimerHandle } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import {
  type AppendMessage,
  CLIENT_ID_BYTES_MAX,
  CLOSE_CODES,
  CONNECTION_INFLIGHT_BYTES_MAX,
  CREDIT_BYTES_MAX,
  decodeFrame,
  encodeFrame,
  FRAME_BYTES_MAX,
  type Frame,
  failureOf,
  type HelloMessage,
  LogError,
  type Message,
  PROTOCOL_VERSION,
  READ_BYTES_MAX,
  RESPONSE_HEADER_BYTES_MAX,
  type RequestMessage,
  SUBSCRIPTIONS_PER_CONNECTION_MAX,
  type SubscribeMessage,
} from '../protocol/index.ts';
import type { ClientSocket, ClientSocketEvents } from './client-socket.ts';
import { toldError } from './failures.ts';
import { answerRequest } from './requests.ts';
import { Subscription, type SubscriptionHost } from './subscription.ts';

/** From the connection's start to its HELLO. */
export const HELLO_MS = 5_000;
/** Appends waiting for their answer; their bytes have a cap of their own in the broker. */
const APPENDS_INFLIGHT_MAX = 16_384;
/** Other requests waiting for their answer. */
const REQUESTS_INFLIGHT_MAX = 1_024;
/** Bytes that reads and lists of topics in flight may come back with, together. */
const ANSWERS_INFLIGHT_BYTES_MAX = 64 * 1024 * 1024;
/** Heartbeats without a message from the client. */
const SILENT_BEATS_MAX = 2;
/** Heartbeats in which the client took nothing of what is queued: patience for a link of some 100 KB/s. */
const STUCK_BEATS_MAX = 4;
const BUSY_RETRY_MS = 50;

export interface SessionOptions {
  readonly face: 'ws' | 'embedded';
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
  readonly sendBytesMax: number;
  readonly heartbeatMs: number;
}

export class Session implements ClientSocketEvents, SubscriptionHost {
  readonly broker: BrokerVerbs;
  readonly #socket: ClientSocket;
  readonly #env: Env;
  readonly #metrics: Metrics;
  readonly #options: SessionOptions;
  readonly #onEnd: () => void;
  readonly #client: ClientHandle = { inflightBytes: 0 };
  /** Keyed by channel. */
  readonly #subscriptions = new Map<number, Subscription>();
  /** One a request in flight, aborted at the end: reads that wait stop waiting. */
  readonly #requests = new Set<AbortController>();
  readonly #helloDeadline: TimerHandle;
  #beat: TimerHandle | undefined;
  #state: 'hello' | 'open' | 'closed' = 'hello';
  #appendsInflight = 0;
  #answersInflightBytes = 0;
  /** Of records that subscriptions read now, about; with those that are queued they have one cap. */
  #readingBytes = 0;
  #isPaused = false;
  /** Messages since the last beat. */
  #heard = 0;
  #silentBeats = 0;
  #stuckBeats = 0;
  #deliveredAtBeat = 0;
  #nextPing = 1;

  constructor(
    socket: ClientSocket,
    broker: BrokerVerbs,
    env: Env,
    metrics: Metrics,
    options: SessionOptions,
    onEnd: () => void,
  ) {
    this.#socket = socket;
    this.broker = broker;
    this.#env = env;
    this.#metrics = metrics;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#helloDeadline = env.timers.after(HELLO_MS, () =>
      this.#refuse(new LogError('TIMEOUT', `no HELLO within ${HELLO_MS} ms`, { outcome: 'none' })),
    );
    socket.events = this;
  }

  // From the socket.

  onMessage(bytes: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#heard++;
    try {
      const frame = decodeFrame(bytes, 'client');
      // Undefined: a kind of a later version that may be ignored.
      if (frame !== undefined) this.#onFrame(frame);
    } catch (error) {
      // Framing is lost, or the client breaks rules it was told: nothing that follows could be trusted.
      this.#refuse(toldError(error, this.#env.logger));
    }
  }

  onForeign(what: string): void {
    this.#refuse(new LogError('INVALID', what));
  }

  onDrain(): void {
    if (this.#isPaused && !this.#isFull()) {
      this.#isPaused = false;
      this.#socket.resume();
    }
    this.#wakeSubscriptions();
  }

  onClose(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#helloDeadline.cancel();
    this.#beat?.cancel();
    for (const request of this.#requests) request.abort();
    for (const subscription of this.#subscriptions.values()) subscription.end('silent');
    this.#onEnd();
  }

  // From the node.

  /** The node drains: the client shall finish and reconnect elsewhere. */
  goAway(reason: string, reconnectAfterMs: number): void {
    if (this.#state === 'open') this.send(0, { kind: 'goaway', reason, reconnectAfterMs, preferred: undefined });
  }

  close(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#socket.close(code, reason);
    this.onClose();
  }

  // For the subscriptions.

  send(channel: number, message: Message, payload?: readonly Uint8Array[]): void {
    if (this.#state === 'closed') return;
    this.#socket.send(encodeFrame(channel, message, payload));
    if (this.#isPaused || !this.#isFull()) return;
    // Whoever does not read answers is not asked for more questions.
    this.#isPaused = true;
    this.#socket.pause();
  }

  hasRoom(): boolean {
    return this.#socket.queuedBytes + this.#readingBytes < this.#options.sendBytesMax;
  }

  onReadBegun(bytes: number): void {
    this.#readingBytes += bytes;
  }

  onReadEnded(channel: number, bytes: number): void {
    if (bytes === 0) return;
    this.#readingBytes -= bytes;
    // Whoever has read goes to the end of those that wait for room, or a few that are far behind would have all of it.
    const subscription = this.#subscriptions.get(channel);
    if (subscription !== undefined && this.#subscriptions.delete(channel))
      this.#subscriptions.set(channel, subscription);
    if (this.hasRoom()) this.#wakeSubscriptions();
  }

  onRead(bytes: number): void {
    this.#metrics.add('logdrive_read_bytes_total', bytes, { face: this.#options.face });
  }

  onEnded(channel: number): void {
    this.#subscriptions.delete(channel);
  }

  toldError(error: unknown): LogError {
    return toldError(error, this.#env.logger);
  }

  #isFull(): boolean {
    return this.#socket.queuedBytes >= this.#options.sendBytesMax;
  }

  #wakeSubscriptions(): void {
    for (const subscription of this.#subscriptions.values()) subscription.wake();
  }

  // Messages.

  #onFrame({ channel, message, payload }: Frame): void {
    if (this.#state === 'hello') {
      if (message.kind !== 'hello') throw new LogError('INVALID', `${message.kind} before HELLO`);
      this.#onHello(message);
      return;
    }
    switch (message.kind) {
      case 'append':
        this.#onAppend(message, payload);
        break;
      case 'request':
        this.#onRequest(message);
        break;
      case 'subscribe':
        this.#onSubscribe(channel, message);
        break;
      case 'credit':
        // A channel that is not there ended while this was on its way.
        this.#subscriptions.get(channel)?.addCredit(message.bytes);
        break;
      case 'unsubscribe':
        this.#subscriptions.get(channel)?.end('asked');
        break;
      case 'ping':
        this.send(0, { kind: 'pong', nonce: message.nonce });
        break;
      case 'pong':
        break;
      default:
        throw new LogError('INVALID', `${message.kind} is not for a client to send now`);
    }
  }

  #onHello(hello: HelloMessage): void {
    if (hello.versionMin > PROTOCOL_VERSION || hello.versionMax < PROTOCOL_VERSION) {
      const asked = `${hello.versionMin} to ${hello.versionMax}`;
      throw new LogError('UNSUPPORTED', `this node speaks protocol version ${PROTOCOL_VERSION}, the client ${asked}`);
    }
    if (Buffer.byteLength(hello.clientId ?? '') > CLIENT_ID_BYTES_MAX) {
      throw new LogError('INVALID', `a client id is at most ${CLIENT_ID_BYTES_MAX} bytes`);
    }
    this.#helloDeadline.cancel();
    this.#state = 'open';
    const { recordBytesMax, batchBytesMax, heartbeatMs } = this.#options;
    const { clusterId, nodes } = this.broker.cluster();
    this.send(0, {
      kind: 'welcome',
      version: PROTOCOL_VERSION,
      nodeId: this.broker.nodeId,
      clusterId,
      serverVersion: this.broker.version,
      recordBytesMax,
      batchBytesMax,
      frameBytesMax: FRAME_BYTES_MAX,
      heartbeatMs,
      inflightBytesMax: CONNECTION_INFLIGHT_BYTES_MAX,
      nodes,
    });
    this.#beat = this.#env.timers.every(heartbeatMs, () => this.#onBeat());
  }

  #onAppend(message: AppendMessage, payload: Uint8Array): void {
    const { requestId, topic, partition, producer, redirect, timeoutMs } = message;
    if (this.#appendsInflight >= APPENDS_INFLIGHT_MAX) {
      this.#nack(requestId, busy(`at most ${APPENDS_INFLIGHT_MAX} appends of a connection wait at a time`));
      return;
    }
    this.#appendsInflight++;
    const { face } = this.#options;
    const startedMs = this.#env.clock.monotonicMs();
    const batch = ownBytes(payload);
    const batchBytes = batch.byteLength;
    const request = { client: this.#client, topic, partition, batch, producer, redirect, timeoutMs };
    this.broker.append(request).then(
      (result) => {
        this.#appendsInflight--;
        const { topicId, baseOffset, recordCount, term, appendTimeMs, isDuplicate: duplicate } = result;
        this.send(0, {
          kind: 'ack',
          requestId,
          topicId,
          partition,
          baseOffset,
          recordCount,
          term,
          appendTimeMs,
          duplicate,
        });
        this.#metrics.observe('logdrive_append_seconds', (this.#env.clock.monotonicMs() - startedMs) / 1_000, { face });
        this.#metrics.add('logdrive_append_records_total', recordCount, { face });
        this.#metrics.add('logdrive_append_bytes_total', batchBytes, { face });
        if (duplicate) this.#metrics.add('logdrive_duplicates_total');
      },
      (error: unknown) => {
        this.#appendsInflight--;
        this.#nack(requestId, this.toldError(error));
      },
    );
  }

  #nack(requestId: number, error: LogError): void {
    this.#metrics.add('logdrive_append_errors_total', 1, { face: this.#options.face, code: error.code });
    this.send(0, { kind: 'nack', requestId, failure: failureOf(error) });
  }

  #onRequest({ requestId, body }: RequestMessage): void {
    const answerBytes = answerBytesMax(body);
    if (
      this.#requests.size >= REQUESTS_INFLIGHT_MAX ||
      this.#answersInflightBytes + answerBytes > ANSWERS_INFLIGHT_BYTES_MAX
    ) {
      const failure = failureOf(busy('too many requests of this connection wait for their answer'));
      this.send(0, { kind: 'response', requestId, body: { kind: 'failure', failure } });
      return;
    }
    const request = new AbortController();
    this.#requests.add(request);
    this.#answersInflightBytes += answerBytes;
    answerRequest(this.broker, body, request.signal)
      .then((answer) => {
        if (answer.payload.length > 0) this.onRead(answer.payload.reduce((sum, batch) => sum + batch.byteLength, 0));
        this.send(0, { kind: 'response', requestId, body: answer.body }, answer.payload);
      })
      // Also an answer that does not fit into a frame, such as a very long list of topics.
      .catch((error: unknown) => {
        const failure = failureOf(this.toldError(error));
        this.send(0, { kind: 'response', requestId, body: { kind: 'failure', failure } });
      })
      .finally(() => {
        this.#requests.delete(request);
        this.#answersInflightBytes -= answerBytes;
      });
  }

  #onSubscribe(channel: number, message: SubscribeMessage): void {
    if (this.#subscriptions.has(channel))
      throw new LogError('INVALID', `channel ${channel} has a subscription already`);
    const error =
      this.#subscriptions.size >= SUBSCRIPTIONS_PER_CONNECTION_MAX
        ? new LogError(
            'INVALID',
            `at most ${SUBSCRIPTIONS_PER_CONNECTION_MAX} subscriptions are allowed on a connection`,
          )
        : message.creditBytes > CREDIT_BYTES_MAX
          ? new LogError('INVALID', `credit of a subscription is at most ${CREDIT_BYTES_MAX} bytes`)
          : undefined;
    if (error !== undefined) {
      this.send(channel, { kind: 'end', failure: failureOf(error), nextOffset: 0 });
      return;
    }
    const subscription = new Subscription(this, channel, message.creditBytes);
    this.#subscriptions.set(channel, subscription);
    const { topic, partition, start, level, token } = message;
    void subscription.run({ topic, partition, start, level, token });
  }

  #onBeat(): void {
    const { queuedBytes, deliveredBytes } = this.#socket;
    const isStuck = queuedBytes > 0 && deliveredBytes === this.#deliveredAtBeat;
    this.#stuckBeats = isStuck ? this.#stuckBeats + 1 : 0;
    this.#deliveredAtBeat = deliveredBytes;
    if (this.#stuckBeats >= STUCK_BEATS_MAX) {
      this.#metrics.add('logdrive_slow_consumer_disconnects_total');
      this.close(CLOSE_CODES.slowConsumer, 'slow consumer: what is queued is not taken');
      return;
    }
    // While this side does not read, silence says nothing about the client; being stuck does.
    this.#silentBeats = this.#heard === 0 && !this.#isPaused ? this.#silentBeats + 1 : 0;
    this.#heard = 0;
    if (this.#silentBeats > SILENT_BEATS_MAX) {
      this.close(CLOSE_CODES.goingAway, 'silent for two heartbeats');
      return;
    }
    if (this.#silentBeats > 0) this.send(0, { kind: 'ping', nonce: this.#nextPing++ });
    for (const subscription of this.#subscriptions.values()) subscription.onBeat();
  }

  /** Says what was wrong, then closes. */
  #refuse(error: LogError): void {
    if (this.#state === 'closed') return;
    this.#metrics.add('logdrive_ws_protocol_errors_total');
    this.#env.logger.debug({ code: error.code, reason: error.message }, 'closed a client for what it sent');
    this.send(0, { kind: 'error', failure: failureOf(error) });
    const code = error.code === 'TOO_LARGE' ? CLOSE_CODES.tooLarge : CLOSE_CODES.protocolError;
    this.close(code, error.code);
  }
}

/** A small view into a large buffer would keep all of it alive for as long as the batch is cached (N8). */
function ownBytes(view: Uint8Array): Uint8Array {
  // Not slice(): on a Buffer that is a view again.
  return view.byteLength * 2 < view.buffer.byteLength ? new Uint8Array(view) : view;
}

/** Of the answers that can be large; a frame of a few bytes asks for each. */
function answerBytesMax(body: RequestMessage['body']): number {
  if (body.kind === 'read') return Math.min(body.bytesMax, READ_BYTES_MAX);
  return body.kind === 'list-topics' ? RESPONSE_HEADER_BYTES_MAX : 0;
}

function busy(what: string): LogError {
  return new LogError('OVERLOADED', what, { details: { retryAfterMs: BUSY_RETRY_MS } });
}
