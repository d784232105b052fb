/** One or more of every kind of message, each field away from its default somewhere. Golden frames are made of them. */
import type { Failure, Message, NodeInfo, TopicInfo } from '../../../src/protocol/index.ts';

export interface Sample {
  readonly name: string;
  readonly channel: number;
  readonly message: Message;
  /** Whether the golden record batch follows. */
  readonly hasBatch?: true;
}

const failure: Failure = {
  code: 'TRIMMED',
  message: 'Offset 3 is below earliest 10.',
  outcome: 'none',
  details: { topic: 'packages', offset: 3, earliest: 10, tail: 20 },
};
const producer = { id: '000102030405060708090a0b0c0d0eff', epoch: 4_294_967_295, sequence: 1_000 };
const node: NodeInfo = {
  id: 'n1',
  url: 'ws://127.0.0.1:4437/v1/ws',
  peerAddress: '127.0.0.1:4438',
  diskUuid: '6f1d2c3b-0000-4000-8000-000000000001',
  version: '0.1.0',
  isUp: true,
  partitionsLed: 2,
  state: 'member',
};
const strangerNode: NodeInfo = {
  id: 'n2',
  url: undefined,
  peerAddress: '127.0.0.1:4448',
  diskUuid: undefined,
  version: undefined,
  isUp: false,
  partitionsLed: 0,
  state: 'unknown',
};
const topic: TopicInfo = {
  name: 'packages',
  id: 7,
  partitions: [
    { partition: 0, leader: 'n1', term: 3, replicas: ['n1', 'n2', 'n3'], earliest: 10, tail: 20, state: 'ok' },
    { partition: 1, leader: undefined, term: 0, replicas: ['n2'], earliest: 0, tail: 0, state: 'damaged' },
  ],
  retention: { maxBytes: 1_073_741_824, maxAgeMs: undefined, maxRecords: undefined },
};

