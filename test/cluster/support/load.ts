/**
 * Clients at work while nodes die: some writers, each an idempotent producer of the SDK with several records on their
 * way, all noting what they were told in one history; and the reading back at the end.
 */
import { type Client, connect, LogError } from '../../../src/client/index.ts';
import { Recorder } from '../../sim/oracle/index.ts';
import type { TestNode } from './test-node.ts';

/** Records of one writer that wait for their answer at any moment. */
const PIPELINE = 16;

export interface ReadRecord {
  readonly offset: number;
  readonly value: string;
}

export interface LoadOptions {
  readonly servers: string;
  readonly topic: string;
  readonly writers?: number;
}

export class Load {
  readonly history: Recorder = new Recorder();
  /** performance.now() of each acknowledgement, in the order they came. */
  readonly ackTimesMs: number[] = [];
  /** Codes of the errors the writers met. */
  readonly errors: string[] = [];
  readonly #options: LoadOptions;
  #isStopping = false;
  #writers: readonly Promise<void>[] = [];
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  get acked(): number {
    return this.ackTimesMs.length;
  }

  start(): void {
    const { writers = 3 } = this.#options;
    this.#writers = Array.from({ length: writers }, (_, at) => this.#write(`w${at}`));
  }

  /** Resolves when that many more records are acknowledged than now. */
  async moreAcks(count: number): Promise<void> {
    const target = this.acked + count;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ count: target, resolve });
    });
  }

  /** Ends the writers; resolves when each has its last answer. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#writers);
  }

  /** The longest time between two acknowledgements after `sinceMs`. */
  longestGapMs(sinceMs: number): number {
    const times = [sinceMs, ...this.ackTimesMs.filter((timeMs) => timeMs >= sinceMs)];
    return Math.max(0, ...times.slice(1).map((timeMs, at) => timeMs - times[at]!));
  }

  async #write(writer: string): Promise<void> {
    const client = await connect(this.#options.servers.split(','), { requestTimeoutMs: 30_000 });
    const producer = client.topic(this.#options.topic).producer();
    const inFlight = new Set<Promise<void>>();
    for (let n = 0; !this.#isStopping; n++) {
      const sending = this.#send(producer, writer, n);
      inFlight.add(sending);
      void sending.then(() => inFlight.delete(sending));
      if (inFlight.size >= PIPELINE) await Promise.race(inFlight);
    }
    await Promise.all(inFlight);
    await client.close();
  }

  async #send(
    producer: ReturnType<ReturnType<Client['topic']>['producer']>,
    writer: string,
    order: number,
  ): Promise<void> {
    const value = `${writer}-${order}`;
    const partition = partitionOf(this.#options.topic);
    const op = this.history.begin({ kind: 'append', client: writer, partition, values: [value], order });
    try {
      const ack = await producer.send({ value: Buffer.from(value) });
      this.history.end(op, { kind: 'acked', offset: ack.offset ?? null });
      this.ackTimesMs.push(performance.now());
      this.#wake();
    } catch (error) {
      if (!LogError.is(error)) throw error;
      this.errors.push(error.code);
      this.history.end(op, { kind: 'failed', outcome: error.outcome, code: error.code });
      // What follows an unknown fate is the application's decision; here: no more of this writer.
      this.#isStopping = true;
    }
  }

  #wake(): void {
    for (const waiting of this.#waiting) if (this.acked >= waiting.count) waiting.resolve();
    this.#waiting = this.#waiting.filter((waiting) => this.acked < waiting.count);
  }
}

/** The one partition of a topic, as histories name it. */
export function partitionOf(topic: string): string {
  return `${topic}/0`;
}

interface RecordsAnswer {
  readonly records: readonly { readonly offset: number; readonly value: string }[];
  readonly nextOffset: number;
  readonly tail: number;
}

/** The whole partition 0 of a topic, as one node serves it; at 'linearizable' with all that was acknowledged before. */
export async function readAll(
  node: TestNode,
  topic: string,
  level: 'any' | 'linearizable' = 'any',
): Promise<ReadRecord[]> {
  const records: ReadRecord[] = [];
  for (let offset = 0; ; ) {
    const query = `offset=${offset}&limit=10000&level=${level}`;
    const answer = (await node.get(`/v1/topics/${topic}/records?${query}`)) as RecordsAnswer;
    records.push(...answer.records.map((record) => ({ offset: record.offset, value: record.value })));
    if (answer.records.length === 0 || answer.nextOffset >= answer.tail) return records;
    offset = answer.nextOffset;
  }
}
