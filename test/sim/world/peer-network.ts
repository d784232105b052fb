/**
 * The network between nodes, as the broker sees it (src/broker/peers.ts): one link a pair, two lanes a link, messages
 * in order within a lane. What a real link refuses cannot happen here either: within a link nothing is doubled or
 * reordered, and what was sent on a link dies with it. Everything else happens: a direction that is cut loses what is
 * sent without a word until somebody takes the link down; a lost packet is a late one, and everything behind it waits;
 * lanes overtake each other; a new link overtakes an old one.
 */
import type { PeerDescription, PeerHandler, PeerMethod, Peers } from '../../../src/broker/index.ts';
import { LogError } from '../../../src/protocol/index.ts';
import type { SimProcess } from './process.ts';

/** Larger questions travel on the bulk lane, as they do between real nodes. */
const CONTROL_BODY_BYTES_MAX = 16 * 1024;
const QUEUED_BYTES_MAX = 32 * 1024 * 1024;

type LaneName = 'control' | 'bulk';

export interface PeerNetworkOptions {
  latencyMs(from: string, to: string): number;
  /** Loses everything in this direction. */
  isCut(from: string, to: string): boolean;
  /** Until when nothing gets through, though nothing is lost. */
  blockedUntilMs(from: string, to: string): number;
  onMessage?(from: string, to: string, groupId: number, bytes: Uint8Array): void;
  /** What arrives in place of a message. */
  forged(from: string, to: string, groupId: number, bytes: Uint8Array): Uint8Array;
}

interface PendingCall {
  reject(error: LogError): void;
}

/** One end of a link. */
interface LinkEnd {
  readonly linkId: number;
  readonly pending: Set<PendingCall>;
  readonly laneFreeMs: Record<LaneName, number>;
  readonly queuedBytes: Record<LaneName, number>;
}

export class PeerNetwork {
  readonly options: PeerNetworkOptions;
  readonly #nodes = new Map<string, SimPeers>();
  /** All machines, in order; a lost one too, until it has left the cluster. */
  readonly ids: string[] = [];
  #links = 0;
  /** Messages that were lost on a cut link. */
  lost = 0;

  constructor(options: PeerNetworkOptions) {
    this.options = options;
  }

  /** A node's place in the network, for one life of its process. @param configured Whom it is configured to know. */
  join(process: SimProcess, configured: readonly string[]): SimPeers {
    const peers = new SimPeers(this, process, configured);
    this.#nodes.set(process.name, peers);
    return peers;
  }

  node(id: string): SimPeers | undefined {
    return this.#nodes.get(id);
  }

  isCut(a: string, b: string): boolean {
    return this.options.isCut(a, b) || this.options.isCut(b, a);
  }

  /** Both ends hear of the link, when both run and admit each other. Returns why not, when one refused. */
  connect(a: string, b: string): string | undefined {
    const one = this.#nodes.get(a);
    const two = this.#nodes.get(b);
    if (one === undefined || two === undefined || one.process.isHeld || two.process.isHeld) return undefined;
    if (this.isCut(a, b) || one.isUp(b)) return undefined;
    const refused = [one.admits(two), two.admits(one)].find((answer) => answer !== true);
    if (refused !== undefined) return String(refused);
    this.#links += 1;
    const linkId = this.#links;
    const identities = [one.handler.identity(), two.handler.identity()] as const;
    one.linkUp(b, linkId, identities[1]);
    two.linkUp(a, linkId, identities[0]);
    return undefined;
  }

  /** Both ends hear that the link is gone. */
  disconnect(a: string, b: string): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const peers = this.#nodes.get(from);
      const linkId = peers?.linkTo(to);
      if (peers !== undefined && linkId !== undefined) peers.process.in(0, 'message', () => peers.linkDown(to, linkId));
    }
  }

  /** A process is gone: the others hear it when what it had sent before has arrived. */
  leave(process: SimProcess): void {
    if (this.#nodes.get(process.name)?.process !== process) return;
    this.#nodes.delete(process.name);
    for (const peers of this.#nodes.values()) {
      const linkId = peers.linkTo(process.name);
      if (linkId === undefined) continue;
      const delayMs = this.options.latencyMs(process.name, peers.process.name);
      peers.process.in(delayMs, 'message', () => peers.linkDown(process.name, linkId));
    }
  }

  /** Brings `act` to the other end of a link, in the order of its lane, unless it gets lost. */
  carry(from: SimPeers, to: string, lane: LaneName, bytes: number, act: (peers: SimPeers) => void): void {
    const end = from.end(to);
    const receiver = this.#nodes.get(to);
    if (end === undefined || receiver === undefined) return;
    const { latencyMs, blockedUntilMs, isCut } = this.options;
    const sender = from.process.name;
    const { nowMs } = receiver.process.scheduler;
    const atMs = Math.max(nowMs + latencyMs(sender, to), blockedUntilMs(sender, to), end.laneFreeMs[lane]);
    end.laneFreeMs[lane] = atMs;
    end.queuedBytes[lane] += bytes;
    receiver.process.in(atMs - nowMs, 'message', () => {
      end.queuedBytes[lane] -= bytes;
      if (isCut(sender, to)) this.lost += 1;
      else if (receiver.linkTo(sender) === end.linkId) act(receiver);
    });
  }
}

