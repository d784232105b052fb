/**
 * One living link to a peer: its two lanes, the questions that wait for an answer, and the pings that notice silence.
 * Made when both lanes passed the handshake, gone as soon as either lane is: half a link would starve the other half's
 * traffic without anybody noticing. PeerLinks (peer-links.ts) makes and replaces links; this class never reconnects.
 */
import type { PeerHandler, PeerMethod } from '../broker/index.ts';
import type { Env, TimerHandle } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { Lane } from '../partition/index.ts';
import { decodeFrame, encodeFrame, errorOf, failureOf, LogError } from '../protocol/index.ts';
import { decodeMessages, PEER_FRAME_BYTES_MAX, PeerFrameError, type PeerFrameKind } from './peer-frame.ts';
import type { PeerHello } from './peer-handshake.ts';
import type { PeerLane } from './peer-lane.ts';

/** Bytes queued towards a peer before a lane takes no more. */
export const LANE_QUEUE_BYTES_MAX: Readonly<Record<Lane, number>> = {
  control: 8 * 1024 * 1024,
  bulk: 64 * 1024 * 1024,
};
/** Questions and answers up to this size travel with the heartbeats; larger ones must not delay those. */
const CONTROL_BODY_BYTES_MAX = 16 * 1024;
/** Questions of one kind and one peer that are being answered at a time. Of one kind: readers wait at their tails for
 *  seconds, thousands of them, and may not keep out what moves, makes and elects. */
const CALLS_SERVED_MAX = 1_024;
export const PING_MS = 1_000;
/** Pings in a row without a byte on control from the other side: it is gone. */
export const SILENT_PINGS_MAX = 3;

const METHODS: readonly PeerMethod[] = [
  'append',
  'read',
  'read-index',
  'catalog',
  'status',
  'transfer',
  'trim',
  'snapshot',
  'fetch-entry',
  'birth',
  'rejoin',
  'lost-acks',
];

interface PendingCall {
  readonly resolve: (body: Uint8Array) => void;
  readonly reject: (error: LogError) => void;
  readonly deadline: TimerHandle;
}

export class PeerLink {
  readonly peer: string;
  /** What the peer said of itself. */
  readonly hello: PeerHello;
  readonly #lanes: Readonly<Record<Lane, PeerLane>>;
  readonly #env: Env;
  readonly #metrics: Metrics;
  readonly #handler: PeerHandler;
  readonly #onDown: (link: PeerLink, reason: string) => void;
  /** Keyed by request id. A link's ids die with it, so that a late answer never meets another link's question. */
  readonly #pending = new Map<number, PendingCall>();
  readonly #pinger: TimerHandle;
  #nextRequestId = 1;
  readonly #callsServed = new Map<PeerMethod, number>();
  #isDown = false;
  #ping = { nonce: 0, sentAtMs: 0 };
  #silentPings = 0;
  #seenChunks = -1;

  constructor(
    lanes: { readonly control: PeerLane; readonly bulk: PeerLane },
    hello: PeerHello,
    handler: PeerHandler,
    env: Env,
    metrics: Metrics,
    onDown: (link: PeerLink, reason: string) => void,
  ) {
    this.peer = hello.from;
    this.hello = hello;
    this.#lanes = lanes;
    this.#handler = handler;
    this.#env = env;
    this.#metrics = metrics;
    this.#onDown = onDown;
    for (const lane of [lanes.control, lanes.bulk]) {
      lane.admit({
        onFrame: (kind, body) => this.#onFrame(lane, kind, body),
        onClose: (reason) => this.close(`${lane.name} lane: ${reason}`),
      });
    }
    this.#pinger = env.timers.every(PING_MS, () => this.#sendPing());
  }

