/**
 * From the names clients use to the group they mean, and to the node to ask. Every verb begins here, so that unknown
 * topics, missing partitions and a cluster that is not born yet are refused in one place and in the same words.
 */
import type { Timers } from '../env.ts';
import { LogError } from '../protocol/index.ts';
import type { CatalogPartition, CatalogTopic } from './catalog.ts';
import { CATALOG_GROUP } from './catalog.ts';
import { describeLost } from './damage-report.ts';
import type { Host } from './host.ts';
import type { Leaders } from './leaders.ts';
import type { Peers } from './peers.ts';
import type { TopicRef } from './verbs.ts';

export interface Route {
  readonly topic: CatalogTopic;
  readonly partition: CatalogPartition;
}

/** How long a client told NO_LEADER should wait: about an election. */
export const NO_LEADER_RETRY_MS = 200;

export class Routes {
  readonly #nodeId: string;
  readonly #host: Host;
  readonly #leaders: Leaders;
  readonly #peers: Peers;
  readonly #timers: Timers;

  constructor(nodeId: string, host: Host, leaders: Leaders, peers: Peers, timers: Timers) {
    this.#nodeId = nodeId;
    this.#host = host;
    this.#leaders = leaders;
    this.#peers = peers;
    this.#timers = timers;
  }

  /** @throws LogError NO_LEADER before the catalog is there to ask. */
  expectMember(): void {
    if (this.#host.get(CATALOG_GROUP) !== undefined) return;
    throw this.noLeader('This node is not part of a cluster yet, or still recovering.');
  }

  /** @throws LogError TOPIC_NOT_FOUND, NO_LEADER */
  topic(ref: TopicRef): CatalogTopic {
    this.expectMember();
    const catalog = this.#host.catalog;
    const topic = 'name' in ref ? catalog.topic(ref.name) : catalog.topicById(ref.id);
    if (topic !== undefined) return topic;
    // A catalog that is being caught up, or was lost and begins anew, knows less than was ever committed.
    if (this.#host.get(CATALOG_GROUP)?.status.hasCaughtUp !== true)
      throw this.noLeader('This node is still learning which topics there are.');
    const what = 'name' in ref ? `There is no topic "${ref.name}".` : `The topic with id ${ref.id} was deleted.`;
    throw new LogError('TOPIC_NOT_FOUND', what, 'name' in ref ? { details: { topic: ref.name } } : {});
  }

  /** @throws LogError TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, NO_LEADER */
  partition(ref: TopicRef, partition: number): Route {
    const topic = this.topic(ref);
    const found = topic.partitions[partition];
    if (found === undefined) {
      throw new LogError(
        'PARTITION_NOT_FOUND',
        `Topic "${topic.name}" has partitions 0 to ${topic.partitions.length - 1}, not ${partition}.`,
        { details: { topic: topic.name, partition } },
      );
    }
    return { topic, partition: found };
  }

  /** Has a replica here that is one of the voters: one that is about to become one may not have caught up yet. */
  isHosted({ groupId, replicas }: CatalogPartition): boolean {
    return replicas.includes(this.#nodeId) || this.#host.get(groupId)?.voters.includes(this.#nodeId) === true;
  }

  /** The known leader of a group. */
  leader(groupId: number): string | undefined {
    return this.#leaders.get(groupId)?.leader;
  }

  /** A replica of a partition this node does not host: the leader when it is known and up, else any that is up. */
  replica({ groupId, replicas }: CatalogPartition): string | undefined {
    const leader = this.leader(groupId);
    if (leader !== undefined && this.#peers.isUp(leader)) return leader;
    return replicas.find((node) => this.#peers.isUp(node));
  }

  /** Resolves once a leader is known, or after `waitMs` without one. */
  waitForLeader(groupId: number, waitMs: number): Promise<void> {
    if (this.leader(groupId) !== undefined || waitMs <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#timers.after(waitMs, () => {
        stop();
        resolve();
      });
      const stop = this.#leaders.whenLedByOther(groupId, undefined, () => {
        timer.cancel();
        resolve();
      });
    });
  }

  /**
   * What `asked` resolves to, unless another node than `leader` takes over first: then NOT_LEADER, 'unknown'. A leader
   * that hangs, or was cut off, would otherwise be waited for until the deadline.
   */
  async unlessLedByOther<T>(groupId: number, leader: string, asked: Promise<T>): Promise<T> {
    let stop = (): void => undefined;
    const moved = new Promise<never>((_, reject) => {
      stop = this.#leaders.whenLedByOther(groupId, leader, () =>
        reject(
          new LogError('NOT_LEADER', 'Another leader took over before this one answered.', { outcome: 'unknown' }),
        ),
      );
    });
    try {
      return await Promise.race([asked, moved]);
    } finally {
      stop();
    }
  }

  clientUrl(node: string): string | undefined {
    return this.#peers.list.find(({ id }) => id === node)?.clientUrl;
  }

  /**
   * The named reason why a partition is stopped: its log cannot be opened here, or every replica lost an entry of it.
   */
  stoppage({ topic, partition: { groupId, partition } }: Route): LogError | undefined {
    const breakage = this.#host.breakage(groupId);
    const lost = this.#host.lostEntry(groupId);
    const isLost = lost?.unheard.length === 0;
    if (breakage === undefined && !isLost) return undefined;
    const why = isLost ? `${describeLost(lost)}; put a sound copy back` : breakage?.message;
    const place = isLost ? { file: lost.file, position: lost.position } : {};
    const where = `Partition ${partition} of topic "${topic.name}" is stopped on this node`;
    const details = { topic: topic.name, partition, ...place };
    return new LogError('STORAGE_CORRUPT', `${where}: ${why}.`, { details, cause: breakage });
  }

  noLeader(what: string): LogError {
    return new LogError('NO_LEADER', what, { details: { retryAfterMs: NO_LEADER_RETRY_MS } });
  }
}
