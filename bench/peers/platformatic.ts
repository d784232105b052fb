/** Kafka through @platformatic/kafka. */
import { setTimeout as delay } from 'node:timers/promises';
import { batchRecords, IN_SYNC_MIN, type KafkaSettings, REPLICAS } from './kafka.ts';
import { inLanes, timed } from './pace.ts';
import type { Driver } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';

const BATCHES_IN_FLIGHT = 5;
const FETCH_BYTES = 10 * 1024 * 1024;
const CREATE_TRIES = 100;
const CREATE_RETRY_MS = 300;

// The little of the library that is used here.
interface Closable {
  close(force?: boolean): Promise<void>;
}
interface Producer extends Closable {
  send(request: { acks: number; messages: readonly { topic: string; value: Buffer }[] }): Promise<unknown>;
}
interface Consumer extends Closable {
  consume(request: object): Promise<AsyncIterable<unknown> & Closable>;
}
interface Admin extends Closable {
  createTopics(request: object): Promise<unknown>;
  deleteTopics(request: object): Promise<unknown>;
  metadata(request: object): Promise<{
    readonly topics: ReadonlyMap<
      string,
      { readonly partitions: Readonly<Record<number, { readonly leader: number }>> }
    >;
  }>;
}
interface Library {
  readonly Admin: new (options: object) => Admin;
  readonly Producer: new (options: object) => Producer;
  readonly Consumer: new (options: object) => Consumer;
}

export async function openPlatformatic({ brokers }: KafkaSettings, tools: PeersDir): Promise<Driver> {
  const { Admin, Producer, Consumer } = await tools.load<Library>('@platformatic/kafka');
  // Quick and stubborn, so that a failover shows the brokers' time and not the library's.
  const common = { clientId: 'bench', bootstrapBrokers: [...brokers], retries: 500, retryDelay: 50 };
  const admin = new Admin(common);
  let groups = 0;
  const acks = -1;
  return {
    async createTopic(topic) {
      const configs = [{ name: 'min.insync.replicas', value: String(IN_SYNC_MIN) }];
      for (let attempt = 1; ; attempt++) {
        try {
          await admin.createTopics({ topics: [topic], partitions: 1, replicas: REPLICAS, configs });
          return;
        } catch (error) {
          // Brokers register one after the other; until all have, three replicas are refused.
          if (attempt === CREATE_TRIES) throw error;
          await delay(CREATE_RETRY_MS);
        }
      }
    },
    async deleteTopic(topic) {
      await admin.deleteTopics({ topics: [topic] });
    },
    async sender(topic) {
      const producer = new Producer(common);
      return {
        send: (value) => producer.send({ acks, messages: [{ topic, value: Buffer.from(value) }] }),
        close: () => producer.close(true),
      };
    },
    async produce(topic, { values, seconds }) {
      const producer = new Producer(common);
      const messages = values.map((value) => ({ topic, value: Buffer.from(value) }));
      const batch = Array.from({ length: batchRecords(values[0]!.length) }, (_, n) => messages[n % messages.length]!);
      await producer.send({ acks, messages: [messages[0]!] });
      const result = await inLanes(BATCHES_IN_FLIGHT, seconds, async () => {
        await producer.send({ acks, messages: batch });
        return batch.length;
      });
      await producer.close(true);
      return result;
    },
    async consume(topic, records) {
      const consumer = new Consumer({ ...common, groupId: `${topic}-${groups++}`, maxBytes: FETCH_BYTES });
      try {
        // Resolves when the group is joined, which is a matter of timers; time counts from there.
        const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
        return await timed(async () => {
          let read = 0;
          for await (const _ of stream) {
            read++;
            if (read === records) break;
          }
          return read;
        });
      } finally {
        await consumer.close(true);
      }
    },
    async leader(topic) {
      const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
      const leader = topics.get(topic)?.partitions[0]?.leader ?? -1;
      return leader < 1 ? undefined : leader - 1;
    },
    close: () => admin.close(),
  };
}
