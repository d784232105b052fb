/**
 * The network of a simulated cluster: links between pairs of nodes, each with lanes that keep their order, as TCP
 * does. A link that is cut in one direction or both loses everything there and does not say so until somebody takes it
 * down; a link that is stalled delivers late. What was sent on a link dies with it.
 */
import type { PeerDescription, PeerHandler, PeerMethod, Peers } from '../../../src/broker/index.ts';
import { LogError } from '../../../src/protocol/index.ts';
import type { SimTime } from './sim-env.ts';

/** Larger questions travel on the bulk lane, as they do between real nodes. */
const CONTROL_BODY_BYTES_MAX = 16 * 1024;

const REDIAL_MS = 50;

type LaneName = 'control' | 'bulk';

interface PendingCall {
  readonly linkId: number;
  reject(error: LogError): void;
}

export class SimNetwork {
  readonly time: SimTime;
  /** Who there is to be linked with, for those that start from now on. */
  readonly ids: string[];
  /** Directed links that lose everything, as "from>to". */
  readonly cut: Set<string> = new Set();
  /** Directed links that deliver nothing before this time. */
  readonly stalledUntilMs: Map<string, number> = new Map();
  readonly #latencyMs: () => number;
  readonly #nodes = new Map<string, SimPeers>();
  readonly #laneFreeMs = new Map<string, number>();
  #links = 0;
  /** Messages that were lost on a cut link. */
  dropped = 0;
  /** Messages, questions and answers that were sent. */
  carried = 0;

  constructor(time: SimTime, ids: readonly string[], latencyMs: () => number = () => 1) {
    this.time = time;
    this.ids = [...ids];
    this.#latencyMs = latencyMs;
  }

  /** A node's place in the network, for one life of its process. */
  join(id: string): SimPeers {
    const peers = new SimPeers(this, id);
    this.#nodes.set(id, peers);
    return peers;
  }

  node(id: string): SimPeers | undefined {
    return this.#nodes.get(id);
  }

  isCut(a: string, b: string): boolean {
    return this.cut.has(`${a}>${b}`) || this.cut.has(`${b}>${a}`);
  }

  /** Both ends hear of the link, when both run and admit each other. Returns why not, when one refused. */
  connect(a: string, b: string): string | undefined {
    const one = this.#nodes.get(a);
    const two = this.#nodes.get(b);
    if (one === undefined || two === undefined || this.isCut(a, b) || one.isUp(b)) return undefined;
    if (!one.knows(b) || !two.knows(a)) return undefined;
    const answers = [one.handler.admits(two.handler.identity()), two.handler.admits(one.handler.identity())];
    const refused = answers.find((answer) => answer !== true);
    one.troubles.set(b, refused === undefined ? undefined : String(refused));
    two.troubles.set(a, refused === undefined ? undefined : String(refused));
    if (refused !== undefined) return String(refused);
    this.#links += 1;
    const id = this.#links;
    const [here, there] = [one.handler.identity(), two.handler.identity()];
    one.linkUp(b, id, there);
    two.linkUp(a, id, here);
    return undefined;
  }

  /** Both ends hear that the link is gone. */
  disconnect(a: string, b: string): void {
    this.#nodes.get(a)?.linkDown(b);
    this.#nodes.get(b)?.linkDown(a);
  }

  /** The process of `id` is gone: the others hear it when what it had sent before has arrived. */
  leave(id: string): void {
    this.#nodes.get(id)?.die();
    this.#nodes.delete(id);
    for (const other of this.ids) {
      const peers = this.#nodes.get(other);
      const linkId = peers?.linkTo(id);
      if (peers === undefined || linkId === undefined) continue;
      this.time.add(this.#laneDelayMs(`${id}>${other}/control`, `${id}>${other}`), undefined, () => {
        if (peers.linkTo(id) === linkId) peers.linkDown(id);
      });
    }
  }

  /** Brings `act` to the other end of a link, in the order of its lane, unless it gets lost. */
  carry(from: string, to: string, lane: LaneName, linkId: number, act: (peers: SimPeers) => void): void {
    this.carried += 1;
    const delayMs = this.#laneDelayMs(`${from}>${to}/${lane}`, `${from}>${to}`);
    this.time.add(delayMs, undefined, () => {
      const peers = this.#nodes.get(to);
      if (this.cut.has(`${from}>${to}`)) this.dropped += 1;
      else if (peers !== undefined && peers.linkTo(from) === linkId) act(peers);
    });
  }

  #laneDelayMs(lane: string, link: string): number {
    const stalled = this.stalledUntilMs.get(link) ?? 0;
    const earliest = Math.max(this.time.nowMs + this.#latencyMs(), stalled, this.#laneFreeMs.get(lane) ?? 0);
    this.#laneFreeMs.set(lane, earliest);
    return earliest - this.time.nowMs;
  }
}