export class SimPeers implements Peers {
  readonly process: SimProcess;
  readonly #network: PeerNetwork;
  /** Known peers, as of their last handshake. */
  readonly #known = new Map<string, PeerDescription>();
  readonly #links = new Map<string, LinkEnd>();
  /** Whom it dials and takes links from: as configured, and as its broker said since. */
  readonly #peers: Set<string>;
  #handler: PeerHandler | undefined;

  constructor(network: PeerNetwork, process: SimProcess, configured: readonly string[]) {
    this.#network = network;
    this.process = process;
    this.#peers = new Set(configured.filter((id) => id !== process.name));
  }

  get handler(): PeerHandler {
    return this.#handler!;
  }

  get list(): readonly PeerDescription[] {
    return this.#network.ids.filter((id) => this.#peers.has(id)).map((id) => this.#describe(id));
  }

  #describe(id: string): PeerDescription {
    const known = this.#known.get(id);
    const isUp = this.#links.has(id);
    if (known !== undefined) return { ...known, isUp };
    const unknown = { diskUuid: undefined, clusterId: undefined, clientUrl: undefined, version: undefined };
    return { id, peerAddress: id, isUp, ...unknown };
  }

  attach(handler: PeerHandler): void {
    this.#handler = handler;
  }

  learn(id: string): void {
    if (id !== this.process.name) this.#peers.add(id);
  }

  forget(id: string): void {
    this.#peers.delete(id);
    this.#network.disconnect(this.process.name, id);
  }

  admits(other: SimPeers): true | string {
    if (!this.#peers.has(other.process.name)) return `${other.process.name} is not among the peers`;
    if (this.#handler === undefined || other.#handler === undefined) return 'this node is still starting';
    return this.#handler.admits(other.#handler.identity());
  }

  end(to: string): LinkEnd | undefined {
    return this.#links.get(to);
  }

  linkTo(id: string): number | undefined {
    return this.#links.get(id)?.linkId;
  }

  linkUp(id: string, linkId: number, identity: ReturnType<PeerHandler['identity']>): void {
    const { diskUuid, clusterId, clientUrl, version } = identity;
    this.#known.set(id, { id, peerAddress: id, isUp: true, diskUuid, clusterId, clientUrl, version });
    const lanes = { control: 0, bulk: 0 };
    this.#links.set(id, { linkId, pending: new Set(), laneFreeMs: { ...lanes }, queuedBytes: lanes });
    this.process.in(0, 'message', () => {
      if (this.linkTo(id) === linkId) this.handler.onUp(id);
    });
  }

  linkDown(id: string, linkId: number): void {
    const end = this.#links.get(id);
    if (end?.linkId !== linkId) return;
    this.#links.delete(id);
    for (const call of end.pending) call.reject(new LogError('CONNECTION'));
    this.handler.onDown(id);
  }

  isUp(to: string): boolean {
    return this.#links.has(to);
  }

  queuedBytes(to: string, lane: LaneName): number {
    return this.#links.get(to)?.queuedBytes[lane] ?? 0;
  }

  send(to: string, lane: LaneName, groupId: number, chunks: readonly Uint8Array[]): boolean {
    const end = this.#links.get(to);
    if (end === undefined || end.queuedBytes[lane] > QUEUED_BYTES_MAX) return false;
    // A copy, as the wire makes one: the receiver gets bytes of its own.
    const bytes = chunks.length === 1 ? Uint8Array.prototype.slice.call(chunks[0]) : Buffer.concat(chunks);
    const from = this.process.name;
    this.#network.carry(this, to, lane, bytes.length, (peers) => {
      this.#network.options.onMessage?.(from, to, groupId, bytes);
      peers.handler.onMessage(from, groupId, this.#network.options.forged(from, to, groupId, bytes));
    });
    return true;
  }

  call(
    to: string,
    method: PeerMethod,
    body: readonly Uint8Array[],
    { timeoutMs }: { timeoutMs: number },
  ): Promise<Uint8Array> {
    const end = this.#links.get(to);
    if (end === undefined) return Promise.reject(new LogError('CONNECTION', `${to} is down`, { outcome: 'none' }));
    const bytes = Buffer.concat(body);
    return new Promise((resolve, reject) => {
      const call: PendingCall = { reject: (error) => settle(() => reject(error)) };
      const settle = (finish: () => void): void => {
        // An answer that comes after the question was given up is dropped.
        if (!end.pending.delete(call)) return;
        timer.cancel();
        finish();
      };
      const timer = this.process.env.timers.after(timeoutMs, () => call.reject(new LogError('TIMEOUT')));
      end.pending.add(call);
      this.#network.carry(this, to, laneFor(bytes.length), bytes.length, (peers) =>
        peers.#answer(this.process.name, method, bytes, (result) =>
          settle(() => (result instanceof LogError ? reject(result) : resolve(result))),
        ),
      );
    });
  }

  #answer(from: string, method: PeerMethod, body: Uint8Array, tell: (result: Uint8Array | LogError) => void): void {
    const linkId = this.linkTo(from);
    const send = (result: Uint8Array | LogError, bytes: number): void => {
      if (this.linkTo(from) === linkId) this.#network.carry(this, from, laneFor(bytes), bytes, () => tell(result));
    };
    this.handler.onCall(from, method, body).then(
      (chunks) => {
        const result = Buffer.concat(chunks);
        send(result, result.length);
      },
      (error: unknown) => {
        send(LogError.is(error) ? error : new LogError('INTERNAL', String(error), { cause: error }), 0);
      },
    );
  }
}

function laneFor(bytes: number): LaneName {
  return bytes <= CONTROL_BODY_BYTES_MAX ? 'control' : 'bulk';
}
