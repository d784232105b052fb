/**
 * Every kind of message in one table: its number on the wire, which channels it may use, whether bytes may follow its
 * header, how large the header may be, and how its fields map to schema.proto. frame.ts puts the envelope around it.
 */
import { failureFromWire, failureToWire } from './failure.ts';
import { FRAME_HEADER_BYTES_MAX, RESPONSE_HEADER_BYTES_MAX } from './limits.ts';
import type { AckMessage, AppendMessage, Message, MessageKind, WelcomeMessage } from './messages.ts';
import { requestFromWire, requestToWire, responseFromWire, responseToWire } from './request-codec.ts';
import { decodeWire, encodeWire, type Wire, wire } from './schema.ts';
import {
  levelFromWire,
  nodeFromWire,
  nodeToWire,
  numberOrUndefined,
  present,
  producerFromWire,
  producerToWire,
  startFromWire,
  startToWire,
  textOrUndefined,
  tokenFromWire,
  topicFromWire,
  topicToWire,
  zeroIfUndefined,
} from './wire-values.ts';

export interface MessageCodec<M extends Message> {
  /** u8; below 0x80: a receiver that does not know it must refuse it. */
  readonly number: number;
  /** Who may say it. */
  readonly sender: 'client' | 'server' | 'both';
  /** 'connection': channel 0 alone; 'subscription': any other; 'both': either. */
  readonly channel: 'connection' | 'subscription' | 'both';
  /** Whether bytes follow the header. */
  readonly payload: 'none' | 'required' | 'optional';
  readonly headerBytesMax: number;
  /** Borrowed bytes: valid until the next call of any encode(). */
  encode(message: M): Uint8Array;
  decode(header: Uint8Array): M;
}

type Codecs = { readonly [Kind in MessageKind]: MessageCodec<Extract<Message, { readonly kind: Kind }>> };

const connection = { channel: 'connection', payload: 'none', headerBytesMax: FRAME_HEADER_BYTES_MAX } as const;
const subscription = { channel: 'subscription', payload: 'none', headerBytesMax: FRAME_HEADER_BYTES_MAX } as const;

