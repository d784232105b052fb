/**
 * A broker of one process and no disk, for the doors' tests: topics are lists of batches, and a test can make any verb
 * fail or wait. Appends patch offsets as the real one does, so what a door sends out can be decoded and compared.
 */
import type {
  AppendRequest,
  AppendResult,
  BrokerVerbs,
  ClusterDescription,
  CreateTopicRequest,
  HealthCheck,
  NewNode,
  Reader,
  ReadRequest,
  ReadResult,
  ReadStamp,
  StartAt,
  SubscribeRequest,
  TailResult,
  TopicDescription,
  TopicRef,
} from '../../../src/broker/index.ts';
import { LogError, patchBatch, readBatchHeader } from '../../../src/protocol/index.ts';

interface FakeTopic {
  readonly name: string;
  readonly id: number;
  readonly partitions: number;
  readonly batches: { readonly bytes: Uint8Array; readonly base: number; readonly next: number }[];
  earliest: number;
  tail: number;
}

export class FakeBroker implements BrokerVerbs {
  readonly nodeId = 'n1';
  readonly version = '9.9.9';
  readonly topics: Map<string, FakeTopic> = new Map();
  /** Every append as it came in. */
  readonly appends: AppendRequest[] = [];
  readonly calls: string[] = [];
  /** When set, runs before each append; may throw or wait. */
  beforeAppend: ((request: AppendRequest) => Promise<void> | void) | undefined;
  /** When set, every other verb fails with it. */
  failure: Error | undefined;
  checks: HealthCheck[] = [{ name: 'leaders', isOk: true, detail: 'all have leaders' }];
  /** Readers that exist and were not closed. */
  openReaders = 0;
  /** Calls of next() so far. */
  reads = 0;
  #nextId = 1;
  #waiting: (() => void)[] = [];

  addTopic(name: string, partitions = 1): FakeTopic {
    const topic = { name, id: this.#nextId++, partitions, batches: [], earliest: 0, tail: 0 };
    this.topics.set(name, topic);
    return topic;
  }

  async append(request: AppendRequest): Promise<AppendResult> {
    this.appends.push(request);
    await this.beforeAppend?.(request);
    const topic = this.find(request.topic, request.partition);
    const batch = request.batch;
    const { recordCount } = readBatchHeader(batch);
    patchBatch(batch, topic.tail, 3);
    const baseOffset = topic.tail;
    topic.tail += recordCount;
    topic.batches.push({ bytes: batch, base: baseOffset, next: topic.tail });
    this.wakeReaders();
    const { name, id } = topic;
    const { partition } = request;
    return {
      topicId: id,
      topic: name,
      partition,
      baseOffset,
      recordCount,
      appendTimeMs: 1_000,
      term: 3,
      isDuplicate: false,
    };
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    this.calls.push(`read ${request.waitMs} ${request.bytesMax}`);
    if (this.failure !== undefined) throw this.failure;
    const topic = this.find(request.topic, request.partition);
    const from = this.resolve(topic, request.start);
    if (from === topic.tail && request.waitMs > 0) await this.#somethingNew(request.signal);
    return this.result(topic, from, request.bytesMax);
  }

  async subscribe(request: SubscribeRequest): Promise<Reader> {
    if (this.failure !== undefined) throw this.failure;
    const topic = this.find(request.topic, request.partition);
    const from = this.resolve(topic, request.start);
    this.openReaders++;
    return new FakeReader(this, topic, from);
  }

  async tail(ref: TopicRef, partition: number): Promise<TailResult> {
    const { id, earliest, tail } = this.find(ref, partition);
    return { level: 'linearizable', topicId: id, earliest, tail, node: this.nodeId, appliedOffset: tail, term: 3 };
  }

  async createTopic(request: CreateTopicRequest): Promise<TopicDescription> {
    this.calls.push(`create ${JSON.stringify(request)}`);
    if (this.failure !== undefined) throw this.failure;
    if (this.topics.has(request.name))
      throw new LogError('TOPIC_EXISTS', undefined, { details: { topic: request.name } });
    this.addTopic(request.name, request.partitions);
    return this.describeTopic(request.name);
  }

  async deleteTopic(name: string): Promise<void> {
    this.find({ name }, 0);
    this.topics.delete(name);
  }

  async listTopics(): Promise<readonly TopicDescription[]> {
    if (this.failure !== undefined) throw this.failure;
    return await Promise.all([...this.topics.keys()].map((name) => this.describeTopic(name)));
  }

  async describeTopic(name: string): Promise<TopicDescription> {
    const { id, partitions, earliest, tail } = this.find({ name }, 0);
    const each = { leader: 'n1', term: 3, replicas: ['n1'], earliest, tail, state: 'ok' as const };
    const list = Array.from({ length: partitions }, (_, partition) => ({ partition, ...each }));
    return {
      name,
      id,
      partitions: list,
      retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined },
    };
  }

