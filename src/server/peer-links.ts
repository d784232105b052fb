/**
 * All links of a node to its peers over TCP; fulfils Peers. Dials the peers this node is to dial, answers the others,
 * lets nobody in without the handshake of peer-handshake.ts, dials again when a link ends (50 ms, doubling to 1 s, with
 * jitter), and tells the broker who came and who went.
 *
 * Nothing is queued for a peer that is down: raft repeats itself, and a question fails at once with outcome 'none'.
 * The port has its own parser and its own limits; clients have no business here.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { PeerDescription, PeerHandler, PeerMethod, Peers } from '../broker/index.ts';
import type { Env, TimerHandle } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { Lane } from '../partition/index.ts';
import { type Crc32c, LogError } from '../protocol/index.ts';
import { listenOn } from './listen.ts';
import { decodeHello, dials, encodeHello, HANDSHAKE_MS, judgeHello, type PeerHello } from './peer-handshake.ts';
import { type LaneContext, PeerLane } from './peer-lane.ts';
import { PeerLink } from './peer-link.ts';
import { sharingCrc32c } from './shared-sums.ts';

const REDIAL_MS_MIN = 50;
const REDIAL_MS_MAX = 1_000;
/** Nodes of a cluster are often started together: for this long a node dials the others without backing off. */
const EAGER_MS = 5_000;
/** Sockets others opened that are not part of a link yet. More are closed unread. */
const STRANGERS_MAX = 64;

const NO_BYTES = new Uint8Array(0);

export interface PeerLinksOptions {
  readonly nodeId: string;
  /** id -> host:port of all peers; this node's own entry is ignored. */
  readonly peers: Readonly<Record<string, string>>;
  /** undefined: a cluster of one, which nobody dials. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly crc32c: Crc32c;
}

/** A pair of sockets on its way to become a link. */
interface Candidate {
  readonly link: string;
  readonly peer: string;
  readonly lanes: Map<Lane, PeerLane>;
  /** Lanes both sides agreed on. */
  readonly agreed: Set<Lane>;
  hello: PeerHello | undefined;
  deadline: TimerHandle;
}

interface PeerState {
  readonly id: string;
  readonly address: string;
  link: PeerLink | undefined;
  /** Of the last handshake that succeeded. */
  hello: PeerHello | undefined;
  redialMs: number;
  /** Why there is no link, as last written to the log: each reason is logged once. */
  trouble: string | undefined;
}

export class PeerLinks implements Peers {
  readonly #options: PeerLinksOptions;
  readonly #env: Env;
  readonly #metrics: Metrics;
  readonly #peers = new Map<string, PeerState>();
  /** Keyed by link name. */
  readonly #candidates = new Map<string, Candidate>();
  readonly #strangers = new Set<PeerLane>();
  readonly #laneContext: LaneContext;
  readonly #server: Server;
  #handler: PeerHandler | undefined;
  /** Monotonic. */
  readonly #openedMs: number;
  #isClosed = false;

  /** Takes the port, if it is to have one; nobody is answered or dialed before attach(). */
  static async open(env: Env, metrics: Metrics, options: PeerLinksOptions): Promise<PeerLinks> {
    const links = new PeerLinks(env, metrics, options);
    if (options.listen !== undefined) await listenOn(links.#server, options.listen, 'peerListen');
    return links;
  }

  private constructor(env: Env, metrics: Metrics, options: PeerLinksOptions) {
    this.#openedMs = env.clock.monotonicMs();
    this.#env = env;
    this.#metrics = metrics;
    this.#options = options;
    const { crc32c } = options;
    this.#laneContext = { timers: env.timers, metrics, crc32c, sentCrc32c: sharingCrc32c(crc32c) };
    for (const [id, address] of Object.entries(options.peers)) if (id !== options.nodeId) this.#know(id, address);
    this.#server = createServer((socket) => this.#onSocket(socket));
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get list(): readonly PeerDescription[] {
    return [...this.#peers.values()].map(({ id, address, link, hello, trouble }) => ({
      id,
      peerAddress: address,
      isUp: link !== undefined,
      diskUuid: hello?.diskUuid,
      clusterId: hello?.clusterId,
      clientUrl: hello?.clientUrl,
      version: hello?.version,
      trouble: link === undefined ? trouble : undefined,
    }));
  }