export const CODECS: Codecs = {
  hello: {
    ...connection,
    number: 1,
    sender: 'client',
    encode: ({ versionMin, versionMax, clientId, token, agent }) =>
      encodeWire(wire.Hello, {
        versionMin,
        versionMax,
        clientId: clientId ?? '',
        token: token ?? '',
        agent: agent ?? '',
      }),
    decode(header) {
      const hello = decodeWire(wire.Hello, header);
      return {
        kind: 'hello',
        versionMin: hello.versionMin ?? 0,
        versionMax: hello.versionMax ?? 0,
        clientId: textOrUndefined(hello.clientId),
        token: textOrUndefined(hello.token),
        agent: textOrUndefined(hello.agent),
      };
    },
  },
  welcome: { ...connection, number: 2, sender: 'server', encode: encodeWelcome, decode: decodeWelcome },
  append: {
    ...connection,
    number: 3,
    sender: 'client',
    payload: 'required',
    encode: encodeAppend,
    decode: decodeAppend,
  },
  ack: { ...connection, number: 4, sender: 'server', encode: encodeAck, decode: decodeAck },
  nack: {
    ...connection,
    number: 5,
    sender: 'server',
    encode: ({ requestId, failure }) => encodeWire(wire.Nack, { requestId, failure: failureToWire(failure) }),
    decode(header) {
      const nack = decodeWire(wire.Nack, header);
      return {
        kind: 'nack',
        requestId: nack.requestId ?? 0,
        failure: failureFromWire(present(nack.failure, 'failure')),
      };
    },
  },
  subscribe: {
    ...subscription,
    number: 6,
    sender: 'client',
    encode: ({ topic, partition, start, creditBytes, level, token = null }) =>
      encodeWire(wire.Subscribe, {
        ...topicToWire(topic),
        partition,
        start: startToWire(start),
        creditBytes,
        level,
        token,
      }),
    decode(header) {
      const subscribe = decodeWire(wire.Subscribe, header);
      return {
        kind: 'subscribe',
        topic: topicFromWire(subscribe),
        partition: subscribe.partition ?? 0,
        start: startFromWire(subscribe.start),
        creditBytes: subscribe.creditBytes ?? 0,
        level: levelFromWire(subscribe.level),
        token: tokenFromWire(subscribe.token),
      };
    },
  },
  data: {
    ...subscription,
    number: 7,
    sender: 'server',
    payload: 'required',
    encode: ({ fromOffset, nextOffset, tail, compacted, filtered }) =>
      encodeWire(wire.Data, { fromOffset, nextOffset, tail, compacted, filtered }),
    decode(header) {
      const data = decodeWire(wire.Data, header);
      return {
        kind: 'data',
        fromOffset: data.fromOffset ?? 0,
        nextOffset: data.nextOffset ?? 0,
        tail: data.tail ?? 0,
        compacted: data.compacted ?? false,
        filtered: data.filtered ?? false,
      };
    },
  },
  credit: {
    ...subscription,
    number: 8,
    sender: 'client',
    encode: ({ bytes }) => encodeWire(wire.Credit, { bytes }),
    decode: (header) => ({ kind: 'credit', bytes: decodeWire(wire.Credit, header).bytes ?? 0 }),
  },
  position: {
    ...subscription,
    number: 9,
    sender: 'server',
    encode: ({ offset, tail, earliest, caughtUp, topicId, node, level, appliedOffset, term }) =>
      encodeWire(wire.Position, { offset, tail, earliest, caughtUp, topicId, node, level, appliedOffset, term }),
    decode(header) {
      const position = decodeWire(wire.Position, header);
      return {
        kind: 'position',
        offset: position.offset ?? 0,
        tail: position.tail ?? 0,
        earliest: position.earliest ?? 0,
        caughtUp: position.caughtUp ?? false,
        topicId: position.topicId ?? 0,
        node: position.node ?? '',
        level: levelFromWire(position.level),
        appliedOffset: position.appliedOffset ?? 0,
        term: position.term ?? 0,
      };
    },
  },
  unsubscribe: {
    ...subscription,
    number: 10,
    sender: 'client',
    encode: () => encodeWire(wire.Unsubscribe, {}),
    decode(header) {
      decodeWire(wire.Unsubscribe, header);
      return { kind: 'unsubscribe' };
    },
  },
  end: {
    ...subscription,
    number: 11,
    sender: 'server',
    encode: ({ failure, nextOffset }) =>
      encodeWire(wire.End, { failure: failure === undefined ? null : failureToWire(failure), nextOffset }),
    decode(header) {
      const end = decodeWire(wire.End, header);
      const failure = end.failure ?? undefined;
      return {
        kind: 'end',
        failure: failure === undefined ? undefined : failureFromWire(failure),
        nextOffset: end.nextOffset ?? 0,
      };
    },
  },
  ping: {
    ...connection,
    number: 12,
    sender: 'both',
    encode: ({ nonce }) => encodeWire(wire.Ping, { nonce }),
    decode: (header) => ({ kind: 'ping', nonce: decodeWire(wire.Ping, header).nonce ?? 0 }),
  },
  pong: {
    ...connection,
    number: 13,
    sender: 'both',
    encode: ({ nonce }) => encodeWire(wire.Pong, { nonce }),
    decode: (header) => ({ kind: 'pong', nonce: decodeWire(wire.Pong, header).nonce ?? 0 }),
  },
  goaway: {
    ...connection,
    number: 14,
    sender: 'server',
    encode: ({ reason, reconnectAfterMs, preferred }) =>
      encodeWire(wire.Goaway, { reason, reconnectAfterMs, preferred: preferred ?? '' }),
    decode(header) {
      const goaway = decodeWire(wire.Goaway, header);
      return {
        kind: 'goaway',
        reason: goaway.reason ?? '',
        reconnectAfterMs: goaway.reconnectAfterMs ?? 0,
        preferred: textOrUndefined(goaway.preferred),
      };
    },
  },
  error: {
    ...connection,
    channel: 'both',
    number: 15,
    sender: 'server',
    encode: ({ failure }) => encodeWire(wire.Error, { failure: failureToWire(failure) }),
    decode(header) {
      const { failure } = decodeWire(wire.Error, header);
      return { kind: 'error', failure: failureFromWire(present(failure, 'failure')) };
    },
  },
  request: {
    ...connection,
    number: 16,
    sender: 'client',
    encode: ({ requestId, body }) => encodeWire(wire.Request, { ...requestToWire(body), requestId }),
    decode(header) {
      const request = decodeWire(wire.Request, header);
      return { kind: 'request', requestId: request.requestId ?? 0, body: requestFromWire(request) };
    },
  },
  response: {
    ...connection,
    number: 17,
    sender: 'server',
    payload: 'optional',
    headerBytesMax: RESPONSE_HEADER_BYTES_MAX,
    encode: ({ requestId, body }) => encodeWire(wire.Response, { ...responseToWire(body), requestId }),
    decode(header) {
      const response = decodeWire(wire.Response, header);
      return { kind: 'response', requestId: response.requestId ?? 0, body: responseFromWire(response) };
    },
  },
};

