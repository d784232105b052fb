/** Nodes of the fake cluster and their connections: they can be killed, hung, made to lag or told to leave. */
import {
  decodeFrame,
  type ErrorCode,
  type ErrorDetails,
  encodeFrame,
  failureOf,
  LogError,
  type Message,
  type Outcome,
} from '../../../src/protocol/index.ts';
import type { FakeCluster } from './fake-cluster.ts';
import type { FakePartition, FakeTopic } from './fake-partition.ts';
import type { MemorySocket } from './memory-socket.ts';

export interface FakeSubscription {
  readonly channel: number;
  readonly topic: FakeTopic;
  readonly partition: FakePartition;
  position: number;
  credit: number;
  wasCaughtUp: boolean;
}

export class FakeSession {
  readonly node: FakeNode;
  readonly socket: MemorySocket;
  readonly subscriptions: Map<number, FakeSubscription> = new Map();
  readonly #cluster: FakeCluster;

  constructor(cluster: FakeCluster, node: FakeNode, socket: MemorySocket) {
    this.#cluster = cluster;
    this.node = node;
    this.socket = socket;
    socket.onMessage = (bytes) => {
      const frame = decodeFrame(bytes, 'client');
      if (frame !== undefined) cluster.receive(this, frame);
    };
    socket.onClose = () => node.sessions.delete(this);
  }

  send(channel: number, message: Message, payload: readonly Uint8Array[] = []): void {
    const changed = this.#cluster.outgoing?.(this, channel, message, payload);
    if (changed === 'drop') return;
    const { message: sent, payload: sentPayload } = changed ?? { message, payload };
    this.socket.send(encodeFrame(channel, sent, sentPayload));
  }

  nack(requestId: number, code: ErrorCode, outcome?: Outcome, details: ErrorDetails = {}): void {
    const error = new LogError(code, undefined, outcome === undefined ? { details } : { details, outcome });
    this.send(0, { kind: 'nack', requestId, failure: failureOf(error) });
  }
}

export class FakeNode {
  readonly id: string;
  readonly url: string;
  readonly sessions: Set<FakeSession> = new Set();
  /** 'hung': takes connections and answers nothing. */
  state: 'up' | 'down' | 'hung' = 'up';
  /** Sees nothing at or past it: a replica that lags. */
  visibleTo: number = Number.MAX_SAFE_INTEGER;

  constructor(id: string) {
    this.id = id;
    this.url = `ws://${id}:4437/v1/ws`;
  }

  kill(): void {
    this.state = 'down';
    for (const { socket } of this.sessions) socket.cut();
    this.sessions.clear();
  }

  /** Its process is stopped: sockets stay open and say nothing. */
  hang(): void {
    this.state = 'hung';
    for (const { socket } of this.sessions) socket.link.isSilent = true;
  }

  goAway(reason = 'restart'): void {
    for (const session of this.sessions) {
      session.send(0, { kind: 'goaway', reason, reconnectAfterMs: 100, preferred: undefined });
    }
  }
}
