/**
 * The client: one pool of connections to a cluster, shared by everything an application opens on it. This file only
 * puts the parts together and takes them down in order; see node-pool.ts, lane.ts and partition-reader.ts for what they
 * do.
 */
import type { NodeInfo } from '../protocol/index.ts';
import { type Admin, ClientAdmin } from './admin.ts';
import { BatchBuffers } from './batch-buffers.ts';
import { bytes, type Codec } from './codec.ts';
import { type ClientEvent, EventHub } from './events.ts';
import { NodePool } from './node-pool.ts';
import { OneShotAppends } from './one-shot.ts';
import { closedError } from './operation.ts';
import { type ConnectOptions, type Settings, settingsOf } from './options.ts';
import type { Platform } from './platform.ts';
import { Requests } from './requests.ts';
import { serverUrls } from './server-url.ts';
import { ClientTopic, type Topic, type TopicHost } from './topic.ts';
import { TopicDirectory } from './topic-directory.ts';
import type { OpenProducer } from './topic-producer.ts';
import type { OpenSubscription } from './topic-subscription.ts';

export type ClientState = 'connecting' | 'ready' | 'reconnecting' | 'draining' | 'closed';

export interface Client extends AsyncDisposable {
  readonly state: ClientState;
  /** As last heard; `id` is undefined before the cluster was born. admin.cluster() asks anew. */
  readonly cluster: { readonly id: string | undefined; readonly nodes: readonly NodeInfo[] };
  topic(name: string): Topic<Uint8Array, Uint8Array>;
  topic<V, K = Uint8Array>(name: string, codec: Codec<V, K>): Topic<V, K>;
  readonly admin: Admin;
  /** What happens from now on. A listener that does not read loses the oldest of 256. */
  events(options?: { readonly signal?: AbortSignal }): AsyncIterable<ClientEvent>;
  /** Flushes the producers, then closes. @throws the first failure of a record. */
  drain(): Promise<void>;
  /** At once: what is not acknowledged fails with CLOSED, outcome none or unknown. */
  close(): Promise<void>;
}

type Servers = string | URL | readonly (string | URL)[];

/**
 * Connects and resolves when a node answered.
 * @throws LogError CONNECTION when none did within connectTimeoutMs, INVALID for options that make no sense.
 */
export async function connectWith(platform: Platform, servers: Servers, options: ConnectOptions = {}): Promise<Client> {
  const client = new PooledClient(platform, serverUrls(servers), settingsOf(options), options.signal);
  try {
    await client.connected();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** As connectWith(), without waiting: the first operation finds out whether the servers are there. */
export function createClient(platform: Platform, servers: Servers, options: ConnectOptions = {}): Client {
  return new PooledClient(platform, serverUrls(servers), settingsOf(options), options.signal);
}

class PooledClient implements Client {
  readonly admin: Admin;
  readonly #core: TopicHost;
  readonly #hub = new EventHub();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.close();
  readonly #producers = new Set<OpenProducer>();
  readonly #subscriptions = new Set<OpenSubscription>();
  #phase: 'open' | 'draining' | 'closed' = 'open';

  constructor(platform: Platform, seeds: readonly string[], settings: Settings, signal: AbortSignal | undefined) {
    const hub = this.#hub;
    const pool = new NodePool(platform, settings, seeds, {
      onConnected: ({ url, welcome }) => hub.emit({ kind: 'connected', node: welcome.nodeId, url }),
      onLeaving: ({ url, welcome }, reason) => hub.emit({ kind: 'goaway', node: welcome.nodeId, url, reason }),
      onLost: ({ url, welcome }, error) => {
        if (this.#phase !== 'closed') hub.emit({ kind: 'reconnecting', node: welcome.nodeId, url, error });
      },
    });
    const requests = new Requests(platform, settings, pool);
    const directory = new TopicDirectory(pool, requests, hub);
    const oneShots = new OneShotAppends({ platform, settings, pool, directory });
    this.admin = new ClientAdmin(requests, directory, pool);
    this.#core = {
      platform,
      settings,
      pool,
      requests,
      directory,
      hub,
      oneShots,
      checkOpen: () => this.#checkOpen(),
      buffers: new BatchBuffers(),
      onProducerOpened: (producer) => this.#producers.add(producer),
      onProducerClosed: (producer) => this.#producers.delete(producer),
      onSubscriptionOpened: (subscription) => this.#subscriptions.add(subscription),
      onSubscriptionClosed: (subscription) => this.#subscriptions.delete(subscription),
    };
    this.#signal = signal;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Resolves when some node answered. */
  async connected(): Promise<void> {
    const { pool, settings } = this.#core;
    const operation = pool.begin(this.#signal, settings.connectTimeoutMs);
    try {
      await pool.acquire({}, operation);
    } finally {
      pool.end(operation);
    }
  }

  get state(): ClientState {
    const { pool } = this.#core;
    if (this.#phase !== 'open') return this.#phase;
    if (pool.hasReady) return 'ready';
    return pool.limits === undefined ? 'connecting' : 'reconnecting';
  }

  get cluster(): Client['cluster'] {
    const { clusterId, nodes } = this.#core.pool;
    return { id: clusterId, nodes };
  }

  topic(name: string): Topic<Uint8Array, Uint8Array>;
  topic<V, K = Uint8Array>(name: string, codec: Codec<V, K>): Topic<V, K>;
  topic(name: string, codec: Codec<Uint8Array, Uint8Array> = bytes): Topic<Uint8Array, Uint8Array> {
    return new ClientTopic(this.#core, name, codec);
  }

  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<ClientEvent> {
    return this.#hub.listen(options.signal);
  }

  async drain(): Promise<void> {
    if (this.#phase !== 'open') return;
    this.#phase = 'draining';
    try {
      const flushes = await Promise.allSettled([...this.#producers].map((producer) => producer.flush()));
      for (const flush of flushes) if (flush.status === 'rejected') throw flush.reason;
    } finally {
      await this.close();
    }
  }

  close(): Promise<void> {
    if (this.#phase === 'closed') return Promise.resolve();
    this.#phase = 'closed';
    this.#signal?.removeEventListener('abort', this.#onAbort);
    // Producers before connections: they say what each record's fate is, and then nothing is sent again.
    for (const producer of [...this.#producers]) producer.abort();
    this.#core.oneShots.close();
    for (const subscription of [...this.#subscriptions]) subscription.end(undefined);
    this.#core.pool.close();
    this.#hub.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(): void {
    if (this.#phase !== 'open') throw closedError('client');
  }
}