export class SimPeers implements Peers {
  readonly #network: SimNetwork;
  readonly #self: string;
  /** Known peers, as of their last handshake. */
  readonly #known = new Map<string, PeerDescription>();
  readonly #links = new Map<string, number>();
  readonly #pending = new Set<PendingCall>();
  readonly #ids: Set<string>;
  /** Why there was no link the last time one was tried. */
  readonly troubles: Map<string, string | undefined> = new Map();
  #handler: PeerHandler | undefined;
  #isDead = false;

  constructor(network: SimNetwork, self: string) {
    this.#network = network;
    this.#self = self;
    this.#ids = new Set(network.ids.filter((id) => id !== self));
  }

  get handler(): PeerHandler {
    return this.#handler!;
  }

  get list(): readonly PeerDescription[] {
    return [...this.#ids].map((id) => this.#describe(id));
  }

  #describe(id: string): PeerDescription {
    const known = this.#known.get(id);
    const isUp = this.#links.has(id);
    const trouble = this.troubles.get(id);
    if (known !== undefined) return { ...known, isUp, trouble };
    const unknown = { diskUuid: undefined, clusterId: undefined, clientUrl: undefined, version: undefined };
    return { id, peerAddress: id, isUp, trouble, ...unknown };
  }

  attach(handler: PeerHandler): void {
    this.#handler = handler;
  }

  knows(id: string): boolean {
    return this.#ids.has(id);
  }

  learn(id: string): void {
    if (id === this.#self || this.#ids.has(id)) return;
    this.#ids.add(id);
    this.#dial(id);
  }

  forget(id: string): void {
    if (!this.#ids.delete(id)) return;
    this.#network.disconnect(this.#self, id);
  }

  /** As real links do: again and again, until there is one or nobody wants it any more. */
  #dial(id: string): void {
    if (this.#isDead || !this.#ids.has(id) || this.#links.has(id)) return;
    this.#network.connect(this.#self, id);
    this.#network.time.add(REDIAL_MS, undefined, () => this.#dial(id));
  }

  linkTo(id: string): number | undefined {
    return this.#links.get(id);
  }

  linkUp(id: string, linkId: number, identity: ReturnType<PeerHandler['identity']>): void {
    const { diskUuid, clusterId, clientUrl, version } = identity;
    this.#known.set(id, { id, peerAddress: id, isUp: true, diskUuid, clusterId, clientUrl, version });
    this.#links.set(id, linkId);
    this.handler.onUp(id);
  }

  linkDown(id: string): void {
    const linkId = this.#links.get(id);
    if (linkId === undefined) return;
    this.#links.delete(id);
    for (const call of this.#pending) if (call.linkId === linkId) call.reject(new LogError('CONNECTION'));
    this.handler.onDown(id);
  }

  die(): void {
    this.#isDead = true;
  }

  isUp(to: string): boolean {
    return this.#links.has(to);
  }

  queuedBytes(): number {
    return 0;
  }

  send(to: string, lane: LaneName, groupId: number, chunks: readonly Uint8Array[]): boolean {
    const linkId = this.#links.get(to);
    if (linkId === undefined || this.#isDead) return false;
    // As a socket would: the receiver gets bytes of its own.
    const bytes = Buffer.concat(chunks);
    this.#network.carry(this.#self, to, lane, linkId, (peers) => peers.handler.onMessage(this.#self, groupId, bytes));
    return true;
  }

  call(
    to: string,
    method: PeerMethod,
    body: readonly Uint8Array[],
    { timeoutMs }: { timeoutMs: number },
  ): Promise<Uint8Array> {
    const linkId = this.#links.get(to);
    if (linkId === undefined || this.#isDead) {
      return Promise.reject(new LogError('CONNECTION', `${to} is down`, { outcome: 'none' }));
    }
    const bytes = Buffer.concat(body);
    return new Promise((resolve, reject) => {
      const call: PendingCall = { linkId, reject: (error) => settle(() => reject(error)) };
      const settle = (finish: () => void): void => {
        // An answer that comes after the question was given up is dropped.
        if (!this.#pending.delete(call)) return;
        timer.cancel();
        finish();
      };
      const timer = this.#network.time.add(timeoutMs, undefined, () => call.reject(new LogError('TIMEOUT')));
      this.#pending.add(call);
      this.#network.carry(this.#self, to, laneFor(bytes.length), linkId, (peers) => {
        const answer = (length: number, finish: () => void): void =>
          peers.#network.carry(to, this.#self, laneFor(length), linkId, () => settle(finish));
        peers.handler.onCall(this.#self, method, bytes).then(
          (chunks) => {
            const result = Buffer.concat(chunks);
            if (!peers.#isDead) answer(result.length, () => resolve(result));
          },
          (error: unknown) => {
            const told = LogError.is(error) ? error : new LogError('INTERNAL', String(error), { cause: error });
            if (!peers.#isDead) answer(0, () => reject(told));
          },
        );
      });
    });
  }
}

function laneFor(bytes: number): LaneName {
  return bytes <= CONTROL_BODY_BYTES_MAX ? 'control' : 'bulk';
}
