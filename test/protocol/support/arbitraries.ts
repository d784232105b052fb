/** Any message the protocol can carry, for properties. */
import fc from 'fast-check';
import {
  CHANNEL_MAX,
  ERROR_TABLE,
  type ErrorCode,
  type Failure,
  type Message,
  type NodeInfo,
  type ProducerTuple,
  type ReadLevel,
  type RequestBody,
  type ResponseBody,
  type StartAt,
  type TopicInfo,
  type TopicRef,
} from '../../../src/protocol/index.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const number = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53 - 1));
const positive = number.map((value) => Math.max(1, value));
const text = fc.oneof(fc.string({ maxLength: 100 }), fc.string({ unit: 'binary', maxLength: 100 }));
const someText = text.filter((value) => value !== '');
const flag = fc.boolean();

function maybe<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

const topicRef: fc.Arbitrary<TopicRef> = fc.oneof(fc.record({ name: someText }), fc.record({ id: positive }));
const start: fc.Arbitrary<StartAt> = fc.oneof(
  fc.record({ kind: fc.constant('offset' as const), offset: number }),
  fc.record({ kind: fc.constantFrom('earliest' as const, 'latest' as const) }),
  fc.record({ kind: fc.constant('timestamp' as const), timestampMs: number }),
  fc.record({ kind: fc.constant('last' as const), count: number }),
);
const producer: fc.Arbitrary<ProducerTuple> = fc.record({
  id: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  epoch: u32,
  sequence: number,
});
const failure: fc.Arbitrary<Failure> = fc.record({
  code: fc.constantFrom(...(Object.keys(ERROR_TABLE) as ErrorCode[])),
  message: text,
  outcome: fc.constantFrom('none' as const, 'unknown' as const),
  details: fc.record({ topic: text, offset: fc.maxSafeInteger(), leaderUrl: text, line: number }, { requiredKeys: [] }),
});
const node: fc.Arbitrary<NodeInfo> = fc.record({
  id: text,
  url: maybe(someText),
  peerAddress: text,
  diskUuid: maybe(someText),
  version: maybe(someText),
  isUp: flag,
  partitionsLed: u32,
  state: fc.constantFrom(
    'joining' as const,
    'member' as const,
    'drained' as const,
    'leaving' as const,
    'unknown' as const,
  ),
});
const retention = fc.record({ maxBytes: maybe(positive), maxAgeMs: maybe(positive), maxRecords: maybe(positive) });
const topic: fc.Arbitrary<TopicInfo> = fc.record({
  name: text,
  id: number,
  partitions: fc.array(
    fc.record({
      partition: u32,
      leader: maybe(someText),
      term: number,
      replicas: fc.array(text, { maxLength: 3 }),
      earliest: number,
      tail: number,
      state: fc.constantFrom('ok' as const, 'damaged' as const, 'unknown' as const),
    }),
    { maxLength: 3 },
  ),
  retention,
});
const level = fc.constantFrom<ReadLevel>('any', 'atLeast', 'linearizable', 'lease');
const token = maybe(fc.record({ topicId: number, partition: u32, offset: number, term: number }));
const partitionOf = { topic: text, partition: u32 };

const requestBody: fc.Arbitrary<RequestBody> = fc.oneof(
  fc.record({ kind: fc.constantFrom('describe-topic' as const, 'delete-topic' as const), name: text }),
  fc.record({ kind: fc.constantFrom('list-topics' as const, 'cluster' as const) }),
  fc.record({
    kind: fc.constant('create-topic' as const),
    name: text,
    partitions: u32,
    replicas: maybe(fc.integer({ min: 1, max: 0xffff_ffff })),
    retention,
  }),
  fc.record({
    kind: fc.constant('read' as const),
    topic: topicRef,
    partition: u32,
    start,
    bytesMax: number,
    waitMs: u32,
    level,
    token,
  }),
  fc.record({ kind: fc.constant('tail' as const), topic: topicRef, partition: u32, level, token }),
  fc.record({ kind: fc.constant('transfer-leader' as const), ...partitionOf, to: text }),
  fc.record({ kind: fc.constant('trim' as const), ...partitionOf, before: number }),
  fc.record({ kind: fc.constant('take-snapshot' as const), ...partitionOf }),
  fc.record({ kind: fc.constant('add-node' as const), id: text, peerAddress: text }),
  fc.record({ kind: fc.constant('remove-node' as const), id: text }),
  fc.record({ kind: fc.constant('replace-node' as const), id: text, by: text, peerAddress: maybe(someText) }),
  fc.record({ kind: fc.constant('drain-node' as const), id: text, isDrained: flag }),
);

