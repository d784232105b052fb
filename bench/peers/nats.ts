/**
 * NATS JetStream: three servers, a stream with three replicas on files, through the client for JavaScript. It answers
 * when a majority has written; by default nothing is flushed before that (sync_interval 2 minutes), with
 * `sync_interval: always` each write is.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../bench-cluster.ts';
import type { BenchContext } from '../scenario.ts';
import { inLanes, timed, untilTimeIsUp } from './pace.ts';
import type { Driver, Peer, RunningPeer, Throughput } from './peer.ts';
import { PeerProcess } from './peer-process.ts';
import type { PeersDir } from './peers-dir.ts';
import { startServers, versionOf } from './servers.ts';

const NODES = 3;
const PACKAGES = ['@nats-io/transport-node', '@nats-io/jetstream'];
/** Single publishes in flight when as many as possible go through. */
const PUBLISHES_IN_FLIGHT = 1_000;
/** Fast ingest: messages between two acknowledgements, and how many such windows are in flight; the best of those tried. */
const FAST = { ackInterval: 2_000, maxOutstandingAcks: 3 };
/** Messages that are added in one turn: the library then sends them together, four times as many a second. */
const FAST_A_TURN = 500;
const READ_AHEAD = 10_000;
const REQUEST_MS_MAX = 5_000;
const READY_MS_MAX = 30_000;

interface NatsSettings {
  readonly servers: readonly string[];
  /** Of the servers, as the leader of a stream is named. */
  readonly names: readonly string[];
  /** 'single': a publish with an acknowledgement each. 'fast': fast ingest, which acknowledges many at once. */
  readonly publish: 'single' | 'fast';
  /** Reading is the same whatever is flushed when: it is measured once. */
  readonly isReadToo: boolean;
}

export function natsPeer(name: string, sync: 'default' | 'always'): Peer {
  return {
    name,
    missing: async (tools) => [...tools.missingProgram('nats-server'), ...tools.missingPackages(PACKAGES)],
    start: (context, tools, dir) => start(context, tools, dir, sync),
  };
}

async function start(
  context: BenchContext,
  tools: PeersDir,
  dir: string,
  sync: 'default' | 'always',
): Promise<RunningPeer> {
  const ports = await freePorts(3 * NODES);
  const [clientPorts, routePorts, monitorPorts] = [0, 1, 2].map((kind) =>
    ports.slice(kind * NODES, (kind + 1) * NODES),
  );
  const names = Array.from({ length: NODES }, (_, at) => `n${at + 1}`);
  const processes = await Promise.all(
    names.map(async (server, at) => {
      const storeDir = join(dir, server);
      await mkdir(storeDir, { recursive: true });
      const config = join(dir, `${server}.conf`);
      await writeFile(
        config,
        [
          `server_name: ${server}`,
          `listen: "127.0.0.1:${clientPorts![at]}"`,
          `http: "127.0.0.1:${monitorPorts![at]}"`,
          `jetstream { store_dir: "${storeDir}"${sync === 'always' ? ', sync_interval: always' : ''} }`,
          'cluster {',
          '  name: bench',
          `  listen: "127.0.0.1:${routePorts![at]}"`,
          `  routes: [${routePorts!.map((port) => `"nats-route://127.0.0.1:${port}"`).join(', ')}]`,
          '}',
          '',
        ].join('\n'),
      );
      const words = ['-c', config];
      return new PeerProcess(context.cleanup, {
        name: `nats ${server}`,
        program: tools.program('nats-server'),
        words,
        cwd: dir,
      });
    }),
  );
  const isHealthy = (at: number) => async (): Promise<boolean> =>
    (await fetch(`http://127.0.0.1:${monitorPorts![at]}/healthz`)).ok;
  const { look, failover } = await startServers(context, processes, { isReady: isHealthy, timeoutMs: READY_MS_MAX });
  const flushed = sync === 'always' ? 'sync_interval always: flushed' : 'default sync: not flushed';
  const version = await versionOf(context, tools.program('nats-server'));
  const library = `nats.js ${tools.packageVersion('@nats-io/jetstream')}`;
  const settings = (publish: NatsSettings['publish']): NatsSettings => ({
    servers: clientPorts!.map((port) => `127.0.0.1:${port}`),
    names,
    publish,
    isReadToo: sync === 'default',
  });
  return {
    label: `NATS JetStream ${version}, R${NODES}, ${flushed}`,
    clients: [
      {
        label: `${library}, single publishes`,
        driver: 'nats',
        settings: settings('single'),
        targets: {
          ...(sync === 'default' && { 'one in flight p50': 1 }),
          singles: 1.3,
          ...(sync === 'default' && { 'consume 100 B': 4 }),
        },
      },
      {
        label: `${library}, fast ingest`,
        driver: 'nats',
        settings: settings('fast'),
        targets: { 'produce 100 B': 8 },
      },
    ],
    // Its failover is the same whatever it flushes, and takes long.
    ...(sync === 'default' && failover),
    look,
  };
}

