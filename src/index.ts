/**
 * The package's door: a broker inside your own process, and a client that reaches it without a socket.
 *
 *   await using broker = await createBroker({ storage: 'memory', listen: false });
 *   const topic = broker.client().topic('orders');
 *
 * It is the same node `logdrive serve` runs, from the same parts; only the transport of its own clients differs, and
 * that one copies bytes as a socket would. A failed flush ends the process here too: what memory and disk disagree
 * about cannot be served on.
 */
import { type Client, type ConnectOptions, createClient, nodePlatform, type Platform } from './client/index.ts';
import { type ConfigInput, configOf, type NodeServer, type ServerOptions, startServer } from './server/index.ts';

export {
  bytes,
  type Client,
  type Codec,
  type ConnectOptions,
  connect,
  type ErrorCode,
  json,
  LogError,
  type LogRecord,
  type NewRecord,
  type Producer,
  type Subscription,
  type Topic,
  utf8,
} from './client/index.ts';
export { ConfigError } from './server/index.ts';

/** Every key of docs/configuration.md, by group. */
export interface BrokerConfig extends Omit<ConfigInput, 'listen'> {
  /** host:port for clients and HTTP; false: none, only client() reaches the broker. */
  readonly listen?: string | false;
  /** Where the broker logs instead of stderr; a pino logger fits. */
  readonly logger?: NonNullable<ServerOptions['logger']>;
}

export interface Broker extends AsyncDisposable {
  readonly nodeId: string;
  /** Where clients of other processes connect; undefined without a listener. */
  readonly url: string | undefined;
  readonly status: NodeServer['status'];
  /** A new client of this broker in this process. Closed with the broker at the latest. */
  client(options?: ConnectOptions): Client;
  /** Resolves once the broker serves. @throws LogError CLOSED, ABORTED */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Out of traffic: leads nothing, clients are told to go. */
  drain(): Promise<void>;
  /** Closes clients, doors and logs; resolves when the data directory is free. */
  stop(): Promise<void>;
  /** A scrape in the Prometheus text format. */
  metrics(): Promise<string>;
}

/** Names the broker to its own clients where it has no address, in the client's normal form; nobody resolves it. */
const IN_PROCESS_URL = 'ws://in-process.invalid:4437/v1/ws';

/**
 * Recovers the logs, opens the doors and resolves; await ready() before the first append.
 * A broker without `peers` is a cluster of one and forms it by itself.
 * @throws ConfigError for values that make no sense or a port that is taken; LOCKED or FOREIGN data directories.
 */
export async function createBroker(config: BrokerConfig = {}): Promise<Broker> {
  const { listen, logger, ...rest } = config;
  const isAlone = Object.keys(rest.peers ?? {}).length === 0;
  const input: ConfigInput = {
    bootstrap: isAlone,
    ...rest,
    // A library does not chat on stderr.
    log: { level: 'warn', ...rest.log },
    ...(typeof listen === 'string' ? { listen } : {}),
  };
  const options: ServerOptions = { isListening: listen !== false, ...(logger === undefined ? {} : { logger }) };
  return new EmbeddedBroker(await startServer(configOf(input), options));
}

class EmbeddedBroker implements Broker {
  readonly #server: NodeServer;
  readonly #platform: Platform;
  readonly #clients = new Set<Client>();

  constructor(server: NodeServer) {
    this.#server = server;
    const isOwn = (url: string): boolean => url === IN_PROCESS_URL || url === server.clientUrl;
    this.#platform = {
      ...nodePlatform,
      // Other nodes of the cluster are reached as always.
      openSocket: (url) => (isOwn(url) ? server.openInProcess() : nodePlatform.openSocket(url)),
    };
  }

  get nodeId(): string {
    return this.#server.nodeId;
  }

  get url(): string | undefined {
    return this.#server.clientUrl;
  }

  get status(): NodeServer['status'] {
    return this.#server.status;
  }

  client(options: ConnectOptions = {}): Client {
    const client = createClient(this.#platform, this.#server.clientUrl ?? IN_PROCESS_URL, options);
    this.#clients.add(client);
    return client;
  }

  ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#server.ready(options);
  }

  drain(): Promise<void> {
    return this.#server.drain();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()));
    await this.#server.stop();
  }

  metrics(): Promise<string> {
    return this.#server.metrics();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
