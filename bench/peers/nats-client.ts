/** NATS JetStream through the client for JavaScript: single publishes, or its fast ingest. */
import type { NatsSettings } from './nats.ts';
import { inLanes, timed, untilTimeIsUp } from './pace.ts';
import type { Driver, ProduceLoad, Throughput } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';

/** Single publishes in flight when as many as possible go through. */
const PUBLISHES_IN_FLIGHT = 1_000;
/**
 * Fast ingest: messages between two acknowledgements, and how many such windows are in flight; the best of those tried.
 */
const FAST = { ackInterval: 2_000, maxOutstandingAcks: 3 };
/** Messages that are added in one turn: the library then sends them together, four times as many a second. */
const FAST_A_TURN = 500;
const READ_AHEAD = 10_000;
const REQUEST_MS_MAX = 5_000;

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
  last(subject: string, value: Uint8Array): Promise<{ readonly count: number }>;
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
    async produce(topic, load) {
      if (publish === 'single') return publishSingly(js, topic, load);
      const begin = (value: Uint8Array): Promise<FastIngest> =>
        internal.startFastIngest(own, topic, value, { allowGaps: false, ...FAST });
      return ingestFast(begin, topic, load);
    },
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
    ...(isReadToo && { consume: (topic: string, records: number) => readAll(js, topic, records) }),
    async leader(topic) {
      const { cluster } = await manager.streams.info(topic);
      const at = names.indexOf(cluster?.leader ?? '');
      return at < 0 ? undefined : at;
    },
  };
}

function publishSingly(js: JetStream, topic: string, { values, seconds }: ProduceLoad): Promise<Throughput> {
  return inLanes(PUBLISHES_IN_FLIGHT, seconds, async (n) => {
    await js.publish(topic, values[n % values.length]!);
    return 1;
  });
}

function ingestFast(
  begin: (value: Uint8Array) => Promise<FastIngest>,
  topic: string,
  { values, seconds }: ProduceLoad,
): Promise<Throughput> {
  return timed(async () => {
    const isTimeLeft = untilTimeIsUp(seconds, 1);
    const ingest = await begin(values[0]!);
    let sent = 1;
    while (isTimeLeft()) {
      const turn = Array.from({ length: FAST_A_TURN }, (_, n) => values[(sent + n) % values.length]!);
      await Promise.all(turn.map((value) => ingest.add(topic, value)));
      sent += turn.length;
    }
    const { count } = await ingest.last(topic, values[0]!);
    if (count !== sent + 1) throw new Error(`${sent + 1} records were sent, ${count} acknowledged`);
    return count;
  });
}

function readAll(js: JetStream, topic: string, records: number): Promise<Throughput> {
  return timed(async () => {
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
}
