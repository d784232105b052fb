/** The bodies of REQUEST and RESPONSE, between messages.ts and schema.proto. Not on the hot path. */
import { LogError } from './errors.ts';
import { failureFromWire, failureToWire } from './failure.ts';
import type { RequestBody, ResponseBody } from './messages.ts';
import type { Wire } from './schema.ts';
import {
  clusterFromWire,
  clusterToWire,
  compactionFromWire,
  compactionToWire,
  levelFromWire,
  numberOrUndefined,
  present,
  retentionFromWire,
  retentionToWire,
  startFromWire,
  startToWire,
  textOrUndefined,
  tokenFromWire,
  topicFromWire,
  topicInfoFromWire,
  topicInfoToWire,
  topicToWire,
  zeroIfUndefined,
} from './wire-values.ts';

/** What an empty level of a Tail stands for. */
const TAIL_LEVEL = 'linearizable';

export function requestToWire(body: RequestBody): Wire.Request {
  switch (body.kind) {
    case 'describe-topic':
      return { describeTopic: { name: body.name } };
    case 'list-topics':
      return { listTopics: {} };
    case 'create-topic': {
      const { name, partitions, retention } = body;
      const replicas = zeroIfUndefined(body.replicas, 'replicas');
      const policies = { retention: retentionToWire(retention), compaction: compactionToWire(body.compaction) };
      const firstOffsets = [...(body.firstOffsets ?? [])];
      return { createTopic: { name, partitions, replicas, ...policies, firstOffsets } };
    }
    case 'delete-topic':
      return { deleteTopic: { name: body.name } };
    case 'cluster':
      return { cluster: {} };
    case 'read': {
      const { partition, start, bytesMax, waitMs, level, token = null } = body;
      const read = { ...topicToWire(body.topic), partition, start: startToWire(start), bytesMax, waitMs, level, token };
      return { read };
    }
    case 'tail': {
      const { partition, level, token = null } = body;
      const asked = level === TAIL_LEVEL ? '' : level;
      return { tail: { ...topicToWire(body.topic), partition, level: asked, token } };
    }
    case 'transfer-leader':
      return { transferLeader: { topic: body.topic, partition: body.partition, to: body.to } };
    case 'trim':
      return { trim: { topic: body.topic, partition: body.partition, before: body.before } };
    case 'take-snapshot':
      return { takeSnapshot: { topic: body.topic, partition: body.partition } };
    case 'add-node':
      return { addNode: { id: body.id, peerAddress: body.peerAddress } };
    case 'remove-node':
      return { removeNode: { id: body.id } };
    case 'replace-node':
      return { replaceNode: { id: body.id, by: body.by, peerAddress: body.peerAddress ?? '' } };
    case 'drain-node':
      return { drainNode: { id: body.id, drained: body.isDrained } };
  }
}

export function requestFromWire(wire: Wire.Request): RequestBody {
  switch (wire.body) {
    case 'describeTopic':
      return { kind: 'describe-topic', name: wire.describeTopic?.name ?? '' };
    case 'listTopics':
      return { kind: 'list-topics' };
    case 'createTopic':
      return createTopicFromWire(present(wire.createTopic, 'body'));
    case 'deleteTopic':
      return { kind: 'delete-topic', name: wire.deleteTopic?.name ?? '' };
    case 'cluster':
      return { kind: 'cluster' };
    case 'read':
      return readFromWire(present(wire.read, 'body'));
    case 'tail': {
      const tail = present(wire.tail, 'body');
      return {
        kind: 'tail',
        topic: topicFromWire(tail),
        partition: tail.partition ?? 0,
        level: levelFromWire(tail.level, TAIL_LEVEL),
        token: tokenFromWire(tail.token),
      };
    }
    case 'transferLeader':
      return { kind: 'transfer-leader', ...partitionFromWire(wire.transferLeader), to: wire.transferLeader?.to ?? '' };
    case 'trim':
      return { kind: 'trim', ...partitionFromWire(wire.trim), before: wire.trim?.before ?? 0 };
    case 'takeSnapshot':
      return { kind: 'take-snapshot', ...partitionFromWire(wire.takeSnapshot) };
    case 'addNode':
      return { kind: 'add-node', id: wire.addNode?.id ?? '', peerAddress: wire.addNode?.peerAddress ?? '' };
    case 'removeNode':
      return { kind: 'remove-node', id: wire.removeNode?.id ?? '' };
    case 'replaceNode': {
      const { id, by, peerAddress } = present(wire.replaceNode, 'body');
      return { kind: 'replace-node', id: id ?? '', by: by ?? '', peerAddress: textOrUndefined(peerAddress) };
    }
    case 'drainNode':
      return { kind: 'drain-node', id: wire.drainNode?.id ?? '', isDrained: wire.drainNode?.drained ?? false };
    default:
      throw new LogError('UNSUPPORTED', 'The request asks for something that this version does not know.');
  }
}

