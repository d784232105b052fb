/**
 * Whole brokers on memory disks, joined by a network of queues with cuts: the production code of broker, partition,
 * raft and storage, in one thread on simulated time.
 */
import {
  Broker,
  type BrokerOptions,
  type PeerDescription,
  type PeerHandler,
  type PeerMethod,
  type Peers,
} from '../../../src/broker/index.ts';
import type { Metrics } from '../../../src/metrics.ts';
import { BATCH_BYTES_MAX, crc32cPortable, encodeRecordBatch, LogError } from '../../../src/protocol/index.ts';
import { DataDirectory, MemoryDisk } from '../../../storage/index.ts';
import { type LogLine, SimTime, simEnv } from './sim-env.ts';

const LATENCY_MS = 1;
const SILENT: Metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };

export interface SimNode {
  readonly id: string;
  disk: MemoryDisk;
  readonly lines: LogLine[];
  broker: Broker | undefined;
  directory: DataDirectory | undefined;
  peers: SimPeers | undefined;
}

export class SimCluster {
  readonly time: SimTime = new SimTime();
  readonly nodes: Map<string, SimNode> = new Map();
  /** Directed links that lose everything, as "from>to". */
  readonly cut: Set<string> = new Set();
  readonly #overrides: Partial<BrokerOptions>;
  #seed: number;

  constructor(ids: readonly string[], overrides: Partial<BrokerOptions> = {}, seed = 1) {
    this.#overrides = overrides;
    this.#seed = seed;
    for (const id of ids) {
      this.nodes.set(id, {
        id,
        disk: new MemoryDisk(),
        lines: [],
        broker: undefined,
        directory: undefined,
        peers: undefined,
      });
    }
  }

  node(id: string): SimNode {
    return this.nodes.get(id)!;
  }

  broker(id: string): Broker {
    return this.node(id).broker!;
  }

  async startAll(): Promise<void> {
    for (const id of this.nodes.keys()) await this.start(id);
  }

  async start(id: string): Promise<void> {
    const node = this.node(id);
    this.#seed += 1;
    const env = simEnv(this.time, this.#seed, node.lines);
    const opening = DataDirectory.open(node.disk, '/data', {
      nodeId: id,
      randomBytes: (count) => env.random.bytes(count),
      onFatal: (error) => {
        throw error;
      },
    });
    const directory = await opening;
    const peers = new SimPeers(this, id);
    node.directory = directory;
    node.peers = peers;
    const options: BrokerOptions = {
      nodeId: id,
      nodeIds: [...this.nodes.keys()],
      bootstrap: true,
      version: '0.0.0-test',
      clientUrl: `ws://${id}/v1/ws`,
      peerAddress: id,
      tickMs: 10,
      timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 },
      segmentBytes: 64 * 1024 * 1024,
      batchBytesMax: BATCH_BYTES_MAX,
      appendBytesMax: BATCH_BYTES_MAX + 1024,
      inflightBytesMax: 8 * 1024 * 1024,
      uncommittedBytesMax: 64 * 1024 * 1024,
      cacheBytesMax: 8 * 1024 * 1024,
      ...this.#overrides,
    };
    let broker: Broker | undefined;
    let failure: unknown;
    Broker.start(options, { env, metrics: SILENT, directory, peers }).then(
      (started) => {
        broker = started;
      },
      (error: unknown) => {
        failure = error;
      },
    );
    for (let waited = 0; broker === undefined && failure === undefined && waited < 5_000; waited += 10)
      await this.time.advance(10);
    if (broker === undefined) throw failure ?? new Error(`broker ${id} did not start`);
    node.broker = broker;
    for (const other of this.nodes.values()) {
      if (other.id === id || other.peers === undefined) continue;
      this.time.add(LATENCY_MS, undefined, () => this.connect(id, other.id));
    }
  }

  /** Both ends hear of the link, when both run and admit each other. */
  connect(a: string, b: string): void {
    const one = this.node(a).peers;
    const two = this.node(b).peers;
    if (one === undefined || two === undefined || this.cut.has(`${a}>${b}`) || this.cut.has(`${b}>${a}`)) return;
    const refused = [one.handler.admits(two.handler.identity()), two.handler.admits(one.handler.identity())].find(
      (answer) => answer !== true,
    );
    if (refused !== undefined) {
      this.node(a).lines.push({ level: 'refused', message: String(refused), fields: { peer: b } });
      if (String(refused).includes('recovering')) this.time.add(50, undefined, () => this.connect(a, b));
      return;
    }
    one.linkUp(b);
    two.linkUp(a);
  }

  disconnect(a: string, b: string): void {
    this.node(a).peers?.linkDown(b);
    this.node(b).peers?.linkDown(a);
  }

  /** As SIGKILL: nothing more is done or flushed; what the memory disk has stays. */
  async crash(id: string): Promise<void> {
    const node = this.node(id);
    const { broker, directory } = node;
    node.peers?.die();
    node.peers = undefined;
    node.broker = undefined;
    node.directory = undefined;
    for (const other of this.nodes.values()) if (other.id !== id) other.peers?.linkDown(id);
    await this.#ending(broker?.stop());
    await this.#ending(directory?.close());
  }