const responseBody: fc.Arbitrary<ResponseBody> = fc.oneof(
  fc.record({ kind: fc.constant('failure' as const), failure }),
  topic.map((info) => ({ kind: 'topic' as const, ...info })),
  fc.record({ kind: fc.constant('topics' as const), topics: fc.array(topic, { maxLength: 4 }) }),
  fc.record({ kind: fc.constant('done' as const) }),
  fc.record({
    kind: fc.constant('cluster' as const),
    clusterId: maybe(someText),
    nodeId: text,
    nodes: fc.array(node, { maxLength: 3 }),
    catalogLeader: maybe(someText),
  }),
  fc.record({
    kind: fc.constant('tail' as const),
    topicId: number,
    earliest: number,
    tail: number,
    node: text,
    term: number,
    appliedOffset: number,
    level: level,
  }),
  fc.record({ kind: fc.constant('snapshot' as const), index: number, nextOffset: number }),
);

const connectionMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    versionMin: u32,
    versionMax: u32,
    clientId: maybe(someText),
    token: maybe(someText),
    agent: maybe(someText),
  }),
  fc.record({
    kind: fc.constant('welcome' as const),
    version: u32,
    nodeId: text,
    clusterId: maybe(someText),
    serverVersion: text,
    recordBytesMax: number,
    batchBytesMax: number,
    frameBytesMax: number,
    heartbeatMs: u32,
    inflightBytesMax: number,
    nodes: fc.array(node, { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('ack' as const),
    requestId: number,
    topicId: number,
    partition: u32,
    baseOffset: maybe(number),
    recordCount: u32,
    term: number,
    appendTimeMs: number,
    duplicate: flag,
  }),
  fc.record({ kind: fc.constant('nack' as const), requestId: number, failure }),
  fc.record({ kind: fc.constantFrom('ping' as const, 'pong' as const), nonce: number }),
  fc.record({
    kind: fc.constant('goaway' as const),
    reason: text,
    reconnectAfterMs: u32,
    preferred: maybe(someText),
  }),
  fc.record({ kind: fc.constant('error' as const), failure }),
  fc.record({ kind: fc.constant('request' as const), requestId: number, body: requestBody }),
  fc.record({ kind: fc.constant('response' as const), requestId: number, body: responseBody }),
);

const subscriptionMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    kind: fc.constant('subscribe' as const),
    topic: topicRef,
    partition: u32,
    start,
    creditBytes: number,
    level,
    token,
  }),
  fc.record({ kind: fc.constant('credit' as const), bytes: number }),
  fc.record({
    kind: fc.constant('position' as const),
    offset: number,
    tail: number,
    earliest: number,
    caughtUp: flag,
    topicId: number,
    node: text,
    level,
    appliedOffset: number,
    term: number,
  }),
  fc.record({ kind: fc.constant('unsubscribe' as const) }),
  fc.record({ kind: fc.constant('end' as const), failure: maybe(failure), nextOffset: number }),
  fc.record({ kind: fc.constant('error' as const), failure }),
);

const append: fc.Arbitrary<Message> = fc.record({
  kind: fc.constant('append' as const),
  requestId: number,
  topic: topicRef,
  partition: u32,
  producer: maybe(producer),
  redirect: flag,
  timeoutMs: maybe(fc.integer({ min: 1, max: 0xffff_ffff })),
});
const data: fc.Arbitrary<Message> = fc.record({
  kind: fc.constant('data' as const),
  fromOffset: number,
  nextOffset: number,
  tail: number,
  compacted: flag,
  filtered: flag,
});

const channel = fc.integer({ min: 1, max: CHANNEL_MAX });
const payload = fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 3 });
const connectionChannel = fc.constant(0);
const noPayload = fc.constant<Uint8Array[]>([]);

export const arbitraryMessage: fc.Arbitrary<{ channel: number; message: Message; payload: Uint8Array[] }> = fc.oneof(
  fc.record({ channel: connectionChannel, message: append, payload }),
  fc.record({ channel, message: data, payload }),
  fc.record({ channel: connectionChannel, message: connectionMessage, payload: noPayload }),
  fc.record({ channel, message: subscriptionMessage, payload: noPayload }),
);