// The little of the libraries that is used here.
interface Connection {
  close(): Promise<void>;
}
interface Transport {
  connect(options: object): Promise<Connection>;
}
interface JetStream {
  publish(subject: string, value: Uint8Array, options?: object): Promise<unknown>;
  consumers: { get(stream: string, options: object): Promise<Consumer> };
}
interface Consumer {
  consume(options: object): Promise<AsyncIterable<{ readonly seq: number }> & { stop(): void }>;
}
interface Manager {
  readonly streams: {
    add(config: object): Promise<unknown>;
    delete(name: string): Promise<unknown>;
    info(name: string): Promise<{ readonly cluster?: { readonly leader?: string } }>;
  };
}
interface JetStreamModule {
  jetstream(connection: Connection, options: object): JetStream;
  jetstreamManager(connection: Connection, options: object): Promise<Manager>;
}
interface FastIngest {
  add(subject: string, value: Uint8Array): Promise<unknown>;
  last(subject: string, value: Uint8Array): Promise<unknown>;
}
interface InternalModule {
  startFastIngest(connection: Connection, subject: string, value: Uint8Array, options: object): Promise<FastIngest>;
}

export async function openNats(settings: NatsSettings, tools: PeersDir): Promise<Driver> {
  const { servers, names, publish, isReadToo } = settings;
  const transport = await tools.load<Transport>('@nats-io/transport-node');
  const library = await tools.load<JetStreamModule>('@nats-io/jetstream');
  const internal = await tools.load<InternalModule>('@nats-io/jetstream/internal');
  const open = (): Promise<Connection> =>
    transport.connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 });
  const own = await open();
  const manager = await library.jetstreamManager(own, { timeout: REQUEST_MS_MAX });
  const js = library.jetstream(own, { timeout: REQUEST_MS_MAX });

  const produceSingly = (topic: string, values: readonly Uint8Array[], seconds: number): Promise<Throughput> =>
    inLanes(PUBLISHES_IN_FLIGHT, seconds, async (n) => {
      await js.publish(topic, values[n % values.length]!);
      return 1;
    });
  const produceFast = (topic: string, values: readonly Uint8Array[], seconds: number): Promise<Throughput> =>
    timed(async () => {
      const isTimeLeft = untilTimeIsUp(seconds, 1);
      const ingest = await internal.startFastIngest(own, topic, values[0]!, { allowGaps: false, ...FAST });
      let sent = 1;
      while (isTimeLeft()) {
        const turn = Array.from({ length: FAST_A_TURN }, (_, n) => values[(sent + n) % values.length]!);
        await Promise.all(turn.map((value) => ingest.add(topic, value)));
        sent += turn.length;
      }
      await ingest.last(topic, values[0]!);
      return sent + 1;
    });
  const consume = (topic: string, records: number): Promise<Throughput> =>
    timed(async () => {
      const consumer = await js.consumers.get(topic, { deliver_policy: 'all' });
      const messages = await consumer.consume({ max_messages: READ_AHEAD });
      let read = 0;
      for await (const { seq } of messages) {
        read++;
        if (seq !== read) throw new Error(`sequence ${seq} where ${read} was due`);
        if (read === records) messages.stop();
      }
      return read;
    });
  const driver: Driver = {
    async createTopic(topic) {
      await manager.streams.add({
        name: topic,
        subjects: [topic],
        storage: 'file',
        num_replicas: servers.length,
        allow_batched: true,
      });
    },
    async deleteTopic(topic) {
      await manager.streams.delete(topic);
    },
    produce: (topic, { values, seconds }) =>
      publish === 'fast' ? produceFast(topic, values, seconds) : produceSingly(topic, values, seconds),
    close: () => own.close(),
  };
  // Fast ingest differs in how it produces; the rest is measured once, through the usual client.
  if (publish === 'fast') return driver;
  return {
    ...driver,
    async sender(topic) {
      const connection = await open();
      const stream = library.jetstream(connection, { timeout: REQUEST_MS_MAX });
      return { send: (value) => stream.publish(topic, value), close: () => connection.close() };
    },
    ...(isReadToo && { consume }),
    async leader(topic) {
      const { cluster } = await manager.streams.info(topic);
      const at = names.indexOf(cluster?.leader ?? '');
      return at < 0 ? undefined : at;
    },
  };
}
