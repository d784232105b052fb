/**
 * What the client knows of topics: id, partitions, leaders. Asked once, remembered, and asked again when an answer
 * shows that it is out of date. The id is what requests carry, so that a topic deleted and created again is never
 * mistaken for the one an application opened.
 */
import { LogError, type TopicInfo, topicNameProblem } from '../protocol/index.ts';
import type { Connection } from './connection.ts';
import type { EventHub } from './events.ts';
import type { NodePool } from './node-pool.ts';
import type { Operation } from './operation.ts';
import type { Requests } from './requests.ts';

/** Topics remembered; the one asked for least recently is forgotten first. */
const TOPICS_KEPT_MAX = 1_000;

export interface PartitionRef {
  readonly topic: string;
  readonly topicId: number;
  readonly partition: number;
}

export class TopicDirectory {
  readonly #pool: NodePool;
  readonly #requests: Requests;
  readonly #events: EventHub;
  /** By name, in the order of last use. */
  readonly #topics = new Map<string, TopicInfo>();
  readonly #refreshes = new Map<string, Promise<TopicInfo>>();

  constructor(pool: NodePool, requests: Requests, events: EventHub) {
    this.#pool = pool;
    this.#requests = requests;
    this.#events = events;
  }

  /** What is known now, without asking. */
  known(name: string): TopicInfo | undefined {
    return this.#topics.get(name);
  }

  /** @throws LogError TOPIC_NOT_FOUND, or what keeps the question from being answered. */
  lookup(name: string): Promise<TopicInfo> {
    const known = this.#topics.get(name);
    if (known === undefined) return this.refresh(name);
    this.#topics.delete(name);
    this.#topics.set(name, known);
    return Promise.resolve(known);
  }

  /** Asks the cluster, once for all who ask meanwhile. */
  refresh(name: string): Promise<TopicInfo> {
    let refresh = this.#refreshes.get(name);
    if (refresh === undefined) {
      refresh = this.#describe(name).finally(() => this.#refreshes.delete(name));
      this.#refreshes.set(name, refresh);
    }
    return refresh;
  }

  learn(topic: TopicInfo): void {
    const before = this.#topics.get(topic.name);
    this.#topics.delete(topic.name);
    this.#topics.set(topic.name, topic);
    if (this.#topics.size > TOPICS_KEPT_MAX) {
      const [oldest] = this.#topics.keys();
      if (oldest !== undefined) this.#topics.delete(oldest);
    }
    if (before?.id !== topic.id) return;
    for (const { partition, leader, term } of topic.partitions) {
      if (before.partitions[partition]?.leader === leader) continue;
      this.#events.emit({ kind: 'leader-changed', topic: topic.name, partition, leader, term });
    }
  }

  forget(name: string): void {
    this.#topics.delete(name);
  }

  /**
   * A connection to the node that leads the partition or, when that cannot be had, to one that will forward.
   * @param isStale What is known led nowhere: ask first.
   * @throws LogError TOPIC_NOT_FOUND when the topic of that id is gone.
   */
  async connectToLeader(
    ref: PartitionRef,
    isStale: boolean,
    avoid: string | undefined,
    operation: Operation,
  ): Promise<Connection> {
    const topic = await operation.race(isStale ? this.refresh(ref.topic) : this.lookup(ref.topic));
    checkTopicId(topic, ref);
    const leader = topic.partitions[ref.partition]?.leader;
    return await this.#pool.acquire({ node: leader, avoid: avoid === leader ? undefined : avoid }, operation);
  }

  /**
   * A connection to a node that holds a replica, rather one that is in use already, and of those rather the leader: the
   * others hear of a commit with the next append or a moment later (partition/commit-notices.ts).
   */
  async connectToReplica(ref: PartitionRef, avoid: string | undefined, operation: Operation): Promise<Connection> {
    const topic = await operation.race(this.lookup(ref.topic));
    const partition = topic.id === ref.topicId ? topic.partitions[ref.partition] : undefined;
    return await this.#pool.acquire({ oneOf: partition?.replicas, rather: partition?.leader, avoid }, operation);
  }

  async #describe(name: string): Promise<TopicInfo> {
    const problem = topicNameProblem(name);
    if (problem !== undefined) throw new LogError('INVALID', problem);
    try {
      const { body } = await this.#requests.ask({ kind: 'describe-topic', name }, 'topic');
      this.learn(body);
      return body;
    } catch (error) {
      if (LogError.is(error) && error.code === 'TOPIC_NOT_FOUND') this.forget(name);
      throw error;
    }
  }
}

/** @throws LogError TOPIC_NOT_FOUND when the name now belongs to another topic. */
export function checkTopicId(topic: TopicInfo, ref: PartitionRef): void {
  if (topic.id === ref.topicId) return;
  throw new LogError('TOPIC_NOT_FOUND', `The topic "${ref.topic}" was deleted; another one of that name exists now.`, {
    details: { topic: ref.topic },
  });
}
