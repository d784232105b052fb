/** Topics, leaders and snapshots: what an operator does. Every call is answered by one node, whichever is at hand. */
import {
  type ClusterInfo,
  LogError,
  type PartitionInfo,
  TOMBSTONE_RETENTION_MS_DEFAULT,
  type TopicInfo,
  topicNameProblem,
} from '../protocol/index.ts';
import type { NodePool } from './node-pool.ts';
import type { Requests } from './requests.ts';
import { checkedCount } from './start-at.ts';
import type { TopicDirectory } from './topic-directory.ts';

export interface TopicSpec {
  /** 1 to 200 of A-Z a-z 0-9 . _ - without a leading dot. */
  readonly name: string;
  /** Default 1. */
  readonly partitions?: number;
  /** Default: 3, or the number of nodes when there are fewer. */
  readonly replicas?: number;
  /** The offset of each partition's first record, one a partition. Default: 0. For a topic that is restored. */
  readonly firstOffsets?: readonly number[];
  readonly retention?: {
    /** Per partition; default: no bound. */
    readonly maxBytes?: number;
    /** Default: no bound. */
    readonly maxAgeMs?: number;
    /** Records of a partition; whole segments go, so that up to a segment more is kept. Default: no bound. */
    readonly maxRecords?: number;
  };
  /**
   * Keeps the latest record of each key, and one with an empty value, which deletes its key, for a time. Records must
   * have keys. Retention, where given, applies as well. Default: off.
   */
  readonly compaction?: {
    /** Default: 24 hours. */
    readonly tombstoneRetentionMs?: number;
  };
}

export interface SnapshotInfo {
  /** Last log index it covers. */
  readonly index: number;
  /** One past the last offset it covers. */
  readonly nextOffset: number;
}

interface AdminCallOptions {
  readonly signal?: AbortSignal;
}

export interface Admin {
  /** Resolves once each partition has a leader. @throws LogError TOPIC_EXISTS when the name is taken. */
  createTopic(spec: TopicSpec, options?: AdminCallOptions): Promise<TopicInfo>;
  /** As createTopic(), but takes an existing topic as it is, whatever its partitions and retention. */
  ensureTopic(spec: TopicSpec, options?: AdminCallOptions): Promise<TopicInfo & { readonly created: boolean }>;
  listTopics(filter?: { readonly prefix?: string } & AdminCallOptions): AsyncIterable<TopicInfo>;
  describeTopic(name: string, options?: AdminCallOptions): Promise<TopicInfo>;
  deleteTopic(name: string, options?: AdminCallOptions): Promise<void>;
  /** Makes `before` the first offset that can be read; never goes back, never beyond the tail. */
  trim(topic: string, before: number, partition?: number, options?: AdminCallOptions): Promise<void>;
  cluster(options?: AdminCallOptions): Promise<ClusterInfo>;
  /**
   * Takes a running node with an empty directory into the cluster. Resolves when it is accepted; cluster() shows when
   * it has become a member. @throws LogError NODE_EXISTS, NODE_DOWN, CHANGE_IN_FLIGHT
   */
  addNode(id: string, peerAddress: string, options?: AdminCallOptions): Promise<void>;
  /** Has the node's replicas moved away, and then the node forgotten; its id is never used again. Resolves when that is
   *  decided. @throws LogError NODE_NOT_FOUND, NODE_DOWN, CHANGE_IN_FLIGHT, INVALID for the last one */
  removeNode(id: string, options?: AdminCallOptions): Promise<void>;
  /** As removeNode(), with `by` in its place; with `peerAddress` it is added first. */
  replaceNode(id: string, by: string, options?: { readonly peerAddress?: string } & AdminCallOptions): Promise<void>;
  /** While drained a node leads nothing and is given no new replicas. */
  drainNode(id: string, isDrained?: boolean, options?: AdminCallOptions): Promise<void>;
  /** Resolves when node `to` leads the partition. */
  transferLeader(topic: string, partition: number, to: string, options?: AdminCallOptions): Promise<void>;
  snapshot(topic: string, partition: number, options?: AdminCallOptions): Promise<SnapshotInfo>;
}

export type { ClusterInfo, PartitionInfo, TopicInfo };

/** How long a node that replaces another may take to join, on top of a request's own time. */
const JOIN_MS = 15_000;

export class ClientAdmin implements Admin {
  readonly #requests: Requests;
  readonly #directory: TopicDirectory;
  readonly #pool: NodePool;

  constructor(requests: Requests, directory: TopicDirectory, pool: NodePool) {
    this.#requests = requests;
    this.#directory = directory;
    this.#pool = pool;
  }