  async #ending(work: Promise<void> | undefined): Promise<void> {
    let isOver = work === undefined;
    void work?.finally(() => {
      isOver = true;
    });
    for (let waited = 0; !isOver && waited < 2_000; waited += 10) await this.time.advance(10);
    if (!isOver) throw new Error('stopping a node took too long');
  }

  /** Advances time until the promise settles. */
  async wait<T>(promise: Promise<T>, withinMs = 20_000): Promise<T> {
    let result: { value: T } | { error: unknown } | undefined;
    promise.then(
      (value) => {
        result = { value };
      },
      (error: unknown) => {
        result = { error };
      },
    );
    for (let waited = 0; result === undefined && waited < withinMs; waited += 5) await this.time.advance(5);
    if (result === undefined) throw new Error(`not settled within ${withinMs} ms of simulated time`);
    if ('error' in result) throw result.error;
    return result.value;
  }

  /** Advances time until the condition holds. */
  async until(condition: () => boolean, what: string, withinMs = 20_000): Promise<void> {
    for (let waited = 0; waited < withinMs; waited += 5) {
      if (condition()) return;
      await this.time.advance(5);
    }
    throw new Error(`not within ${withinMs} ms of simulated time: ${what}`);
  }

  /** Every node running, with a leader for the catalog. */
  async ready(): Promise<void> {
    const running = (): Broker[] => [...this.nodes.values()].flatMap(({ broker }) => broker ?? []);
    await this.until(
      () => running().every((broker) => broker.readiness().every(({ isOk }) => isOk)),
      'every node is ready',
    );
  }

  async createTopic(name: string, options: { partitions?: number; replicas?: number } = {}, on = 'n1'): Promise<void> {
    const { partitions = 1, replicas } = options;
    await this.wait(
      this.broker(on).createTopic({
        name,
        partitions,
        replicas,
        retention: { maxBytes: undefined, maxAgeMs: undefined },
      }),
    );
  }
}

export function batchOf(values: readonly string[], nowMs = 1): Uint8Array {
  return encodeRecordBatch(
    values.map((value) => ({ value: Buffer.from(value) })),
    { nowMs, crc32c: crc32cPortable },
  );
}

class SimPeers implements Peers {
  readonly #cluster: SimCluster;
  readonly #self: string;
  readonly #up = new Map<string, PeerDescription>();
  #handler: PeerHandler | undefined;
  #isDead = false;

  constructor(cluster: SimCluster, self: string) {
    this.#cluster = cluster;
    this.#self = self;
  }

  get handler(): PeerHandler {
    return this.#handler!;
  }

  get list(): readonly PeerDescription[] {
    return [...this.#cluster.nodes.keys()]
      .filter((id) => id !== this.#self)
      .map(
        (id) =>
          this.#up.get(id) ?? {
            id,
            peerAddress: id,
            isUp: false,
            diskUuid: undefined,
            clusterId: undefined,
            clientUrl: undefined,
            version: undefined,
          },
      );
  }

  attach(handler: PeerHandler): void {
    this.#handler = handler;
  }

  linkUp(id: string): void {
    const { diskUuid, clusterId, clientUrl, version } = this.#cluster.node(id).peers!.handler.identity();
    this.#up.set(id, { id, peerAddress: id, isUp: true, diskUuid, clusterId, clientUrl, version });
    this.handler.onUp(id);
  }

  linkDown(id: string): void {
    if (this.#up.delete(id)) this.handler.onDown(id);
  }

  die(): void {
    this.#isDead = true;
  }

  isUp(to: string): boolean {
    return this.#up.has(to);
  }

  queuedBytes(): number {
    return 0;
  }

  send(to: string, _lane: string, groupId: number, chunks: readonly Uint8Array[]): boolean {
    if (!this.#up.has(to)) return false;
    // As a socket would: the receiver gets bytes of its own.
    const bytes = Buffer.concat(chunks);
    this.#deliver(to, (peers) => peers.handler.onMessage(this.#self, groupId, bytes));
    return true;
  }

  call(
    to: string,
    method: PeerMethod,
    body: readonly Uint8Array[],
    { timeoutMs }: { timeoutMs: number },
  ): Promise<Uint8Array> {
    if (!this.#up.has(to)) return Promise.reject(new LogError('CONNECTION', `${to} is down`, { outcome: 'none' }));
    const bytes = Buffer.concat(body);
    return new Promise((resolve, reject) => {
      this.#cluster.time.add(timeoutMs, undefined, () => reject(new LogError('TIMEOUT')));
      this.#deliver(to, (peers) => {
        const answer = (finish: () => void): void => peers.#deliver(this.#self, finish);
        peers.handler.onCall(this.#self, method, bytes).then(
          (chunks) => {
            const result = Buffer.concat(chunks);
            answer(() => resolve(result));
          },
          (error: unknown) => answer(() => reject(error)),
        );
      });
    });
  }

  #deliver(to: string, act: (peers: SimPeers) => void): void {
    if (this.#isDead) return;
    const { time, cut } = this.#cluster;
    time.add(LATENCY_MS, undefined, () => {
      const peers = this.#cluster.node(to).peers;
      if (peers === undefined || this.#isDead || cut.has(`${this.#self}>${to}`)) return;
      act(peers);
    });
  }
}
