/** One topic as an application holds it: a name and a codec. Holding it costs nothing and asks nobody. */
import { formatReadToken, LogError, type ReadToken, type TopicInfo, topicNameProblem } from '../protocol/index.ts';
import { BatchAppender } from './batch-appender.ts';
import type { Codec } from './codec.ts';
import { decodeNew, decodeRecord } from './decode.ts';
import type { OneShotAppends } from './one-shot.ts';
import { integer } from './options.ts';
import { partitionOfKey } from './partitioner.ts';
import type { Producer } from './producer.ts';
import type { ProducerOptions } from './producer-options.ts';
import { type ReadLevel, wantedLevel } from './read-level.ts';
import { checkData, type ReceivedBatch } from './received-data.ts';
import {
  type Ack,
  type BatchAck,
  checkRecordBytes,
  encodeInto,
  type LogRecord,
  type NewRecord,
  newScratch,
  type RecordScratch,
} from './record.ts';
import { type StartAt, wireStartAt } from './start-at.ts';
import type { SubscribeOptions, Subscription } from './subscription.ts';
import { type ProducerHost, TopicProducer } from './topic-producer.ts';
import { type SubscriptionHost, TopicSubscription } from './topic-subscription.ts';

export interface AppendOptions {
  /** Aborting gives up waiting; a record that was sent may be appended all the same. */
  readonly signal?: AbortSignal;
}

export interface ReadOptions {
  /** Default 0. */
  readonly partition?: number;
  /** Default 'earliest'. */
  readonly from?: StartAt;
  /** Stop after about this many bytes; at least one batch is read when there is one. */
  readonly maxBytes?: number;
  /** Records to return at most. Default: all that were read. */
  readonly maxRecords?: number;
  /** At the tail: wait this long for a record, ms; at most 30,000. */
  readonly waitMs?: number;
  /** Default 'any', or 'atLeast' with a token. */
  readonly level?: ReadLevel;
  /** With level atLeast: of an append or a read of this partition. */
  readonly token?: string;
  readonly signal?: AbortSignal;
}

export const READ_DEFAULTS: Required<Pick<ReadOptions, 'partition' | 'from' | 'maxBytes' | 'waitMs'>> = {
  partition: 0,
  from: 'earliest',
  maxBytes: 1024 * 1024,
  waitMs: 0,
};

/** Where an answer comes from, and how fresh it is. */
export interface ReadStamp {
  /** What the answer really holds: level 'lease' may be answered as 'linearizable'. */
  readonly level: ReadLevel;
  /** Node id. */
  readonly node: string;
  /** Everything below it was visible on that node. */
  readonly appliedOffset: number;
  readonly term: number;
}

export interface ReadResult<V, K = Uint8Array> extends ReadStamp {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly LogRecord<V, K>[];
  /** Where to read on. */
  readonly nextOffset: number;
  /** First offset still stored. */
  readonly earliest: number;
  /** One past the last committed record. */
  readonly tail: number;
  /** Of the last record returned, for reads elsewhere at level atLeast; undefined without records. */
  readonly token: string | undefined;
}

export interface TailOptions {
  /** Default 'linearizable', or 'atLeast' with a token. */
  readonly level?: ReadLevel;
  /** With level atLeast: of an append or a read of this partition. */
  readonly token?: string;
  readonly signal?: AbortSignal;
}

export interface Tail extends ReadStamp {
  readonly topic: string;
  readonly partition: number;
  /** One past the last committed record. */
  readonly offset: number;
  readonly earliest: number;
}

/** As ReadResult, with the records as they are stored: whole record batches, each checked against its checksum. */
export interface BatchReadResult extends ReadStamp {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
  /** In order; the first may begin below the offset that was asked for. */
  readonly batches: readonly ReceivedBatch[];
  /** Where to read on. */
  readonly nextOffset: number;
  readonly earliest: number;
  readonly tail: number;
}

export interface Topic<V, K = Uint8Array> {
  readonly name: string;
  /** Appends one record at once, safe against retries. For many, or in order, use a producer. */
  append(record: NewRecord<V, K>, options?: AppendOptions): Promise<Ack>;
  /** Appends all or nothing, at consecutive offsets of one partition. */
  appendBatch(records: readonly NewRecord<V, K>[], options?: AppendOptions): Promise<BatchAck>;
  producer(options?: ProducerOptions): Producer<V, K>;
  /** One bounded read. */
  read(options?: ReadOptions): Promise<ReadResult<V, K>>;
  /** One bounded read of batches as they are stored, for tools that move them unchanged. */
  readBatches(options?: Omit<ReadOptions, 'maxRecords'>): Promise<BatchReadResult>;
  /** A pipeline that appends batches as they are, in order, to one partition. */
  batchAppender(partition: number): Promise<BatchAppender>;
  /** Reads on and on, live at the tail. */
  subscribe(options?: SubscribeOptions): Subscription<V, K>;
  /** The end of a partition, linearizable by default: behind everything acknowledged to anybody before the call. */
  tail(partition?: number, options?: TailOptions): Promise<Tail>;
}