function createTopicFromWire(wire: Wire.CreateTopic): RequestBody {
  return {
    kind: 'create-topic',
    name: wire.name ?? '',
    partitions: wire.partitions ?? 0,
    replicas: numberOrUndefined(wire.replicas),
    retention: retentionFromWire(wire.retention),
    compaction: compactionFromWire(wire.compaction),
    firstOffsets: wire.firstOffsets?.length ? wire.firstOffsets : undefined,
  };
}

function readFromWire(wire: Wire.Read): RequestBody {
  return {
    kind: 'read',
    topic: topicFromWire(wire),
    partition: wire.partition ?? 0,
    start: startFromWire(wire.start),
    bytesMax: wire.bytesMax ?? 0,
    waitMs: wire.waitMs ?? 0,
    level: levelFromWire(wire.level),
    token: tokenFromWire(wire.token),
  };
}

function partitionFromWire(
  wire: { readonly topic?: string | null; readonly partition?: number | null } | null | undefined,
): {
  topic: string;
  partition: number;
} {
  return { topic: wire?.topic ?? '', partition: wire?.partition ?? 0 };
}

export function responseToWire(body: ResponseBody): Wire.Response {
  switch (body.kind) {
    case 'failure':
      return { failure: failureToWire(body.failure) };
    case 'topic':
      return { topic: topicInfoToWire(body) };
    case 'topics':
      return { topics: { topics: body.topics.map(topicInfoToWire) } };
    case 'done':
      return { done: {} };
    case 'cluster':
      return { cluster: clusterToWire(body) };
    case 'read': {
      const { fromOffset, nextOffset, compacted, earliest, tail, level, node, appliedOffset, term, topicId } = body;
      const range = { fromOffset, nextOffset, compacted: compacted ?? false, earliest, tail };
      return { read: { ...range, level, node, appliedOffset, term, topicId } };
    }
    case 'tail': {
      const { topicId, earliest, tail, node, term, level, appliedOffset } = body;
      return { tail: { topicId, earliest, tail, node, term, level, appliedOffset } };
    }
    case 'snapshot':
      return { snapshot: { index: body.index, nextOffset: body.nextOffset } };
  }
}

export function responseFromWire(wire: Wire.Response): ResponseBody {
  switch (wire.body) {
    case 'failure':
      return { kind: 'failure', failure: failureFromWire(present(wire.failure, 'failure')) };
    case 'topic':
      return { kind: 'topic', ...topicInfoFromWire(present(wire.topic, 'body')) };
    case 'topics':
      return { kind: 'topics', topics: (wire.topics?.topics ?? []).map(topicInfoFromWire) };
    case 'done':
      return { kind: 'done' };
    case 'cluster':
      return { kind: 'cluster', ...clusterFromWire(present(wire.cluster, 'body')) };
    case 'read':
      return readResultFromWire(present(wire.read, 'body'));
    case 'tail':
      return tailResultFromWire(present(wire.tail, 'body'));
    case 'snapshot':
      return { kind: 'snapshot', index: wire.snapshot?.index ?? 0, nextOffset: wire.snapshot?.nextOffset ?? 0 };
    default:
      throw new LogError('UNSUPPORTED', 'The response answers with something that this version does not know.');
  }
}

function readResultFromWire(wire: Wire.ReadResult): ResponseBody {
  return {
    kind: 'read',
    fromOffset: wire.fromOffset ?? 0,
    nextOffset: wire.nextOffset ?? 0,
    earliest: wire.earliest ?? 0,
    tail: wire.tail ?? 0,
    level: levelFromWire(wire.level),
    node: wire.node ?? '',
    appliedOffset: wire.appliedOffset ?? 0,
    term: wire.term ?? 0,
    topicId: wire.topicId ?? 0,
    compacted: wire.compacted ?? false,
  };
}

function tailResultFromWire(wire: Wire.TailResult): ResponseBody {
  return {
    kind: 'tail',
    topicId: wire.topicId ?? 0,
    earliest: wire.earliest ?? 0,
    tail: wire.tail ?? 0,
    node: wire.node ?? '',
    term: wire.term ?? 0,
    appliedOffset: wire.appliedOffset ?? 0,
    level: levelFromWire(wire.level),
  };
}