const connection: readonly Omit<Sample, 'channel'>[] = [
  {
    name: 'hello',
    message: {
      kind: 'hello',
      versionMin: 1,
      versionMax: 1,
      clientId: 'c1',
      token: 's3cret',
      agent: 'logdrive/0.1.0',
    },
  },
  {
    name: 'hello, anonymous',
    message: {
      kind: 'hello',
      versionMin: 1,
      versionMax: 2,
      clientId: undefined,
      token: undefined,
      agent: undefined,
    },
  },
  {
    name: 'welcome',
    message: {
      kind: 'welcome',
      version: 1,
      nodeId: 'n1',
      clusterId: 'c-1',
      serverVersion: '0.1.0',
      recordBytesMax: 1_048_576,
      batchBytesMax: 4_194_304,
      frameBytesMax: 4_259_904,
      heartbeatMs: 15_000,
      inflightBytesMax: 33_554_432,
      nodes: [node, strangerNode],
    },
  },
  {
    name: 'append by name',
    hasBatch: true,
    message: {
      kind: 'append',
      requestId: 1,
      topic: { name: 'packages' },
      partition: 0,
      producer,
      redirect: false,
      timeoutMs: undefined,
    },
  },
  {
    name: 'append by id',
    hasBatch: true,
    message: {
      kind: 'append',
      requestId: Number.MAX_SAFE_INTEGER,
      topic: { id: 7 },
      partition: 255,
      producer: undefined,
      redirect: true,
      timeoutMs: 2_500,
    },
  },
  {
    name: 'ack',
    message: {
      kind: 'ack',
      requestId: 1,
      topicId: 7,
      partition: 0,
      baseOffset: 0,
      recordCount: 3,
      term: 2,
      appendTimeMs: 1_700_000_000_400,
      duplicate: false,
    },
  },
  {
    name: 'ack of a forgotten duplicate',
    message: {
      kind: 'ack',
      requestId: 2,
      topicId: 7,
      partition: 1,
      baseOffset: undefined,
      recordCount: 3,
      term: 2,
      appendTimeMs: 1_700_000_000_400,
      duplicate: true,
    },
  },
  { name: 'nack', message: { kind: 'nack', requestId: 9, failure } },
  { name: 'ping', message: { kind: 'ping', nonce: 77 } },
  { name: 'pong', message: { kind: 'pong', nonce: 77 } },
  {
    name: 'goaway',
    message: { kind: 'goaway', reason: 'draining', reconnectAfterMs: 250, preferred: 'ws://127.0.0.1:4447/v1/ws' },
  },
  { name: 'error', message: { kind: 'error', failure: { ...failure, code: 'INVALID', details: {} } } },
  {
    name: 'request describe-topic',
    message: { kind: 'request', requestId: 3, body: { kind: 'describe-topic', name: 'packages' } },
  },
  { name: 'request list-topics', message: { kind: 'request', requestId: 4, body: { kind: 'list-topics' } } },
  {
    name: 'request create-topic',
    message: {
      kind: 'request',
      requestId: 5,
      body: {
        kind: 'create-topic',
        name: 'packages',
        partitions: 2,
        replicas: 3,
        retention: { maxBytes: undefined, maxAgeMs: 60_000, maxRecords: undefined },
      },
    },
  },
  {
    name: 'request create-topic, defaults',
    message: {
      kind: 'request',
      requestId: 6,
      body: {
        kind: 'create-topic',
        name: 'packages',
        partitions: 1,
        replicas: undefined,
        retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined },
      },
    },
  },
  {
    name: 'request delete-topic',
    message: { kind: 'request', requestId: 7, body: { kind: 'delete-topic', name: 'packages' } },
  },
  { name: 'request cluster', message: { kind: 'request', requestId: 8, body: { kind: 'cluster' } } },
  {
    name: 'request read',
    message: {
      kind: 'request',
      requestId: 9,
      body: {
        kind: 'read',
        topic: { name: 'packages' },
        partition: 1,
        start: { kind: 'timestamp', timestampMs: 1_700_000_000_000 },
        bytesMax: 65_536,
        waitMs: 500,
        level: 'any',
      },
    },
  },
  {
    name: 'request tail',
    message: {
      kind: 'request',
      requestId: 10,
      body: { kind: 'tail', topic: { id: 7 }, partition: 1, level: 'linearizable' },
    },
  },
  {
    name: 'request tail with a token',
    message: {
      kind: 'request',
      requestId: 13,
      body: {
        kind: 'tail',
        topic: { id: 7 },
        partition: 1,
        level: 'atLeast',
        token: { topicId: 7, partition: 1, offset: 300, term: 3 },
      },
    },
  },
  {
    name: 'request transfer-leader',
    message: {
      kind: 'request',
      requestId: 11,
      body: { kind: 'transfer-leader', topic: 'packages', partition: 1, to: 'n2' },
    },
  },
  {
    name: 'request trim',
    message: { kind: 'request', requestId: 12, body: { kind: 'trim', topic: 'packages', partition: 1, before: 15 } },
  },
  {
    name: 'request take-snapshot',
    message: { kind: 'request', requestId: 13, body: { kind: 'take-snapshot', topic: 'packages', partition: 1 } },
  },
  {
    name: 'request add-node',
    message: { kind: 'request', requestId: 14, body: { kind: 'add-node', id: 'n4', peerAddress: '127.0.0.1:4468' } },
  },
  { name: 'request remove-node', message: { kind: 'request', requestId: 15, body: { kind: 'remove-node', id: 'n4' } } },
  {
    name: 'request replace-node',
    message: {
      kind: 'request',
      requestId: 16,
      body: { kind: 'replace-node', id: 'n3', by: 'n4', peerAddress: '127.0.0.1:4468' },
    },
  },
  {
    name: 'request drain-node',
    message: { kind: 'request', requestId: 17, body: { kind: 'drain-node', id: 'n3', isDrained: true } },
  },
  { name: 'response failure', message: { kind: 'response', requestId: 3, body: { kind: 'failure', failure } } },
  { name: 'response topic', message: { kind: 'response', requestId: 3, body: { kind: 'topic', ...topic } } },
  {
    name: 'response topics',
    message: { kind: 'response', requestId: 4, body: { kind: 'topics', topics: [topic, { ...topic, id: 8 }] } },
  },
  { name: 'response no topics', message: { kind: 'response', requestId: 4, body: { kind: 'topics', topics: [] } } },
  { name: 'response done', message: { kind: 'response', requestId: 7, body: { kind: 'done' } } },
  {
    name: 'response cluster',
    message: {
      kind: 'response',
      requestId: 8,
      body: { kind: 'cluster', clusterId: 'c-1', nodeId: 'n1', nodes: [node, strangerNode], catalogLeader: 'n1' },
    },
  },
  {
    name: 'response read',
    hasBatch: true,
    message: {
      kind: 'response',
      requestId: 9,
      body: {
        kind: 'read',
        fromOffset: 0,
        nextOffset: 3,
        compacted: false,
        earliest: 0,
        tail: 3,
        level: 'any',
        node: 'n2',
        appliedOffset: 3,
        term: 2,
        topicId: 7,
      },
    },
  },
  {
    name: 'response tail',
    message: {
      kind: 'response',
      requestId: 10,
      body: {
        kind: 'tail',
        topicId: 7,
        earliest: 10,
        tail: 20,
        node: 'n1',
        term: 3,
        appliedOffset: 20,
        level: 'linearizable',
      },
    },
  },
  {
    name: 'response snapshot',
    message: { kind: 'response', requestId: 13, body: { kind: 'snapshot', index: 41, nextOffset: 20 } },
  },
];