export interface TopicHost extends ProducerHost, SubscriptionHost {
  readonly oneShots: OneShotAppends;
  checkOpen(): void;
}

const READ_BYTES_LIMIT = 4 * 1024 * 1024;
const WAIT_MS_LIMIT = 30_000;
/** Damaged answers to one read before it is called a failure; each is asked of another node. */
const FAULTS_MAX = 3;

export class ClientTopic<V, K> implements Topic<V, K> {
  readonly name: string;
  readonly #host: TopicHost;
  readonly #codec: Codec<V, K>;
  /** For one-shot appends without a key. */
  #turn: number;

  constructor(host: TopicHost, name: string, codec: Codec<V, K>) {
    const problem = topicNameProblem(name);
    if (problem !== undefined) throw new LogError('INVALID', problem);
    this.name = name;
    this.#host = host;
    this.#codec = codec;
    this.#turn = Math.floor(host.platform.random.next() * 2 ** 31);
  }

  async append(record: NewRecord<V, K>, options: AppendOptions = {}): Promise<Ack> {
    const { lastOffset: _lastOffset, count: _count, ...ack } = await this.appendBatch([record], options);
    return ack;
  }

  async appendBatch(records: readonly NewRecord<V, K>[], options: AppendOptions = {}): Promise<BatchAck> {
    this.#host.checkOpen();
    if (records.length === 0) throw new LogError('INVALID', 'A batch has at least one record.');
    const encoded = records.map((record) => this.#encode(record));
    return await this.#withTopic(options.signal, async (topic) => {
      const partition = this.#partitionOf(topic, records, encoded);
      const ref = { topic: topic.name, topicId: topic.id, partition };
      const ack = await this.#host.oneShots.append(ref, encoded, options.signal);
      const { baseOffset: offset, recordCount: count, appendTimeMs: timestamp, term, duplicate } = ack;
      const lastOffset = offset === undefined ? undefined : offset + count - 1;
      const token = tokenOf({ ...ref, offset: lastOffset, term });
      return { topic: topic.name, partition, offset, lastOffset, count, timestamp, term, duplicate, token };
    });
  }

  producer(options: ProducerOptions = {}): Producer<V, K> {
    this.#host.checkOpen();
    return new TopicProducer(this.#host, this.name, this.#codec, options);
  }

  subscribe(options: SubscribeOptions = {}): Subscription<V, K> {
    this.#host.checkOpen();
    return new TopicSubscription(this.#host, this.name, this.#codec, options);
  }

  async tail(partition = 0, options: TailOptions = {}): Promise<Tail> {
    this.#host.checkOpen();
    const wanted = wantedLevel(options.level, options.token, 'linearizable');
    return await this.#withTopic(options.signal, async (info) => {
      const node = info.partitions[partition]?.leader;
      const topic = { id: info.id };
      const { body } = await this.#host.requests.ask({ kind: 'tail', topic, partition, ...wanted }, 'tail', {
        wish: { node },
        signal: options.signal,
      });
      const { earliest, tail: offset, appliedOffset, term, level } = body;
      return { topic: info.name, partition, offset, earliest, node: body.node, appliedOffset, term, level };
    });
  }

  async read(options: ReadOptions = {}): Promise<ReadResult<V, K>> {
    const { maxRecords = Number.MAX_SAFE_INTEGER, ...where } = options;
    integer('maxRecords', maxRecords, 1, Number.MAX_SAFE_INTEGER);
    const { batches, topicId, ...read } = await this.readBatches(where);
    const { partition } = read;
    const all = batches.flatMap((batch) => this.#decode(batch, partition));
    const records = all.slice(0, maxRecords);
    const offset = records.at(-1)?.offset;
    const last = batches.find(({ nextOffset: end }) => offset !== undefined && offset < end);
    const token = tokenOf({ topicId, partition, offset, term: last?.term ?? 0 });
    const nextOffset = records.length < all.length ? records.at(-1)!.offset + 1 : read.nextOffset;
    return { ...read, records, nextOffset, token };
  }

  async readBatches(options: Omit<ReadOptions, 'maxRecords'> = {}): Promise<BatchReadResult> {
    this.#host.checkOpen();
    const partition = integer('partition', options.partition ?? READ_DEFAULTS.partition, 0, Number.MAX_SAFE_INTEGER);
    const start = wireStartAt(options.from ?? READ_DEFAULTS.from);
    const bytesMax = integer('maxBytes', options.maxBytes ?? READ_DEFAULTS.maxBytes, 1, READ_BYTES_LIMIT);
    const waitMs = integer('waitMs', options.waitMs ?? READ_DEFAULTS.waitMs, 0, WAIT_MS_LIMIT);
    const { signal } = options;
    const wanted = wantedLevel(options.level, options.token, 'any');
    return await this.#withTopic(signal, async (info) => {
      const oneOf = info.partitions[partition]?.replicas;
      let avoid: string | undefined;
      for (let faults = 1; ; faults++) {
        const { body, payload } = await this.#host.requests.ask(
          { kind: 'read', topic: { id: info.id }, partition, start, bytesMax, waitMs, ...wanted },
          'read',
          { wish: { oneOf, avoid }, signal, extraMs: waitMs },
        );
        try {
          const from = start.kind === 'offset' ? start.offset : body.fromOffset;
          const { crc32c } = this.#host.platform;
          const batches = checkData(
            { ...body, compacted: body.compacted ?? false, filtered: false },
            payload,
            from,
            crc32c,
          );
          const { nextOffset, earliest, tail, level, node, appliedOffset, term } = body;
          const page = { topic: info.name, topicId: info.id, partition, batches, nextOffset, earliest, tail };
          return { ...page, level, node, appliedOffset, term };
        } catch (error) {
          if (faults >= FAULTS_MAX) throw error;
          avoid = body.node;
        }
      }
    });
  }

  async batchAppender(partition: number): Promise<BatchAppender> {
    this.#host.checkOpen();
    const { id, name } = await this.#host.directory.lookup(this.name);
    return new BatchAppender(this.#host, { topic: name, topicId: id, partition });
  }

  /** The name may mean another topic since it was last asked for: then once more with that one. */
  async #withTopic<T>(signal: AbortSignal | undefined, work: (topic: TopicInfo) => Promise<T>): Promise<T> {
    const { directory } = this.#host;
    const topic = await this.#until(signal, directory.lookup(this.name));
    try {
      return await work(topic);
    } catch (error) {
      if (!LogError.is(error) || error.code !== 'TOPIC_NOT_FOUND' || error.outcome !== 'none') throw error;
      const current = await this.#until(signal, directory.refresh(this.name));
      if (current.id === topic.id) throw error;
      return await work(current);
    }
  }

  /** What is asked of the directory is asked for all who ask meanwhile: one caller gives up its waiting only. */
  async #until<T>(signal: AbortSignal | undefined, asked: Promise<T>): Promise<T> {
    // The directory's question ends with the client by itself, and each append comes by here.
    if (signal === undefined) return asked;
    const { pool } = this.#host;
    const operation = pool.begin(signal, Number.POSITIVE_INFINITY);
    try {
      return await operation.race(asked);
    } finally {
      pool.end(operation);
    }
  }

  #encode(record: NewRecord<V, K>): RecordScratch {
    const encoded = newScratch();
    encodeInto(encoded, record, this.#codec, this.#host.platform.clock.nowMs());
    const limits = this.#host.pool.limits;
    if (limits !== undefined) checkRecordBytes(encoded, limits.recordBytesMax);
    return encoded;
  }

  #decode(batch: ReceivedBatch, partition: number): readonly LogRecord<V, K>[] {
    return decodeNew(batch, { endOffset: undefined }).map((record) =>
      decodeRecord(record, this.name, partition, this.#codec),
    );
  }

  /** All records of a batch lie in one partition, so what they say about it must agree. */
  #partitionOf(topic: TopicInfo, records: readonly NewRecord<V, K>[], encoded: readonly RecordScratch[]): number {
    const count = topic.partitions.length;
    const asked = new Set<number>();
    records.forEach(({ partition }, at) => {
      const key = encoded[at]!.key;
      if (partition !== undefined) asked.add(partition);
      else if (key !== undefined) asked.add(partitionOfKey(key, count));
    });
    if (asked.size > 1) throw new LogError('INVALID', 'The records of a batch belong into one partition.');
    const [partition = this.#turn++ % count] = asked;
    if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition;
    throw new LogError('PARTITION_NOT_FOUND', `Topic "${topic.name}" has no partition ${partition}.`, {
      details: { topic: topic.name, partition },
    });
  }
}

function tokenOf({
  topicId,
  partition,
  offset,
  term,
}: Omit<ReadToken, 'offset'> & { readonly offset: number | undefined }): string | undefined {
  return offset === undefined ? undefined : formatReadToken({ topicId, partition, offset, term });
}