  cluster(): ClusterDescription {
    const node = { id: 'n1', url: 'ws://127.0.0.1:1/v1/ws', peerAddress: '', diskUuid: undefined, version: '9.9.9' };
    return {
      clusterId: 'c1',
      nodeId: 'n1',
      nodes: [{ ...node, isUp: true, partitionsLed: this.topics.size, state: 'member' }],
      catalogLeader: 'n1',
    };
  }

  async addNode({ id, peerAddress }: NewNode): Promise<void> {
    if (id === 'n1') throw new LogError('NODE_EXISTS');
    this.calls.push(`add ${id} ${peerAddress}`);
  }

  async removeNode(id: string): Promise<void> {
    if (id === 'n9') throw new LogError('NODE_NOT_FOUND');
    this.calls.push(`remove ${id}`);
  }

  async replaceNode(id: string, by: string, peerAddress?: string): Promise<void> {
    this.calls.push(`replace ${id} ${by} ${peerAddress ?? '-'}`);
  }

  async drainNode(id: string, isDrained: boolean): Promise<void> {
    this.calls.push(`drain ${id} ${isDrained}`);
  }

  async transferLeader(topic: string, partition: number, to: string): Promise<void> {
    this.find({ name: topic }, partition);
    this.calls.push(`transfer ${topic} ${partition} ${to}`);
  }

  async takeSnapshot(topic: string, partition: number): Promise<{ index: number; nextOffset: number }> {
    return { index: 7, nextOffset: this.find({ name: topic }, partition).tail };
  }

  async trim(topic: string, partition: number, before: number): Promise<void> {
    this.find({ name: topic }, partition).earliest = before;
  }

  readiness(): readonly HealthCheck[] {
    return this.checks;
  }

  // For the reader and the tests.

  wakeReaders(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  onAppend(wake: () => void): void {
    this.#waiting.push(wake);
  }

  find(ref: TopicRef, partition: number): FakeTopic {
    const topics = [...this.topics.values()];
    const topic = topics.find((each) => ('name' in ref ? each.name === ref.name : each.id === ref.id));
    if (topic === undefined) throw new LogError('TOPIC_NOT_FOUND');
    if (partition >= topic.partitions) throw new LogError('PARTITION_NOT_FOUND');
    return topic;
  }

  resolve({ earliest, tail }: FakeTopic, start: StartAt): number {
    if (start.kind === 'earliest') return earliest;
    if (start.kind === 'latest') return tail;
    if (start.kind !== 'offset') throw new LogError('UNSUPPORTED');
    if (start.offset < earliest) throw new LogError('TRIMMED', undefined, { details: { earliest, tail } });
    if (start.offset > tail) throw new LogError('OUT_OF_RANGE', undefined, { details: { earliest, tail } });
    return start.offset;
  }

  result(topic: FakeTopic, fromOffset: number, bytesMax: number): ReadResult {
    const batches: Uint8Array[] = [];
    let bytes = 0;
    let nextOffset = fromOffset;
    for (const batch of topic.batches) {
      if (batch.next <= fromOffset) continue;
      if (batches.length > 0 && bytes + batch.bytes.byteLength > bytesMax) break;
      batches.push(batch.bytes);
      bytes += batch.bytes.byteLength;
      nextOffset = batch.next;
    }
    const { id, earliest, tail } = topic;
    const range = { fromOffset, nextOffset, compacted: false, earliest, tail };
    return { topicId: id, batches, ...range, ...this.stamp(tail) };
  }

  stamp(appliedOffset: number): ReadStamp {
    return { level: 'any', node: this.nodeId, appliedOffset, term: 3 };
  }

  #somethingNew(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new LogError('ABORTED')), { once: true });
      this.onAppend(resolve);
    });
  }
}

class FakeReader implements Reader {
  readonly topicId: number;
  position: number;
  readonly #broker: FakeBroker;
  readonly #topic: FakeTopic;
  #isClosed = false;

  constructor(broker: FakeBroker, topic: FakeTopic, position: number) {
    this.#broker = broker;
    this.#topic = topic;
    this.topicId = topic.id;
    this.position = position;
  }

  get earliest(): number {
    return this.#topic.earliest;
  }

  get tail(): number {
    return this.#topic.tail;
  }

  stamp(): ReadStamp {
    return this.#broker.stamp(this.tail);
  }

  async next(bytesMax: number): Promise<ReadResult> {
    this.#broker.reads++;
    while (!this.#isClosed && this.position >= this.tail) {
      await new Promise<void>((resolve) => this.#broker.onAppend(resolve));
    }
    if (this.#isClosed) throw new LogError('CLOSED');
    const result = this.#broker.result(this.#topic, this.position, bytesMax);
    this.position = result.nextOffset;
    return result;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#broker.openReaders--;
    this.#broker.wakeReaders();
  }
}
