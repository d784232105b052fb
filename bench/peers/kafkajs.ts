/** Kafka through kafkajs. */
import { setTimeout as delay } from 'node:timers/promises';
import { batchRecords, IN_SYNC_MIN, type KafkaSettings, REPLICAS } from './kafka.ts';
import { inLanes } from './pace.ts';
import type { Driver, Throughput } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';

const BATCHES_IN_FLIGHT = 5;
const READ_MS_MAX = 60_000;
const FETCH_BYTES = 10 * 1024 * 1024;
/** Brokers register one after the other; until all have, three replicas are refused. */
const CREATE_TRIES = 100;
const CREATE_RETRY_MS = 300;

// The little of the library that is used here.
interface Message {
  readonly value: Buffer;
}
interface Producer {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  send(request: { topic: string; acks: number; messages: readonly Message[] }): Promise<unknown>;
}
interface Consumer {
  readonly events: { readonly GROUP_JOIN: string };
  on(event: string, listener: () => void): void;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  subscribe(request: { topics: readonly string[]; fromBeginning: boolean }): Promise<void>;
  run(request: {
    autoCommit: boolean;
    eachBatch(payload: { batch: { readonly messages: readonly unknown[] } }): Promise<void>;
  }): Promise<void>;
}
interface Admin {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  createTopics(request: object): Promise<boolean>;
  deleteTopics(request: object): Promise<void>;
  fetchTopicMetadata(request: {
    topics: readonly string[];
  }): Promise<{ readonly topics: readonly { readonly partitions: readonly { readonly leader: number }[] }[] }>;
}
interface Kafka {
  admin(options?: object): Admin;
  producer(options?: object): Producer;
  consumer(options: object): Consumer;
}
interface Library {
  readonly default: {
    readonly Kafka: new (options: object) => Kafka;
    readonly logLevel: { readonly NOTHING: number };
    readonly Partitioners: { readonly DefaultPartitioner: unknown };
  };
}

export async function openKafkajs({ brokers }: KafkaSettings, tools: PeersDir): Promise<Driver> {
  const { Kafka, logLevel, Partitioners } = (await tools.load<Library>('kafkajs')).default;
  const kafka = new Kafka({
    clientId: 'bench',
    brokers,
    logLevel: logLevel.NOTHING,
    // Quick and stubborn, so that a failover shows the brokers' time and not the library's.
    retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 500 },
  });
  const admin = kafka.admin();
  await admin.connect();
  let groups = 0;
  const openProducer = async (): Promise<Producer> => {
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    return producer;
  };
  return {
    createTopic: (topic) => createTopic(admin, topic),
    deleteTopic: (topic) => admin.deleteTopics({ topics: [topic] }),
    async sender(topic) {
      const producer = await openProducer();
      return {
        send: (value) => producer.send({ topic, acks: -1, messages: [{ value: Buffer.from(value) }] }),
        close: () => producer.disconnect(),
      };
    },
    async produce(topic, { values, seconds }) {
      const producer = await openProducer();
      const messages = values.map((value) => ({ value: Buffer.from(value) }));
      const batch = Array.from({ length: batchRecords(values[0]!.length) }, (_, n) => messages[n % messages.length]!);
      await producer.send({ topic, acks: -1, messages: [messages[0]!] });
      const result = await inLanes(BATCHES_IN_FLIGHT, seconds, async () => {
        await producer.send({ topic, acks: -1, messages: batch });
        return batch.length;
      });
      await producer.disconnect();
      return result;
    },
    async consume(topic, records) {
      const consumer = kafka.consumer({
        groupId: `${topic}-${groups++}`,
        maxBytes: FETCH_BYTES,
        maxBytesPerPartition: FETCH_BYTES,
      });
      await consumer.connect();
      try {
        return await readAll(consumer, topic, records);
      } finally {
        await consumer.disconnect();
      }
    },
    async leader(topic) {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const leader = topics[0]?.partitions[0]?.leader ?? -1;
      return leader < 1 ? undefined : leader - 1;
    },
    close: () => admin.disconnect(),
  };
}

async function createTopic(admin: Admin, topic: string): Promise<void> {
  const config = [{ name: 'min.insync.replicas', value: String(IN_SYNC_MIN) }];
  const topics = [{ topic, numPartitions: 1, replicationFactor: REPLICAS, configEntries: config }];
  for (let attempt = 1; ; attempt++) {
    try {
      await admin.createTopics({ waitForLeaders: true, topics });
      return;
    } catch (error) {
      if (attempt === CREATE_TRIES) throw error;
      await delay(CREATE_RETRY_MS);
    }
  }
}

/** Time counts from the moment the group is joined: joining is a matter of timers. */
async function readAll(consumer: Consumer, topic: string, records: number): Promise<Throughput> {
  let begunMs = 0;
  let read = 0;
  consumer.on(consumer.events.GROUP_JOIN, () => {
    begunMs = performance.now();
  });
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<number>((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${topic} gave ${read} of ${records} records`)), READ_MS_MAX);
    const eachBatch = async ({ batch }: { batch: { readonly messages: readonly unknown[] } }): Promise<void> => {
      read += batch.messages.length;
      if (read >= records) resolve(performance.now());
    };
    consumer.run({ autoCommit: false, eachBatch }).catch(reject);
  });
  try {
    return { seconds: ((await ended) - begunMs) / 1_000, records: read };
  } finally {
    clearTimeout(timer);
  }
}
