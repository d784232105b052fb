/**
 * The composition root: the only place where real disks, clocks, sockets and the broker meet. Takes the whole Config
 * apart; nobody below sees more than its piece.
 *
 * Start: ports first, so that one that is taken is told before a log is touched and probes are answered during
 * recovery; then the data directory (and its lock), then the broker, and only then are verbs served.
 * Stop, in an order of its own: readiness off, leadership away, clients told, doors closed, logs flushed and closed,
 * lock released. Correctness never depends on any of it (N11): kill -9 is a legal stop.
 */
import { crc32c, DataDirectory, type Disk, MemoryDisk, NodeDisk } from '../../storage/index.ts';
import { Broker } from '../broker/index.ts';
import { type Config, parseAddress } from '../config.ts';
import type { Env, Logger } from '../env.ts';
import { LogError } from '../protocol/index.ts';
import type { ClientSocket } from './client-socket.ts';
import { Health } from './health.ts';
import { HttpListener } from './http-listener.ts';
import { type InProcessSocket, openInProcess } from './in-process.ts';
import { createLogger } from './logger.ts';
import { flushesAtOnce, nodeEnv } from './node-env.ts';
import type { OriginRule } from './origin.ts';
import { PeerLinks } from './peer-links.ts';
import { PrometheusMetrics } from './prometheus.ts';
import { Session, type SessionOptions } from './session.ts';
import { VERSION } from './version.ts';
import { WS_PATH, WsListener } from './ws-listener.ts';

/** Clients reconnect within this, each at a moment of its own. */
const GOAWAY_SPREAD_MS = 1_000;
const READY_POLL_MS = 10;

export interface ServerOptions {
  readonly logger?: Logger;
  /** False: no client port. The node is reached through openInProcess() alone. */
  readonly isListening?: boolean;
  /** Ends the process after a failed flush (rule W4). Called once, after the last words were logged. */
  readonly exit?: (code: number) => void;
}

export type ServerStatus = 'recovering' | 'joining' | 'ready' | 'draining' | 'stopped';