const subscription: readonly Omit<Sample, 'channel'>[] = [
  {
    name: 'subscribe from an offset',
    message: {
      kind: 'subscribe',
      topic: { name: 'packages' },
      partition: 0,
      start: { kind: 'offset', offset: 0 },
      creditBytes: 4_194_304,
      level: 'any',
    },
  },
  {
    name: 'subscribe from the last records',
    message: {
      kind: 'subscribe',
      topic: { id: 7 },
      partition: 1,
      start: { kind: 'last', count: 10 },
      creditBytes: 0,
      level: 'any',
    },
  },
  {
    name: 'subscribe from earliest',
    message: {
      kind: 'subscribe',
      topic: { id: 7 },
      partition: 1,
      start: { kind: 'earliest' },
      creditBytes: 1,
      level: 'any',
    },
  },
  {
    name: 'subscribe from latest',
    message: {
      kind: 'subscribe',
      topic: { id: 7 },
      partition: 1,
      start: { kind: 'latest' },
      creditBytes: 1,
      level: 'any',
    },
  },
  {
    name: 'data',
    hasBatch: true,
    message: { kind: 'data', fromOffset: 0, nextOffset: 3, tail: 3, compacted: false, filtered: false },
  },
  {
    name: 'data with holes',
    hasBatch: true,
    message: { kind: 'data', fromOffset: 1, nextOffset: 9, tail: 20, compacted: true, filtered: true },
  },
  { name: 'credit', message: { kind: 'credit', bytes: 171 } },
  {
    name: 'position',
    message: {
      kind: 'position',
      offset: 3,
      tail: 3,
      earliest: 0,
      caughtUp: true,
      topicId: 7,
      node: 'n3',
      level: 'any',
      appliedOffset: 3,
      term: 2,
    },
  },
  { name: 'unsubscribe', message: { kind: 'unsubscribe' } },
  { name: 'end, asked for', message: { kind: 'end', failure: undefined, nextOffset: 3 } },
  { name: 'end, failed', message: { kind: 'end', failure, nextOffset: 3 } },
  { name: 'error of a subscription', message: { kind: 'error', failure } },
];

export const SAMPLES: readonly Sample[] = [
  ...connection.map((sample): Sample => ({ ...sample, channel: 0 })),
  ...subscription.map((sample, at): Sample => ({ ...sample, channel: at === 0 ? 1 : 0xffff_fff0 + at })),
];
