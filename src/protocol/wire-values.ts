/**
 * Values that several messages share, between their typed shape (messages.ts) and their protobuf shape. The wire writes
 * "none" as 0 or as an empty text; the typed side says undefined, and this file is where one becomes the other.
 */
import { LogError } from './errors.ts';
import { TOMBSTONE_RETENTION_MS_DEFAULT } from './limits.ts';
import type {
  ClusterInfo,
  Compaction,
  NodeInfo,
  NodeState,
  PartitionInfo,
  ProducerTuple,
  ReadLevel,
  ReadToken,
  Retention,
  StartAt,
  TopicInfo,
  TopicRef,
} from './messages.ts';
import { parseReadLevel } from './read-token.ts';
import type { Wire } from './schema.ts';

const PRODUCER_ID = /^[0-9a-f]{32}$/;
const PRODUCER_ID_BYTES = 16;

/** A required submessage. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new LogError('INVALID', `The message lacks its ${what}.`);
  return value;
}

export function textOrUndefined(text: string | null | undefined): string | undefined {
  return text === null || text === undefined || text === '' ? undefined : text;
}

export function numberOrUndefined(value: number | null | undefined): number | undefined {
  return value === null || value === undefined || value === 0 ? undefined : value;
}

/** 0 on the wire means "none", so a caller's 0 must not pass for it. */
export function zeroIfUndefined(value: number | undefined, what: string): number {
  if (value === 0) throw new LogError('INVALID', `${what} must be above 0, or absent.`);
  return value ?? 0;
}

export function topicToWire(topic: TopicRef): { topic: string; topicId: number } {
  if ('name' in topic ? topic.name === '' : topic.id === 0) {
    throw new LogError('INVALID', 'A topic is given by a name or by an id from 1 on.');
  }
  return 'name' in topic ? { topic: topic.name, topicId: 0 } : { topic: '', topicId: topic.id };
}

export function topicFromWire(wire: { readonly topic?: string | null; readonly topicId?: number | null }): TopicRef {
  const name = textOrUndefined(wire.topic);
  const id = numberOrUndefined(wire.topicId);
  if (name !== undefined && id === undefined) return { name };
  if (name === undefined && id !== undefined) return { id };
  throw new LogError('INVALID', 'A topic is given by its name or by its id, and by one of them only.');
}

export function startToWire(start: StartAt): Wire.StartAt {
  switch (start.kind) {
    case 'offset':
      return { offset: start.offset };
    case 'earliest':
      return { earliest: true };
    case 'latest':
      return { latest: true };
    case 'timestamp':
      return { timestampMs: start.timestampMs };
    case 'last':
      return { last: start.count };
  }
}

export function startFromWire(wire: Wire.StartAt | null | undefined): StartAt {
  switch (wire?.at) {
    case 'offset':
      return { kind: 'offset', offset: wire.offset ?? 0 };
    case 'earliest':
      return { kind: 'earliest' };
    case 'latest':
      return { kind: 'latest' };
    case 'timestampMs':
      return { kind: 'timestamp', timestampMs: wire.timestampMs ?? 0 };
    case 'last':
      return { kind: 'last', count: wire.last ?? 0 };
    default:
      throw new LogError('INVALID', 'The message does not say where to start.');
  }
}

/** @param absent What an empty field stands for. */
export function levelFromWire(level: string | null | undefined, absent: ReadLevel = 'any'): ReadLevel {
  if (level === undefined || level === null || level === '') return absent;
  return parseReadLevel(level);
}

export function tokenFromWire(wire: Wire.ReadToken | null | undefined): ReadToken | undefined {
  if (wire === undefined || wire === null) return undefined;
  const { topicId, partition, offset, term } = wire;
  return { topicId: topicId ?? 0, partition: partition ?? 0, offset: offset ?? 0, term: term ?? 0 };
}

export function producerToWire(producer: ProducerTuple | undefined): Wire.Producer | undefined {
  if (producer === undefined) return undefined;
  if (!PRODUCER_ID.test(producer.id)) throw new LogError('INVALID', 'A producer id is 32 lower-case hex digits.');
  const id = new Uint8Array(PRODUCER_ID_BYTES);
  for (let i = 0; i < id.length; i++) id[i] = (hexDigit(producer.id, i * 2) << 4) | hexDigit(producer.id, i * 2 + 1);
  return { id, epoch: producer.epoch, sequence: producer.sequence };
}

