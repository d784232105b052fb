/** RabbitMQ through amqplib, which neither reconnects nor tells of confirms that were lost: senders here do both. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { inLanes } from './pace.ts';
import type { Driver, Sender, Throughput } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';
import type { RabbitmqSettings } from './rabbitmq.ts';

const run = promisify(execFile);
const PUBLISHES_IN_FLIGHT = 2_000;
const PREFETCH = 2_000;
const ACK_EVERY = 500;
const READ_MS_MAX = 60_000;
const CTL_MS_MAX = 20_000;

// The little of the library that is used here.
interface Emitter {
  on(event: string, listener: () => void): void;
}
interface Message {
  readonly fields: { readonly deliveryTag: number };
}
interface Channel extends Emitter {
  assertQueue(queue: string, options: object): Promise<unknown>;
  deleteQueue(queue: string): Promise<unknown>;
  publish(exchange: string, queue: string, value: Buffer, options: object, done: (error: unknown) => void): boolean;
  prefetch(count: number): Promise<unknown>;
  consume(queue: string, listener: (message: Message | null) => void): Promise<unknown>;
  ack(message: Message, allUpTo: boolean): void;
  close(): Promise<void>;
}
interface Connection extends Emitter {
  createConfirmChannel(): Promise<Channel>;
  close(): Promise<void>;
}
interface Opened {
  readonly connection: Connection;
  readonly channel: Channel;
}
interface Library {
  readonly default: { connect(url: string): Promise<Connection> };
}

export async function openAmqplib({ urls, names, ctl }: RabbitmqSettings, tools: PeersDir): Promise<Driver> {
  const { connect } = (await tools.load<Library>('amqplib')).default;
  const open = async (at: number): Promise<Opened> => {
    const connection = await connect(urls[at]!);
    // Without a listener an error ends the process; what waits for an answer learns of it by 'close'.
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    return { connection, channel };
  };
  const own = await open(0);
  const sender = async (topic: string): Promise<Sender> => {
    const lossy = new ConfirmedSender(open, urls.length, topic);
    await lossy.connect();
    return lossy;
  };
  return {
    async createTopic(topic) {
      await own.channel.assertQueue(topic, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    },
    async deleteTopic(topic) {
      await own.channel.deleteQueue(topic);
    },
    sender,
    async produce(topic, { values, seconds }) {
      const one = await sender(topic);
      const result = await inLanes(PUBLISHES_IN_FLIGHT, seconds, async (n) => {
        await one.send(values[n % values.length]!);
        return 1;
      });
      await one.close();
      return result;
    },
    async consume(topic, records) {
      const { connection, channel } = await open(0);
      try {
        await channel.prefetch(PREFETCH);
        return await readAll(channel, topic, records);
      } finally {
        await connection.close();
      }
    },
    consumesOnce: true,
    async leader(topic) {
      for (const name of names) {
        const words = ['-n', name, '--silent', '--formatter', 'json', 'list_queues', 'name', 'leader'];
        const options = { env: { ...process.env, ...ctl.env }, timeout: CTL_MS_MAX };
        const asked = await run(ctl.program, words, options).catch(() => undefined);
        if (asked === undefined) continue;
        const queues = JSON.parse(asked.stdout) as readonly { readonly name: string; readonly leader: string }[];
        const at = names.indexOf(queues.find((queue) => queue.name === topic)?.leader ?? '');
        if (at >= 0) return at;
      }
      return undefined;
    },
    close: () => own.connection.close(),
  };
}

/** A connection that is made anew, to the next node, when it was lost; publishes under way are then rejected. */
class ConfirmedSender implements Sender {
  readonly #open: (at: number) => Promise<Opened>;
  readonly #nodes: number;
  readonly #queue: string;
  readonly #waiting = new Set<(error: Error) => void>();
  #at = 0;
  #opened: Promise<Opened> | undefined;
  /** What #opened resolved to, until it is left. */
  #current: Opened | undefined;

  constructor(open: (at: number) => Promise<Opened>, nodes: number, queue: string) {
    this.#open = open;
    this.#nodes = nodes;
    this.#queue = queue;
  }

  async connect(): Promise<Opened> {
    if (this.#opened === undefined) {
      const opening = this.#open(this.#at);
      this.#opened = opening;
      try {
        const opened = await opening;
        opened.connection.on('close', () => this.#leave(opened));
        this.#current = opened;
      } catch (error) {
        this.#next(error as Error);
        throw error;
      }
    }
    return this.#opened;
  }

  async send(value: Uint8Array): Promise<void> {
    const opened = await this.connect();
    const { channel } = opened;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add(reject);
      channel.publish('', this.#queue, Buffer.from(value), { persistent: true }, (error) => {
        this.#waiting.delete(reject);
        if (!error) return resolve();
        reject(error);
        // A channel that first met the queue between two leaders goes on refusing: a new one is needed.
        this.#leave(opened);
      });
    });
  }

  async close(): Promise<void> {
    const opened = this.#current;
    this.#current = undefined;
    await opened?.connection.close();
  }

  /** Does nothing when that one was left already. */
  #leave(opened: Opened): void {
    if (this.#current !== opened) return;
    this.#current = undefined;
    opened.connection.close().catch(() => undefined);
    this.#next(new Error('the connection was lost'));
  }

  #next(reason: Error): void {
    this.#opened = undefined;
    this.#at = (this.#at + 1) % this.#nodes;
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }
}

async function readAll(channel: Channel, queue: string, records: number): Promise<Throughput> {
  let read = 0;
  let timer: NodeJS.Timeout | undefined;
  const begunMs = performance.now();
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${queue} gave ${read} of ${records} records`)), READ_MS_MAX);
      const listener = (message: Message | null): void => {
        if (message === null) return;
        read++;
        if (read % ACK_EVERY === 0 || read === records) channel.ack(message, true);
        if (read === records) resolve();
      };
      channel.consume(queue, listener).catch(reject);
    });
    return { records: read, seconds: (performance.now() - begunMs) / 1_000 };
  } finally {
    clearTimeout(timer);
  }
}