  send(lane: Lane, groupId: number, chunks: readonly Uint8Array[]): boolean {
    const bytes = byteLength(chunks);
    if (bytes + 9 > PEER_FRAME_BYTES_MAX) throw new Error(`a message of ${bytes} bytes fits no frame`);
    if (!this.#hasRoom(lane, bytes)) return false;
    this.#lanes[lane].sendMessage(groupId, chunks, bytes);
    return true;
  }

  queuedBytes(lane: Lane): number {
    return this.#lanes[lane].queuedBytes;
  }

  call(method: PeerMethod, body: readonly Uint8Array[], timeoutMs: number): Promise<Uint8Array> {
    const bytes = byteLength(body);
    const lane = laneFor(bytes);
    if (bytes + 6 > PEER_FRAME_BYTES_MAX) {
      return Promise.reject(new LogError('TOO_LARGE', `a ${method} question of ${bytes} bytes fits no frame`));
    }
    if (this.#isDown || !this.#hasRoom(lane, bytes)) {
      return Promise.reject(
        new LogError('CONNECTION', `node ${this.peer} takes no more right now`, { outcome: 'none' }),
      );
    }
    const id = this.#nextRequestId;
    this.#nextRequestId = id === 0xffff_ffff ? 1 : id + 1;
    return new Promise((resolve, reject) => {
      const deadline = this.#env.timers.after(timeoutMs, () => {
        this.#pending.delete(id);
        reject(new LogError('TIMEOUT', `node ${this.peer} did not answer ${method} within ${timeoutMs} ms`));
      });
      this.#pending.set(id, { resolve, reject, deadline });
      const head = Buffer.allocUnsafeSlow(5);
      head.writeUInt32BE(id, 0);
      head.writeUInt8(METHODS.indexOf(method), 4);
      this.#lanes[lane].send('call', head, ...body);
    });
  }

  close(reason: string): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.#pinger.cancel();
    for (const lane of Object.values(this.#lanes)) lane.destroy(reason);
    for (const { reject, deadline } of this.#pending.values()) {
      deadline.cancel();
      reject(new LogError('CONNECTION', `the link to node ${this.peer} broke before it answered`));
    }
    this.#pending.clear();
    this.#onDown(this, reason);
  }

  #hasRoom(lane: Lane, bytes: number): boolean {
    const queued = this.#lanes[lane].queuedBytes;
    // An empty lane takes anything that fits a frame; otherwise the largest message could never leave.
    return queued === 0 || queued + bytes <= LANE_QUEUE_BYTES_MAX[lane];
  }

  #onFrame(lane: PeerLane, kind: PeerFrameKind, body: Uint8Array): void {
    if (kind === 'batch') {
      decodeMessages(body, (groupId, bytes) => {
        if (!this.#isDown) this.#handler.onMessage(this.peer, groupId, bytes);
      });
      return;
    }
    if (kind === 'ready') return;
    if (kind === 'hello' || kind === 'accept' || kind === 'reject')
      throw new PeerFrameError(`${kind} after the handshake`);
    if (body.byteLength < (kind === 'call' ? 5 : 4)) throw new PeerFrameError(`${kind} is cut off`);
    const id = new DataView(body.buffer, body.byteOffset).getUint32(0);
    if (kind === 'ping') lane.send('pong', body.subarray(0, 4));
    else if (kind === 'pong') this.#onPong(id);
    else if (kind === 'call') this.#serve(body);
    else this.#onAnswer(id, kind, body.subarray(4));
  }

  #serve(body: Uint8Array): void {
    const method = METHODS[body[4] as number];
    const idBytes = new Uint8Array(body.subarray(0, 4));
    const served = method === undefined ? 0 : (this.#callsServed.get(method) ?? 0);
    if (method === undefined || served >= CALLS_SERVED_MAX) {
      const error =
        method === undefined
          ? new LogError('UNSUPPORTED', `node ${this.#handler.identity().nodeId} does not know question ${body[4]}`)
          : new LogError('OVERLOADED', `too many ${method} questions of node ${this.peer} at once`, {
              details: { retryAfterMs: 100 },
            });
      this.#lanes.control.send('failure', idBytes, ...encodeFailure(error));
      return;
    }
    this.#callsServed.set(method, served + 1);
    this.#handler
      .onCall(this.peer, method, body.subarray(5))
      .then(
        (answer) => this.#answer(idBytes, method, answer),
        (error: unknown) => {
          if (!LogError.is(error))
            this.#env.logger.error({ peer: this.peer, method, error }, 'a question of a peer failed');
          const told = LogError.is(error) ? error : new LogError('INTERNAL', `${method} failed`, { cause: error });
          this.#lanes.control.send('failure', idBytes, ...encodeFailure(told));
        },
      )
      .finally(() => {
        this.#callsServed.set(method, this.#callsServed.get(method)! - 1);
      });
  }

  #answer(idBytes: Uint8Array, method: PeerMethod, answer: readonly Uint8Array[]): void {
    const bytes = byteLength(answer);
    const lane = laneFor(bytes);
    if (this.#hasRoom(lane, bytes)) {
      this.#lanes[lane].send('answer', idBytes, ...answer);
      return;
    }
    // What was asked for was done; only the answer does not fit. So the asker must not take it for undone.
    const error = new LogError('OVERLOADED', `the answer to ${method} finds no room`, { outcome: 'unknown' });
    this.#lanes.control.send('failure', idBytes, ...encodeFailure(error));
  }

  #onAnswer(id: number, kind: 'answer' | 'failure', body: Uint8Array): void {
    const pending = this.#pending.get(id);
    // Its time ran out before: the caller was told TIMEOUT and nobody waits any more.
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.deadline.cancel();
    if (kind === 'answer') pending.resolve(body);
    else pending.reject(decodeFailure(body, this.peer));
  }

  #sendPing(): void {
    // Counted in pings, not in time: after a stall of this process there is one late ping, and bytes that arrived
    // meanwhile are read before the next one is due.
    const { control } = this.#lanes;
    this.#silentPings = control.receivedChunks === this.#seenChunks ? this.#silentPings + 1 : 0;
    this.#seenChunks = control.receivedChunks;
    if (this.#silentPings >= SILENT_PINGS_MAX) {
      this.close('silent');
      return;
    }
    this.#ping = { nonce: (this.#ping.nonce + 1) >>> 0, sentAtMs: this.#env.clock.monotonicMs() };
    const nonce = Buffer.allocUnsafeSlow(4);
    nonce.writeUInt32BE(this.#ping.nonce);
    control.send('ping', nonce);
  }

  #onPong(nonce: number): void {
    if (nonce !== this.#ping.nonce) return;
    const seconds = (this.#env.clock.monotonicMs() - this.#ping.sentAtMs) / 1_000;
    this.#metrics.observe('logdrive_raft_peer_rtt_seconds', seconds, { peer: this.peer });
  }
}

function laneFor(bodyBytes: number): Lane {
  return bodyBytes <= CONTROL_BODY_BYTES_MAX ? 'control' : 'bulk';
}

function byteLength(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}

/** The ERROR message of the client protocol: its codec lets nothing undocumented through. */
function encodeFailure(error: LogError): Uint8Array[] {
  return encodeFrame(0, { kind: 'error', failure: failureOf(error) });
}

function decodeFailure(body: Uint8Array, peer: string): LogError {
  try {
    const frame = decodeFrame(body);
    if (frame?.message.kind === 'error') return errorOf(frame.message.failure);
  } catch (error) {
    return new LogError('INTERNAL', `node ${peer} sent a failure that cannot be read`, { cause: error });
  }
  return new LogError('INTERNAL', `node ${peer} sent something else in place of a failure`);
}