/** Of a digit that was checked; by code, since this is on the way of every append. */
function hexDigit(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code <= 0x39 ? code - 0x30 : code - 0x61 + 10;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function producerFromWire(wire: Wire.Producer | null | undefined): ProducerTuple | undefined {
  if (wire === undefined || wire === null) return undefined;
  if (wire.id?.length !== PRODUCER_ID_BYTES) throw new LogError('INVALID', 'A producer id has 16 bytes.');
  let id = '';
  for (const byte of wire.id) id += HEX[byte]!;
  return { id, epoch: wire.epoch ?? 0, sequence: wire.sequence ?? 0 };
}

export function retentionToWire(retention: Retention): Wire.Retention {
  return {
    maxBytes: zeroIfUndefined(retention.maxBytes, 'retention.maxBytes'),
    maxAgeMs: zeroIfUndefined(retention.maxAgeMs, 'retention.maxAgeMs'),
    maxRecords: zeroIfUndefined(retention.maxRecords, 'retention.maxRecords'),
  };
}

export function retentionFromWire(wire: Wire.Retention | null | undefined): Retention {
  return {
    maxBytes: numberOrUndefined(wire?.maxBytes),
    maxAgeMs: numberOrUndefined(wire?.maxAgeMs),
    maxRecords: numberOrUndefined(wire?.maxRecords),
  };
}

export function compactionToWire(compaction: Compaction | undefined): Wire.Compaction | null {
  return compaction === undefined ? null : { tombstoneRetentionMs: compaction.tombstoneRetentionMs };
}

export function compactionFromWire(wire: Wire.Compaction | null | undefined): Compaction | undefined {
  if (wire === undefined || wire === null) return undefined;
  return { tombstoneRetentionMs: wire.tombstoneRetentionMs || TOMBSTONE_RETENTION_MS_DEFAULT };
}

/** A state of a later version is one that this version does not know. */
const NODE_STATES: readonly NodeState[] = ['joining', 'member', 'drained', 'leaving', 'unknown'];

export function nodeToWire(node: NodeInfo): Wire.Node {
  return {
    id: node.id,
    url: node.url ?? '',
    up: node.isUp,
    version: node.version ?? '',
    diskUuid: node.diskUuid ?? '',
    partitionsLed: node.partitionsLed,
    peerAddress: node.peerAddress,
    state: node.state === 'unknown' ? '' : node.state,
  };
}

export function nodeFromWire(wire: Wire.Node): NodeInfo {
  return {
    id: wire.id ?? '',
    url: textOrUndefined(wire.url),
    peerAddress: wire.peerAddress ?? '',
    diskUuid: textOrUndefined(wire.diskUuid),
    version: textOrUndefined(wire.version),
    isUp: wire.up ?? false,
    partitionsLed: wire.partitionsLed ?? 0,
    state: NODE_STATES.find((state) => state === wire.state) ?? 'unknown',
  };
}

export function clusterToWire(cluster: ClusterInfo): Wire.ClusterInfo {
  return {
    clusterId: cluster.clusterId ?? '',
    nodeId: cluster.nodeId,
    nodes: cluster.nodes.map(nodeToWire),
    catalogLeader: cluster.catalogLeader ?? '',
  };
}

export function clusterFromWire(wire: Wire.ClusterInfo): ClusterInfo {
  return {
    clusterId: textOrUndefined(wire.clusterId),
    nodeId: wire.nodeId ?? '',
    nodes: (wire.nodes ?? []).map(nodeFromWire),
    catalogLeader: textOrUndefined(wire.catalogLeader),
  };
}

export function topicInfoToWire(topic: TopicInfo): Wire.TopicInfo {
  return {
    name: topic.name,
    id: topic.id,
    partitions: topic.partitions.map((partition) => ({ ...partition, leader: partition.leader ?? '' })),
    retention: retentionToWire(topic.retention),
    compaction: compactionToWire(topic.compaction),
  };
}

export function topicInfoFromWire(wire: Wire.TopicInfo): TopicInfo {
  return {
    name: wire.name ?? '',
    id: wire.id ?? 0,
    partitions: (wire.partitions ?? []).map(partitionFromWire),
    retention: retentionFromWire(wire.retention),
    compaction: compactionFromWire(wire.compaction),
  };
}

function partitionFromWire(wire: Wire.PartitionInfo): PartitionInfo {
  return {
    partition: wire.partition ?? 0,
    leader: textOrUndefined(wire.leader),
    term: wire.term ?? 0,
    replicas: [...(wire.replicas ?? [])],
    earliest: wire.earliest ?? 0,
    tail: wire.tail ?? 0,
    // A later version may know more states; to this one they are all "not known".
    state: wire.state === 'ok' || wire.state === 'damaged' ? wire.state : 'unknown',
  };
}