  async createTopic(spec: TopicSpec, options: AdminCallOptions = {}): Promise<TopicInfo> {
    checkName(spec.name);
    const { name, partitions = 1, replicas, retention = {}, compaction } = spec;
    const body = {
      kind: 'create-topic',
      name,
      partitions: checkedCount(partitions, 'The number of partitions'),
      replicas: replicas === undefined ? undefined : checkedCount(replicas, 'The number of replicas'),
      retention: { maxBytes: retention.maxBytes, maxAgeMs: retention.maxAgeMs, maxRecords: retention.maxRecords },
      compaction:
        compaction === undefined
          ? undefined
          : { tombstoneRetentionMs: compaction.tombstoneRetentionMs ?? TOMBSTONE_RETENTION_MS_DEFAULT },
      firstOffsets: spec.firstOffsets?.map((offset) => checkedCount(offset, 'A first offset')),
    } as const;
    const answer = await this.#requests.ask(body, 'topic', options);
    const topic = plainTopic(answer.body);
    this.#directory.learn(topic);
    return topic;
  }

  async ensureTopic(
    spec: TopicSpec,
    options: AdminCallOptions = {},
  ): Promise<TopicInfo & { readonly created: boolean }> {
    try {
      return { ...(await this.createTopic(spec, options)), created: true };
    } catch (error) {
      // After an unknown outcome too the question is whether it is there now.
      const mayExist = LogError.is(error) && (error.code === 'TOPIC_EXISTS' || error.outcome === 'unknown');
      if (!mayExist || options.signal?.aborted === true) throw error;
      return { ...(await this.describeTopic(spec.name, options)), created: false };
    }
  }

  async *listTopics(filter: { readonly prefix?: string } & AdminCallOptions = {}): AsyncGenerator<TopicInfo> {
    const { prefix = '', signal } = filter;
    const { body } = await this.#requests.ask({ kind: 'list-topics' }, 'topics', { signal });
    for (const topic of body.topics) if (topic.name.startsWith(prefix)) yield topic;
  }

  async describeTopic(name: string, options: AdminCallOptions = {}): Promise<TopicInfo> {
    checkName(name);
    const { body } = await this.#requests.ask({ kind: 'describe-topic', name }, 'topic', options);
    const topic = plainTopic(body);
    this.#directory.learn(topic);
    return topic;
  }

  async deleteTopic(name: string, options: AdminCallOptions = {}): Promise<void> {
    checkName(name);
    await this.#requests.ask({ kind: 'delete-topic', name }, 'done', options);
    this.#directory.forget(name);
  }

  async trim(topic: string, before: number, partition = 0, options: AdminCallOptions = {}): Promise<void> {
    checkName(topic);
    checkedCount(before, 'An offset');
    checkedCount(partition, 'A partition');
    await this.#requests.ask({ kind: 'trim', topic, partition, before }, 'done', options);
  }

  async cluster(options: AdminCallOptions = {}): Promise<ClusterInfo> {
    const { body } = await this.#requests.ask({ kind: 'cluster' }, 'cluster', options);
    this.#pool.learnNodes(body.nodes);
    const { clusterId, nodeId, nodes, catalogLeader } = body;
    return { clusterId, nodeId, nodes, catalogLeader };
  }

  async addNode(id: string, peerAddress: string, options: AdminCallOptions = {}): Promise<void> {
    await this.#requests.ask({ kind: 'add-node', id, peerAddress }, 'done', options);
  }

  async removeNode(id: string, options: AdminCallOptions = {}): Promise<void> {
    await this.#requests.ask({ kind: 'remove-node', id }, 'done', options);
  }

  async replaceNode(
    id: string,
    by: string,
    options: { readonly peerAddress?: string } & AdminCallOptions = {},
  ): Promise<void> {
    const { peerAddress } = options;
    // The new node joins first, which the other side waits for.
    await this.#requests.ask({ kind: 'replace-node', id, by, peerAddress }, 'done', { ...options, extraMs: JOIN_MS });
  }

  async drainNode(id: string, isDrained = true, options: AdminCallOptions = {}): Promise<void> {
    await this.#requests.ask({ kind: 'drain-node', id, isDrained }, 'done', options);
  }

  async transferLeader(topic: string, partition: number, to: string, options: AdminCallOptions = {}): Promise<void> {
    checkName(topic);
    checkedCount(partition, 'A partition');
    await this.#requests.ask({ kind: 'transfer-leader', topic, partition, to }, 'done', options);
  }

  async snapshot(topic: string, partition: number, options: AdminCallOptions = {}): Promise<SnapshotInfo> {
    checkName(topic);
    checkedCount(partition, 'A partition');
    const { body } = await this.#requests.ask({ kind: 'take-snapshot', topic, partition }, 'snapshot', options);
    return { index: body.index, nextOffset: body.nextOffset };
  }
}

function checkName(name: string): void {
  const problem = topicNameProblem(name);
  if (problem !== undefined) throw new LogError('INVALID', problem);
}

/** Without the tag of the message it came in. */
function plainTopic({ name, id, partitions, retention, compaction }: TopicInfo): TopicInfo {
  return { name, id, partitions, retention, compaction };
}
