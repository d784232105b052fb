/**
 * The HTTP verbs on topics and on the cluster: bodies checked, one broker verb each, its result in the words of HTTP.
 */
import type { BrokerVerbs, Compaction, TopicDescription } from '../broker/index.ts';
import { LogError, NUMBER_MAX, PARTITIONS_PER_TOPIC_MAX, TOMBSTONE_RETENTION_MS_DEFAULT } from '../protocol/index.ts';
import { type Fields, integerOf, jsonObject, numberOf, objectOf } from './http-values.ts';

export interface TopicParams {
  readonly topic: string;
  readonly partition?: string;
}

export async function createTopic(broker: BrokerVerbs, body: unknown): Promise<unknown> {
  const fields = jsonObject(body, ['name', 'partitions', 'replicas', 'retention', 'compaction', 'firstOffsets']);
  if (typeof fields.name !== 'string') throw new LogError('INVALID', 'name must be a text');
  const retention = objectOf(fields.retention ?? {}, ['maxBytes', 'maxAgeMs', 'maxRecords'], 'retention');
  const compaction = fields.compaction ?? undefined;
  const { firstOffsets } = fields;
  if (firstOffsets !== undefined && !Array.isArray(firstOffsets))
    throw new LogError('INVALID', 'firstOffsets must be a list');
  const bound = { min: 1, max: NUMBER_MAX };
  const topic = await broker.createTopic({
    name: fields.name,
    partitions: integerOf(fields.partitions, 'partitions', 1, { min: 1, max: PARTITIONS_PER_TOPIC_MAX }),
    replicas: integerOf(fields.replicas, 'replicas', undefined, { min: 1, max: 255 }),
    retention: {
      maxBytes: integerOf(retention.maxBytes ?? undefined, 'retention.maxBytes', undefined, bound),
      maxAgeMs: integerOf(retention.maxAgeMs ?? undefined, 'retention.maxAgeMs', undefined, bound),
      maxRecords: integerOf(retention.maxRecords ?? undefined, 'retention.maxRecords', undefined, bound),
    },
    compaction: compaction === undefined ? undefined : compactionOf(compaction),
    // Each of them is judged by the broker, as for the other door.
    firstOffsets: firstOffsets as readonly number[] | undefined,
  });
  return jsonOfTopic(topic);
}

function compactionOf(value: unknown): Compaction {
  const { tombstoneRetentionMs } = objectOf(value, ['tombstoneRetentionMs'], 'compaction');
  const name = 'compaction.tombstoneRetentionMs';
  const bound = { min: 1, max: NUMBER_MAX };
  return {
    tombstoneRetentionMs: integerOf(tombstoneRetentionMs ?? undefined, name, TOMBSTONE_RETENTION_MS_DEFAULT, bound),
  };
}

export async function listTopics(broker: BrokerVerbs): Promise<unknown> {
  return { topics: (await broker.listTopics()).map(jsonOfTopic) };
}

export async function describeTopic(broker: BrokerVerbs, { topic }: TopicParams): Promise<unknown> {
  return jsonOfTopic(await broker.describeTopic(topic));
}

export async function transferLeader(broker: BrokerVerbs, params: TopicParams, body: unknown): Promise<unknown> {
  const { to } = jsonObject(body, ['to']);
  if (typeof to !== 'string' || to === '') throw new LogError('INVALID', 'to must be the id of a node');
  const partition = numberOf(params.partition, 'partition', 0);
  await broker.transferLeader(params.topic, partition, to);
  return { topic: params.topic, partition, leader: to };
}

export async function takeSnapshot(broker: BrokerVerbs, params: TopicParams): Promise<unknown> {
  const partition = numberOf(params.partition, 'partition', 0);
  return { topic: params.topic, partition, ...(await broker.takeSnapshot(params.topic, partition)) };
}

export async function trim(broker: BrokerVerbs, { topic }: TopicParams, body: unknown): Promise<unknown> {
  const fields: Fields = jsonObject(body, ['before', 'partition']);
  const before = integerOf(fields.before, 'before', undefined);
  if (before === undefined) throw new LogError('INVALID', 'before must be given: the first offset to keep');
  const partition = integerOf(fields.partition, 'partition', 0);
  await broker.trim(topic, partition, before);
  return { topic, partition, before };
}

export function cluster(broker: BrokerVerbs): unknown {
  const { clusterId, nodeId, nodes, catalogLeader } = broker.cluster();
  return {
    clusterId: clusterId ?? null,
    node: nodeId,
    nodes: nodes.map(({ id, url, peerAddress, diskUuid, version, isUp, partitionsLed, state }) => ({
      id,
      diskUuid: diskUuid ?? null,
      url: url ?? null,
      peerAddress,
      up: isUp,
      version: version ?? null,
      partitionsLed,
      state,
    })),
    catalogLeader: catalogLeader ?? null,
  };
}

function jsonOfTopic({ name, id, partitions, retention, compaction }: TopicDescription): unknown {
  return {
    name,
    id,
    partitions: partitions.map((partition) => ({ ...partition, leader: partition.leader ?? null })),
    retention: {
      maxBytes: retention.maxBytes ?? null,
      maxAgeMs: retention.maxAgeMs ?? null,
      maxRecords: retention.maxRecords ?? null,
    },
    compaction: compaction ?? null,
  };
}
