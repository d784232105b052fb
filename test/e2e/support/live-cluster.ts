/**
 * A cluster in this process: whole nodes with real sockets and, where the disk matters, real logs in a temporary
 * directory. A node that is stopped and started again keeps its ports and its directory, as a restarted process would;
 * nodes in memory cannot be restarted and are only ever stopped.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, type BrokerConfig, createBroker } from '../../../src/index.ts';
import { freePorts } from '../../support/free-ports.ts';

export interface LiveClusterOptions {
  readonly nodes: readonly string[];
  readonly storage: 'memory' | 'disk';
  /** For every node. */
  readonly config?: BrokerConfig;
}

const READY_MS = 15_000;

export class LiveCluster {
  readonly ids: readonly string[];
  readonly #configs: ReadonlyMap<string, BrokerConfig>;
  readonly #running = new Map<string, Broker>();
  readonly #directory: string;

  private constructor(configs: ReadonlyMap<string, BrokerConfig>, directory: string) {
    this.ids = [...configs.keys()];
    this.#configs = configs;
    this.#directory = directory;
  }

  /** Resolves once every node serves. */
  static async start(options: LiveClusterOptions): Promise<LiveCluster> {
    const { nodes, storage, config } = options;
    const ports = await freePorts(2 * nodes.length);
    const addresses = new Map(nodes.map((id, at) => [id, `127.0.0.1:${ports[at]}`]));
    const peers = nodes.length === 1 ? {} : Object.fromEntries(addresses);
    const directory = await mkdtemp(join(tmpdir(), 'logdrive-live-'));
    const configs = nodes.map((nodeId, at): [string, BrokerConfig] => [
      nodeId,
      {
        ...config,
        nodeId,
        storage,
        dataDir: join(directory, nodeId),
        listen: `127.0.0.1:${ports[nodes.length + at]}`,
        peerListen: addresses.get(nodeId)!,
        peers,
        bootstrap: true,
        log: { level: 'silent' },
      },
    ]);
    const cluster = new LiveCluster(new Map(configs), directory);
    try {
      await Promise.all(nodes.map((id) => cluster.startNode(id)));
      await cluster.ready();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get running(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** WebSocket URLs of all nodes, running or not. */
  get urls(): readonly string[] {
    return this.ids.map((id) => `ws://${this.#configs.get(id)!.listen}/v1/ws`);
  }

  node(id: string): Broker {
    const broker = this.#running.get(id);
    if (broker === undefined) throw new Error(`node ${id} is not running`);
    return broker;
  }

  httpUrl(id: string): string {
    return `http://${this.#configs.get(id)!.listen}`;
  }

  async startNode(id: string): Promise<void> {
    this.#running.set(id, await createBroker(this.#configs.get(id)!));
  }

  /** As SIGTERM without its drain: doors closed, logs flushed, the lock released. */
  async stopNode(id: string): Promise<void> {
    const broker = this.node(id);
    this.#running.delete(id);
    await broker.stop();
  }

  /** Resolves once every running node serves. */
  async ready(): Promise<void> {
    const signal = AbortSignal.timeout(READY_MS);
    await Promise.all([...this.#running.values()].map((broker) => broker.ready({ signal })));
  }

  async stop(): Promise<void> {
    await Promise.all(this.running.map((id) => this.stopNode(id)));
    await rm(this.#directory, { recursive: true, force: true });
  }
}