  #know(id: string, address: string): PeerState {
    const peer = { id, address, link: undefined, hello: undefined, redialMs: REDIAL_MS_MIN, trouble: undefined };
    this.#peers.set(id, peer);
    this.#metrics.set('logdrive_raft_peer_up', 0, { peer: id });
    return peer;
  }

  /** What --peers says stands: an address that works from here may work from nowhere else. */
  learn(id: string, peerAddress: string): void {
    if (this.#isClosed || id === this.#options.nodeId || this.#peers.has(id)) return;
    const peer = this.#know(id, peerAddress);
    if (this.#handler !== undefined && dials(this.#options.nodeId, id)) this.#dial(peer);
  }

  forget(id: string): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#peers.delete(id);
    for (const candidate of [...this.#candidates.values()]) {
      if (candidate.peer === id) this.#abandon(candidate, 'the node is no member any more');
    }
    peer.link?.close('the node is no member any more');
  }

  attach(handler: PeerHandler): void {
    this.#handler = handler;
    for (const peer of this.#peers.values()) {
      if (dials(this.#options.nodeId, peer.id)) this.#dial(peer);
    }
  }

  isUp(to: string): boolean {
    return this.#peers.get(to)?.link !== undefined;
  }

  queuedBytes(to: string, lane: Lane): number {
    return this.#peers.get(to)?.link?.queuedBytes(lane) ?? 0;
  }

  send(to: string, lane: Lane, groupId: number, chunks: readonly Uint8Array[]): boolean {
    const isTaken = this.#peers.get(to)?.link?.send(lane, groupId, chunks) ?? false;
    if (!isTaken) this.#metrics.add('logdrive_peer_sends_refused_total', 1, { lane });
    return isTaken;
  }

  call(
    to: string,
    method: PeerMethod,
    body: readonly Uint8Array[],
    options: { readonly timeoutMs: number },
  ): Promise<Uint8Array> {
    const link = this.#peers.get(to)?.link;
    if (link !== undefined) return link.call(method, body, options.timeoutMs);
    return Promise.reject(new LogError('CONNECTION', `there is no link to node ${to}`, { outcome: 'none' }));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const candidate of [...this.#candidates.values()]) this.#abandon(candidate, 'this node is stopping');
    for (const { link } of this.#peers.values()) link?.close('this node is stopping');
    for (const stranger of [...this.#strangers]) stranger.destroy('this node is stopping');
    await closed;
  }

  // The side that dials.

  #dial(peer: PeerState): void {
    if (this.#isClosed || peer.link !== undefined || this.#peers.get(peer.id) !== peer) return;
    const handler = this.#handler as PeerHandler;
    const link = Buffer.from(this.#env.random.bytes(16)).toString('hex');
    const candidate = this.#candidate(link, peer.id);
    const { host, port } = splitAddress(peer.address);
    for (const name of ['control', 'bulk'] as const) {
      const lane: PeerLane = new PeerLane(name, connect({ host, port }), this.#laneContext, {
        onFrame: (kind, body) => {
          if (kind === 'accept' && !candidate.agreed.has(name)) this.#onAccept(candidate, lane, body);
          else if (kind === 'reject') this.#abandon(candidate, `refused: ${refusalText(body)}`);
          else if (kind === 'ready' && candidate.agreed.size === 2) this.#complete(candidate);
          else this.#abandon(candidate, `sent ${kind} within the handshake`);
        },
        onClose: (reason) => this.#abandon(candidate, reason),
      });
      candidate.lanes.set(name, lane);
      lane.send('hello', encodeHello(handler.identity(), { lane: name, link, to: peer.id }));
    }
  }

  #onAccept(candidate: Candidate, lane: PeerLane, body: Uint8Array): void {
    const verdict = this.#judge(body, { from: candidate.peer, lane: lane.name, link: candidate.link });
    if (typeof verdict === 'string') {
      this.#metrics.add('logdrive_peer_handshakes_refused_total');
      lane.endWith('reject', Buffer.from(verdict), `refused: ${verdict}`);
      return;
    }
    candidate.hello = verdict;
    candidate.agreed.add(lane.name);
    lane.send('accept', NO_BYTES);
  }

  // The side that answers.

  #onSocket(socket: Socket): void {
    if (this.#isClosed || this.#handler === undefined || this.#strangers.size >= STRANGERS_MAX) {
      socket.destroy();
      return;
    }
    // Which lane it is comes with the hello; until then its bytes count as control.
    let candidate: Candidate | undefined;
    const stranger: PeerLane = new PeerLane('control', socket, this.#laneContext, {
      onFrame: (kind, body) => {
        if (candidate === undefined && kind === 'hello') candidate = this.#onHello(stranger, body);
        else if (candidate !== undefined && kind === 'accept') this.#onAgreed(candidate, stranger);
        else if (candidate !== undefined && kind === 'reject')
          this.#abandon(candidate, `refused: ${refusalText(body)}`);
        else stranger.destroy(`sent ${kind} within the handshake`);
      },
      onClose: (reason) => {
        deadline.cancel();
        this.#strangers.delete(stranger);
        if (candidate !== undefined) this.#abandon(candidate, reason);
        else this.#env.logger.debug({ reason }, 'a stranger on the peer port left');
      },
    });
    this.#strangers.add(stranger);
    const deadline = this.#env.timers.after(HANDSHAKE_MS, () => {
      if (candidate === undefined) stranger.destroy('no hello in time');
    });
  }

  #onHello(lane: PeerLane, body: Uint8Array): Candidate | undefined {
    const verdict = this.#judge(body, {});
    const reason = typeof verdict === 'string' ? verdict : this.#objection(verdict);
    if (typeof verdict === 'string' || reason !== undefined) {
      this.#refuse(lane, reason as string);
      return undefined;
    }
    const candidate = this.#candidates.get(verdict.link) ?? this.#candidate(verdict.link, verdict.from);
    candidate.hello = verdict;
    lane.name = verdict.lane;
    candidate.lanes.set(verdict.lane, lane);
    const identity = (this.#handler as PeerHandler).identity();
    lane.send('accept', encodeHello(identity, { lane: verdict.lane, link: verdict.link, to: verdict.from }));
    return candidate;
  }

  /** Why a sound hello is refused all the same; undefined when it is not. */
  #objection(hello: PeerHello): string | undefined {
    const { nodeId } = this.#options;
    if (!this.#peers.has(hello.from)) return `node ${hello.from} is not among the peers of ${nodeId}`;
    if (!dials(hello.from, nodeId)) return `node ${nodeId} dials ${hello.from}, not the other way round`;
    const candidate = this.#candidates.get(hello.link);
    if (candidate === undefined) return undefined;
    if (candidate.peer !== hello.from) return 'another node has a link of that name';
    return candidate.lanes.has(hello.lane) ? 'this lane of the link is there already' : undefined;
  }

  #onAgreed(candidate: Candidate, lane: PeerLane): void {
    candidate.agreed.add(lane.name);
    if (candidate.agreed.size < 2) return;
    // First on each lane: the two have no order between them, and the dialer refuses anything else until it came.
    for (const each of candidate.lanes.values()) each.send('ready');
    this.#complete(candidate);
  }

  #refuse(lane: PeerLane, reason: string): void {
    this.#metrics.add('logdrive_peer_handshakes_refused_total');
    this.#env.logger.warn({ reason }, 'refused a handshake on the peer port');
    lane.endWith('reject', Buffer.from(reason), reason);
  }

  // Both sides.

  #judge(body: Uint8Array, expected: { from?: string; lane?: Lane; link?: string }): PeerHello | string {
    const hello = decodeHello(body);
    if (typeof hello === 'string') return hello;
    if (expected.from !== undefined && hello.from !== expected.from) {
      return `node ${hello.from} answered where ${expected.from} was expected: check the addresses in peers`;
    }
    if (expected.lane !== undefined && (hello.lane !== expected.lane || hello.link !== expected.link)) {
      return 'the answer belongs to another lane or link';
    }
    const verdict = judgeHello(hello, this.#handler as PeerHandler);
    return verdict === true ? hello : verdict;
  }

  #candidate(link: string, peer: string): Candidate {
    const deadline = this.#env.timers.after(HANDSHAKE_MS, () =>
      this.#abandon(candidate, 'the handshake took too long'),
    );
    const candidate: Candidate = { link, peer, lanes: new Map(), agreed: new Set(), hello: undefined, deadline };
    this.#candidates.set(link, candidate);
    return candidate;
  }

  #abandon(candidate: Candidate, reason: string): void {
    if (!this.#candidates.delete(candidate.link)) return;
    candidate.deadline.cancel();
    for (const lane of candidate.lanes.values()) lane.destroy(reason);
    const peer = this.#peers.get(candidate.peer);
    if (peer === undefined || this.#isClosed) return;
    if (peer.link === undefined && peer.trouble !== reason) {
      peer.trouble = reason;
      this.#env.logger.warn({ peer: peer.id, address: peer.address, reason }, 'no link to a peer; trying on');
    }
    this.#redial(peer);
  }

  #complete(candidate: Candidate): void {
    this.#candidates.delete(candidate.link);
    candidate.deadline.cancel();
    const peer = this.#peers.get(candidate.peer) as PeerState;
    const control = candidate.lanes.get('control') as PeerLane;
    const bulk = candidate.lanes.get('bulk') as PeerLane;
    const handler = this.#handler as PeerHandler;
    this.#strangers.delete(control);
    this.#strangers.delete(bulk);
    // The newest link wins: the other side's old process may have died without a word.
    peer.link?.close('replaced by a newer link');
    peer.hello = candidate.hello as PeerHello;
    peer.redialMs = REDIAL_MS_MIN;
    peer.trouble = undefined;
    peer.link = new PeerLink({ control, bulk }, peer.hello, handler, this.#env, this.#metrics, (link, reason) =>
      this.#onDown(peer, link, reason),
    );
    this.#metrics.set('logdrive_raft_peer_up', 1, { peer: peer.id });
    this.#env.logger.info({ peer: peer.id, version: peer.hello.version }, 'link to a peer is up');
    handler.onUp(peer.id);
  }

  #onDown(peer: PeerState, link: PeerLink, reason: string): void {
    if (peer.link !== link) return;
    peer.link = undefined;
    peer.trouble = reason;
    this.#metrics.set('logdrive_raft_peer_up', 0, { peer: peer.id });
    if (!this.#isClosed) this.#env.logger.warn({ peer: peer.id, reason }, 'link to a peer is down');
    this.#handler?.onDown(peer.id);
    this.#redial(peer);
  }

  #redial(peer: PeerState): void {
    if (this.#isClosed || !dials(this.#options.nodeId, peer.id)) return;
    // Full jitter above half: nodes that lost the same peer do not come back in step.
    const delayMs = peer.redialMs * (0.5 + this.#env.random.next() / 2);
    const isEager = this.#env.clock.monotonicMs() - this.#openedMs < EAGER_MS;
    peer.redialMs = isEager ? REDIAL_MS_MIN : Math.min(peer.redialMs * 2, REDIAL_MS_MAX);
    this.#env.timers.after(delayMs, () => this.#dial(peer));
  }
}

function refusalText(body: Uint8Array): string {
  return Buffer.from(body).toString('utf8').slice(0, 300);
}

function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}
