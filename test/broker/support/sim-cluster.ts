/**
 * Whole brokers on disks that forget, joined by a simulated network: the production code of broker, partition, raft
 * and storage, in one thread on simulated time.
 */
import { Broker, type BrokerOptions } from '../../../src/broker/index.ts';
import type { Metrics } from '../../../src/metrics.ts';
import { BATCH_BYTES_MAX, crc32cPortable, encodeRecordBatch } from '../../../src/protocol/index.ts';
import { DataDirectory, type Disk, MemoryDisk } from '../../../storage/index.ts';
import { type Life, type LogLine, SimTime, simEnv } from './sim-env.ts';
import { SimNetwork } from './sim-network.ts';

const LATENCY_MS = 1;

export interface SimNode {
  readonly id: string;
  disk: Disk;
  readonly lines: LogLine[];
  /** Gauges of this node, as last set. */
  readonly metrics: Map<string, number>;
  broker: Broker | undefined;
  directory: DataDirectory | undefined;
  /** Of the process that runs, or ran last. */
  life: Life;
}

export interface SimClusterOptions {
  readonly seed?: number;
  /** Of one message on its way; at least its order within a lane is kept. */
  latencyMs?(): number;
  /** Of a process that its disk brings to an end; standard: an error of the test. */
  onFatal?(id: string, error: Error): void;
}

export class SimCluster {
  readonly time: SimTime = new SimTime();
  readonly nodes: Map<string, SimNode> = new Map();
  readonly network: SimNetwork;
  readonly #overrides: Partial<BrokerOptions>;
  readonly #onFatal: (id: string, error: Error) => void;
  #seed: number;

  constructor(ids: readonly string[], overrides: Partial<BrokerOptions> = {}, options: SimClusterOptions = {}) {
    this.#overrides = overrides;
    this.#seed = options.seed ?? 1;
    this.#onFatal =
      options.onFatal?.bind(options) ??
      ((_, error) => {
        throw error;
      });
    this.network = new SimNetwork(this.time, ids, options.latencyMs?.bind(options) ?? (() => LATENCY_MS));
    for (const id of ids) {
      const life = { isOver: true, skewMs: 0 };
      this.nodes.set(id, { ...unstarted(id), life });
    }
  }

  /** A node with an empty disk that nobody knows yet; it knows those that were there before it. */
  addMachine(id: string): void {
    const life = { isOver: true, skewMs: 0 };
    this.nodes.set(id, { ...unstarted(id), life });
  }

  /** Directed links that lose everything, as "from>to". */
  get cut(): Set<string> {
    return this.network.cut;
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

  /** Starts a node and waits until its broker runs. */
  async start(id: string, more: Partial<BrokerOptions> = {}): Promise<void> {
    await this.wait(this.launch(id, more));
  }

  /** Starts a node without moving time: resolves once its broker runs. Never, when it is killed before. */
  async launch(id: string, more: Partial<BrokerOptions> = {}): Promise<void> {
    const node = this.node(id);
    this.#seed += 1;
    const life: Life = { isOver: false, skewMs: node.life.skewMs };
    node.life = life;
    const env = simEnv(this.time, this.#seed, node.lines, life);
    const directory = await DataDirectory.open(node.disk, '/data', {
      nodeId: id,
      randomBytes: (count) => env.random.bytes(count),
      onFatal: (error) => this.#onFatal(id, error),
    });
    node.directory = directory;
    const peers = this.network.join(id);
    const options = { ...this.#options(id), ...this.#overrides, ...more };
    node.broker = await Broker.start(options, { env, metrics: gaugesOf(node), directory, peers });
    for (const other of this.nodes.keys()) {
      if (other !== id) this.time.add(LATENCY_MS, undefined, () => this.connect(id, other));
    }
  }

  #options(id: string): BrokerOptions {
    return {
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
      space: { warnBelowBytes: 0, warnBelowPercent: 0, rejectBelowBytes: 0, rejectBelowPercent: 0 },
      scrub: { periodMs: 0, bytesPerSecond: 8 * 1024 * 1024 },
      compactionBytesPerSecond: 8 * 1024 * 1024,
      compactionMapBytes: 8 * 1024 * 1024,
    };
  }

  /** Both ends hear of the link, when both run and admit each other. */
  connect(a: string, b: string): void {
    const refused = this.network.connect(a, b);
    if (refused === undefined) return;
    this.node(a).lines.push({ level: 'refused', message: refused, fields: { peer: b } });
    if (refused.includes('recovering')) this.time.add(50, undefined, () => this.connect(a, b));
  }

  disconnect(a: string, b: string): void {
    this.network.disconnect(a, b);
  }

  /** Stops a node in order: everything is flushed and closed. */
  async stop(id: string): Promise<void> {
    const { broker, directory } = this.node(id);
    const stopping = (async () => {
      await broker?.stop();
      this.#end(id);
      await directory?.close();
    })();
    await this.wait(stopping, 5_000);
    this.node(id).life.isOver = true;
  }

  /** As SIGKILL: nothing more is done. What the disk makes of it is the disk's; see `disk`. */
  kill(id: string): void {
    this.node(id).life.isOver = true;
    this.#end(id);
  }

  #end(id: string): void {
    const node = this.node(id);
    this.network.leave(id);
    node.broker = undefined;
    node.directory = undefined;
  }

  /** As SIGSTOP for a while: its timers do not run, and what the others send it arrives afterwards. */
  pause(id: string, forMs: number): void {
    const untilMs = this.time.nowMs + forMs;
    this.node(id).life.heldUntilMs = untilMs;
    for (const other of this.nodes.keys()) this.network.stalledUntilMs.set(`${other}>${id}`, untilMs);
  }

  /** Cuts a node off from all others and closes its logs; what the memory disk has stays. */
  async crash(id: string): Promise<void> {
    const { broker, directory } = this.node(id);
    this.network.leave(id);
    this.node(id).broker = undefined;
    await this.wait(broker?.stop() ?? Promise.resolve(), 2_000);
    await this.wait(directory?.close() ?? Promise.resolve(), 2_000);
    this.kill(id);
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

  running(): Broker[] {
    return [...this.nodes.values()].flatMap(({ broker }) => broker ?? []);
  }

  /** Every node running, with a leader for the catalog. */
  async ready(withinMs = 20_000): Promise<void> {
    await this.until(
      () => this.running().every((broker) => broker.readiness().every(({ isOk }) => isOk)),
      'every node is ready',
      withinMs,
    );
  }

  /** What that node says of damage, as /readyz?verbose would. */
  damageOn(id: string): string {
    const checks = this.broker(id).readiness();
    return checks.find(({ name }) => name === 'partitions')!.detail;
  }

  async createTopic(name: string, options: { partitions?: number; replicas?: number } = {}, on = 'n1'): Promise<void> {
    const { partitions = 1, replicas } = options;
    await this.wait(
      this.broker(on).createTopic({
        name,
        partitions,
        replicas,
        retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined },
      }),
    );
  }
}

function unstarted(id: string): Omit<SimNode, 'life'> {
  return { id, disk: new MemoryDisk(), lines: [], metrics: new Map(), broker: undefined, directory: undefined };
}

function gaugesOf({ metrics }: SimNode): Metrics {
  const set = (name: string, value: number): void => void metrics.set(name, value);
  return { add: () => undefined, set, observe: () => undefined };
}

export function batchOf(values: readonly string[], nowMs = 1): Uint8Array {
  return encodeRecordBatch(
    values.map((value) => ({ value: Buffer.from(value) })),
    { nowMs, crc32c: crc32cPortable },
  );
}