/** Starts a node. @throws ConfigError (port), StorageError (LOCKED, FOREIGN, ...): nothing is left open then. */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<NodeServer> {
  const logger = options.logger ?? loggerOf(config);
  const server = new NodeServer(config, nodeEnv(logger), options);
  try {
    await server.start();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

export class NodeServer {
  readonly nodeId: string;
  readonly #config: Config;
  readonly #env: Env;
  readonly #options: ServerOptions;
  readonly #metrics: PrometheusMetrics;
  readonly #health = new Health();
  readonly #origin: OriginRule;
  /** Sessions of the in-process transport. */
  readonly #sessions = new Set<Session>();
  #http: HttpListener | undefined;
  #ws: WsListener | undefined;
  #peers: PeerLinks | undefined;
  #directory: DataDirectory | undefined;
  #broker: Broker | undefined;
  #draining: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(config: Config, env: Env, options: ServerOptions) {
    this.nodeId = config.nodeId;
    this.#config = config;
    this.#env = env;
    this.#options = options;
    this.#metrics = new PrometheusMetrics({ node: config.nodeId, version: VERSION });
    this.#metrics.onScrape(() => this.#health.report(this.#metrics));
    const own = [config.listen, ...(config.advertise === undefined ? [] : [config.advertise])];
    this.#origin = { origins: config.http.origins, ownNames: own.map((address) => parseAddress(address).host) };
  }

  async start(): Promise<void> {
    if (this.#options.isListening !== false) await this.#listen();
    const { nodeId, peers, peerListen } = this.#config;
    const isAlone = Object.keys(peers).length === 0;
    const listen = isAlone ? undefined : parseAddress(peerListen);
    this.#peers = await PeerLinks.open(this.#env, this.#metrics, { nodeId, peers, listen, crc32c });
    const disk: Disk = this.#config.storage === 'memory' ? new MemoryDisk() : new NodeDisk();
    this.#directory = await DataDirectory.open(disk, this.#config.dataDir, {
      nodeId,
      randomBytes: (count) => this.#env.random.bytes(count),
      flushesInFlightMax: flushesAtOnce(),
      onFatal: (error) => this.#die(error),
    });
    this.#broker = await Broker.start(this.#brokerOptions(), {
      env: this.#env,
      metrics: this.#metrics,
      directory: this.#directory,
      peers: this.#peers,
    });
    this.#health.broker = this.#broker;
    const { clientUrl, peerPort } = this;
    this.#env.logger.info({ node: nodeId, clientUrl, peerPort, dataDir: this.#config.dataDir }, 'node started');
  }

  /** Where clients connect: ws://host:port/v1/ws; undefined without a listener. */
  get clientUrl(): string | undefined {
    return this.#http === undefined ? undefined : `ws://${this.#address()}${WS_PATH}`;
  }

  get httpUrl(): string | undefined {
    return this.#http === undefined ? undefined : `http://${this.#address()}`;
  }

  /** 0 for a cluster of one. */
  get peerPort(): number {
    return this.#peers?.port ?? 0;
  }

  get status(): ServerStatus {
    if (this.#stopping !== undefined) return 'stopped';
    if (this.#draining !== undefined) return 'draining';
    if (this.#broker === undefined) return 'recovering';
    return this.#health.isReady() ? 'ready' : 'joining';
  }

  /** Resolves once /readyz would answer 200. @throws LogError CLOSED when it is stopped before, ABORTED by `signal`. */
  ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (options.signal?.aborted)
          reject(new LogError('ABORTED', 'gave up waiting for the node', { outcome: 'none' }));
        else if (this.#draining !== undefined || this.#stopping !== undefined) reject(new LogError('CLOSED'));
        else if (this.#health.isReady()) resolve();
        else return;
        poll.cancel();
      };
      const poll = this.#env.timers.every(READY_POLL_MS, look);
      look();
    });
  }

  /** The text of one scrape of /metrics. */
  metrics(): Promise<string> {
    return this.#metrics.scrape();
  }

  /** A connection to this node without a socket; for a client in the same process. */
  openInProcess(): InProcessSocket {
    return openInProcess(this.#env.timers, (socket) => this.#openSession(socket));
  }

  #openSession(socket: ClientSocket): void {
    if (this.#broker === undefined || this.#stopping !== undefined) throw new LogError('CLOSED');
    const options = { ...this.#sessionOptions(), face: 'embedded' as const };
    const session = new Session(socket, this.#broker, this.#env, this.#metrics, options, () => {
      this.#sessions.delete(session);
    });
    this.#sessions.add(session);
  }

  /**
   * Takes the node out of traffic: not ready, leads nothing, clients told to go. Reads and answers go on until stop().
   */
  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  /** Closes everything in order; resolves when the data directory is unlocked. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #listen(): Promise<void> {
    const { limits, listen } = this.#config;
    const broker = (): Broker | undefined => this.#broker;
    const sessionOptions = { ...this.#sessionOptions(), origin: this.#origin };
    this.#ws = new WsListener(this.#env, this.#metrics, sessionOptions, broker);
    const identity = { node: this.nodeId, version: VERSION };
    const world = { env: this.#env, metrics: this.#metrics, health: this.#health, identity, crc32c };
    const { connectionsMax, recordBytesMax, batchBytesMax } = limits;
    const http = new HttpListener(world, {
      listen: parseAddress(listen),
      origin: this.#origin,
      connectionsMax,
      recordBytesMax,
      batchBytesMax,
    });
    await http.listen((request, socket, head) => this.#ws?.onUpgrade(request, socket, head));
    this.#http = http;
  }

  async #drain(): Promise<void> {
    this.#env.logger.info({ node: this.nodeId }, 'draining');
    this.#health.isDraining = true;
    await this.#broker?.drain();
    this.#ws?.goAway('the node is shutting down', GOAWAY_SPREAD_MS);
    for (const session of this.#sessions) session.goAway('the node is shutting down', 0);
    this.#http?.endWaiting();
  }

  async #stop(): Promise<void> {
    this.#health.isDraining = true;
    this.#ws?.close();
    for (const session of [...this.#sessions]) session.close(1001, 'the node is stopping');
    await this.#http?.close();
    await this.#broker?.stop();
    await this.#peers?.close();
    await this.#directory?.close();
    this.#metrics.close();
    this.#env.logger.info({ node: this.nodeId }, 'node stopped');
  }

  #die(error: Error): void {
    this.#env.logger.fatal({ error }, 'storage failed; the process ends, and recovery decides what is true');
    const exit = this.#options.exit ?? ((code: number) => process.exit(code));
    exit(1);
  }

  #sessionOptions(): SessionOptions {
    const { recordBytesMax, batchBytesMax, sendBytesMax } = this.#config.limits;
    return { face: 'ws', recordBytesMax, batchBytesMax, sendBytesMax, heartbeatMs: this.#config.ws.heartbeatMs };
  }

  #brokerOptions(): Parameters<typeof Broker.start>[0] {
    const { nodeId, peers, bootstrap, raft, wal, disk, scrub, compaction, limits } = this.#config;
    const ticks = (ms: number): number => Math.max(1, Math.round(ms / raft.tickMs));
    const nodeIds = Object.keys(peers);
    return {
      nodeId,
      nodeIds: nodeIds.length === 0 ? [nodeId] : nodeIds,
      bootstrap,
      version: VERSION,
      clientUrl: this.clientUrl,
      peerAddress: peers[nodeId] ?? this.#config.peerListen,
      tickMs: raft.tickMs,
      timing: {
        heartbeatTicks: ticks(raft.heartbeatMs),
        electionTicksMin: ticks(raft.electionMsMin),
        electionTicksMax: ticks(raft.electionMsMax),
        restTicks: raft.restMs === 0 ? 0 : ticks(raft.restMs),
      },
      lease: raft.leaseReads ? { driftPercent: raft.leaseDriftPercent } : undefined,
      segmentBytes: wal.segmentBytes,
      batchBytesMax: limits.batchBytesMax,
      appendBytesMax: raft.appendBytesMax,
      inflightBytesMax: raft.inflightBytesMax,
      uncommittedBytesMax: raft.uncommittedBytesMax,
      cacheBytesMax: limits.cacheBytesMax,
      snapshots: { bytesPerSecond: raft.snapshotBytesPerSecond },
      space: disk,
      scrub: { periodMs: scrub.periodMs, bytesPerSecond: scrub.ioBytesPerSecond },
      compactionBytesPerSecond: compaction.ioBytesPerSecond,
      compactionMapBytes: compaction.mapBytes,
    };
  }

  /** host:port as clients are told; the port that was really taken where the configured one is 0. */
  #address(): string {
    const { advertise, listen, peers, nodeId } = this.#config;
    const { host, port } = parseAddress(advertise ?? listen);
    const own = peers[nodeId];
    // Nobody can dial "every address"; the host at which peers find this node is the best guess.
    const isWildcard = host === '0.0.0.0' || host === '::';
    const told = isWildcard && own !== undefined ? parseAddress(own).host : host;
    return `${told.includes(':') ? `[${told}]` : told}:${port === 0 ? this.#http?.port : port}`;
  }
}

function loggerOf({ log }: Config): Logger {
  const isPretty = log.pretty === 'yes' || (log.pretty === 'auto' && process.stderr.isTTY === true);
  return createLogger({ level: log.level, isPretty });
}