function encodeWelcome(welcome: WelcomeMessage): Uint8Array {
  const { version, nodeId, serverVersion, recordBytesMax, batchBytesMax, frameBytesMax } = welcome;
  const message: Wire.Welcome = {
    version,
    nodeId,
    clusterId: welcome.clusterId ?? '',
    serverVersion,
    recordBytesMax,
    batchBytesMax,
    frameBytesMax,
    heartbeatMs: welcome.heartbeatMs,
    inflightBytesMax: welcome.inflightBytesMax,
    nodes: welcome.nodes.map(nodeToWire),
  };
  return encodeWire(wire.Welcome, message);
}

function decodeWelcome(header: Uint8Array): WelcomeMessage {
  const welcome = decodeWire(wire.Welcome, header);
  return {
    kind: 'welcome',
    version: welcome.version ?? 0,
    nodeId: welcome.nodeId ?? '',
    clusterId: textOrUndefined(welcome.clusterId),
    serverVersion: welcome.serverVersion ?? '',
    recordBytesMax: welcome.recordBytesMax ?? 0,
    batchBytesMax: welcome.batchBytesMax ?? 0,
    frameBytesMax: welcome.frameBytesMax ?? 0,
    heartbeatMs: welcome.heartbeatMs ?? 0,
    inflightBytesMax: welcome.inflightBytesMax ?? 0,
    nodes: (welcome.nodes ?? []).map(nodeFromWire),
  };
}

function encodeAppend(append: AppendMessage): Uint8Array {
  const { topic, topicId } = topicToWire(append.topic);
  const message: Wire.Append = {
    requestId: append.requestId,
    topic,
    topicId,
    partition: append.partition,
    producer: producerToWire(append.producer) ?? null,
    redirect: append.redirect,
    timeoutMs: zeroIfUndefined(append.timeoutMs, 'timeoutMs'),
  };
  return encodeWire(wire.Append, message);
}

function decodeAppend(header: Uint8Array): AppendMessage {
  const append = decodeWire(wire.Append, header);
  return {
    kind: 'append',
    requestId: append.requestId ?? 0,
    topic: topicFromWire(append),
    partition: append.partition ?? 0,
    producer: producerFromWire(append.producer),
    redirect: append.redirect ?? false,
    timeoutMs: numberOrUndefined(append.timeoutMs),
  };
}

function encodeAck(ack: AckMessage): Uint8Array {
  const { requestId, topicId, partition, baseOffset, recordCount, term, appendTimeMs, duplicate } = ack;
  const message: Wire.Ack = {
    requestId,
    topicId,
    partition,
    baseOffset: baseOffset ?? 0,
    recordCount,
    term,
    appendTimeMs,
    duplicate,
    offsetUnknown: baseOffset === undefined,
  };
  return encodeWire(wire.Ack, message);
}

function decodeAck(header: Uint8Array): AckMessage {
  const ack = decodeWire(wire.Ack, header);
  return {
    kind: 'ack',
    requestId: ack.requestId ?? 0,
    topicId: ack.topicId ?? 0,
    partition: ack.partition ?? 0,
    baseOffset: ack.offsetUnknown === true ? undefined : (ack.baseOffset ?? 0),
    recordCount: ack.recordCount ?? 0,
    term: ack.term ?? 0,
    appendTimeMs: ack.appendTimeMs ?? 0,
    duplicate: ack.duplicate ?? false,
  };
}
