/**
 * A cluster that speaks the protocol from memory: topics with real logs, producers judged as the real one judges them,
 * subscriptions paid with credit. Nodes can be killed, hung, made to lag or told to leave; a test can look at, swallow
 * or change every message. The logs are public: what is in them at the end is what the client achieved.
 */
import {
  type ErrorCode,
  type ErrorDetails,
  type Frame,
  failureOf,
  LogError,
  type Message,
  type ProducerTuple,
  readBatchHeader,
  type StartAt,
  type TopicInfo,
  type TopicRef,
} from '../../../src/protocol/index.ts';
import { FakeNode, FakeSession, type FakeSubscription } from './fake-node.ts';
import { FakePartition, type FakeTopic } from './fake-partition.ts';
import { MemorySocket } from './memory-socket.ts';
import type { World } from './world.ts';

export interface Outgoing {
  readonly message: Message;
  readonly payload: readonly Uint8Array[];
}

export class FakeCluster {
  readonly world: World;
  readonly nodes: readonly FakeNode[];
  readonly topics: Map<string, FakeTopic> = new Map();
  /** Everything clients sent, oldest first. */
  readonly received: { readonly node: string; readonly frame: Frame }[] = [];
  /** Sees each message first; true: it took care of it. */
  incoming: ((session: FakeSession, frame: Frame) => boolean) | undefined;
  /** Sees each answer; undefined: send it as it is. */
  outgoing:
    | ((
        session: FakeSession,
        channel: number,
        message: Message,
        payload: readonly Uint8Array[],
      ) => Outgoing | 'drop' | undefined)
    | undefined;
  heartbeatMs = 15_000;
  inflightBytesMax: number = 32 * 1024 * 1024;
  recordBytesMax: number = 1024 * 1024;
  batchBytesMax: number = 4 * 1024 * 1024;
  connections = 0;
  #nextTopicId = 1;

  constructor(world: World, nodeIds: readonly string[] = ['n1', 'n2', 'n3']) {
    this.world = world;
    this.nodes = nodeIds.map((id) => new FakeNode(id));
    world.openSocket = (url) => this.#open(url);
  }

  node(id: string): FakeNode {
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  createTopic(name: string, partitions = 1): FakeTopic {
    const ids = this.nodes.map(({ id }) => id);
    const all = Array.from({ length: partitions }, (_, at) => new FakePartition(ids[at % ids.length]!, ids));
    const topic = { id: this.#nextTopicId++, name, partitions: all };
    this.topics.set(name, topic);
    return topic;
  }

  /** Another leader, a term later. */
  elect(partition: FakePartition, leader: string): void {
    partition.leader = leader;
    partition.term++;
  }

  /** Wakes subscriptions after a test appended by itself. */
  pumpAll(): void {
    for (const node of this.nodes) for (const session of node.sessions) this.#pump(session);
  }

  receive(session: FakeSession, frame: Frame): void {
    if (session.node.state !== 'up') return;
    this.received.push({ node: session.node.id, frame });
    if (this.incoming?.(session, frame) === true) return;
    this.handle(session, frame);
  }

  handle(session: FakeSession, { channel, message, payload }: Frame): void {
    switch (message.kind) {
      case 'hello':
        session.send(0, {
          kind: 'welcome',
          version: 1,
          nodeId: session.node.id,
          clusterId: 'c1',
          serverVersion: '0',
          recordBytesMax: this.recordBytesMax,
          batchBytesMax: this.batchBytesMax,
          frameBytesMax: 5 * 1024 * 1024,
          heartbeatMs: this.heartbeatMs,
          inflightBytesMax: this.inflightBytesMax,
          nodes: this.#nodeInfos(),
        });
        break;
      case 'append':
        this.#append(session, message.requestId, message.topic, message.partition, message.producer, payload);
        break;
      case 'request':
        this.#answer(session, frame(channel, message, payload));
        break;
      case 'subscribe':
        this.#subscribe(session, channel, message.topic, message.partition, message.start, message.creditBytes);
        break;
      case 'credit': {
        const subscription = session.subscriptions.get(channel);
        if (subscription !== undefined) subscription.credit += message.bytes;
        this.#pump(session);
        break;
      }
      case 'unsubscribe':
        if (session.subscriptions.delete(channel))
          session.send(channel, { kind: 'end', failure: undefined, nextOffset: 0 });
        break;
      case 'ping':
        session.send(0, { kind: 'pong', nonce: message.nonce });
        break;
      default:
        break;
    }
  }

  #open(url: string): MemorySocket {
    const node = this.nodes.find((candidate) => candidate.url === url);
    const [client, server] = MemorySocket.pair((fn) => this.world.soon(fn));
    this.connections++;
    if (node === undefined || node.state === 'down') client.refuse();
    else if (node.state === 'hung') client.link.isSilent = true;
    else node.sessions.add(new FakeSession(this, node, server));
    return client;
  }

  #nodeInfos(): {
    id: string;
    url: string;
    peerAddress: string;
    diskUuid: undefined;
    version: string;
    isUp: boolean;
    partitionsLed: number;
    state: 'member';
  }[] {
    return this.nodes.map(({ id, url, state }) => ({
      id,
      url,
      peerAddress: `${id}:4438`,
      diskUuid: undefined,
      version: '0',
      isUp: state === 'up',
      partitionsLed: 0,
      state: 'member' as const,
    }));
  }

  #topic(ref: TopicRef): FakeTopic | undefined {
    if ('name' in ref) return this.topics.get(ref.name);
    return [...this.topics.values()].find(({ id }) => id === ref.id);
  }

  info(topic: FakeTopic): TopicInfo {
    return {
      name: topic.name,
      id: topic.id,
      partitions: topic.partitions.map(({ leader, term, replicas, earliest, tail }, partition) => {
        return { partition, leader, term, replicas, earliest, tail, state: 'ok' };
      }),
      retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined },
    };
  }

  #append(
    session: FakeSession,
    requestId: number,
    ref: TopicRef,
    at: number,
    producer: ProducerTuple | undefined,
    batch: Uint8Array,
  ): void {
    const topic = this.#topic(ref);
    const partition = topic?.partitions[at];
    if (topic === undefined || partition === undefined) {
      session.nack(requestId, topic === undefined ? 'TOPIC_NOT_FOUND' : 'PARTITION_NOT_FOUND');
      return;
    }
    if (this.node(partition.leader).state !== 'up') {
      session.nack(requestId, 'NO_LEADER');
      return;
    }
    try {
      const { offset: baseOffset, duplicate } = partition.append(batch, producer);
      const { recordCount } = readBatchHeader(batch);
      const appendTimeMs = 1_700_000_000_000;
      const { term } = partition;
      session.send(0, {
        kind: 'ack',
        requestId,
        topicId: topic.id,
        partition: at,
        baseOffset,
        recordCount,
        term,
        appendTimeMs,
        duplicate,
      });
      this.pumpAll();
    } catch (error) {
      if (!LogError.is(error)) throw error;
      session.send(0, { kind: 'nack', requestId, failure: failureOf(error) });
    }
  }

  #answer(session: FakeSession, { message }: Frame): void {
    if (message.kind !== 'request') return;
    const { requestId, body } = message;
    const fail = (code: ErrorCode, details: ErrorDetails = {}): void => {
      const failure = failureOf(new LogError(code, undefined, { details }));
      session.send(0, { kind: 'response', requestId, body: { kind: 'failure', failure } });
    };
    switch (body.kind) {
      case 'describe-topic': {
        const topic = this.topics.get(body.name);
        if (topic === undefined) fail('TOPIC_NOT_FOUND');
        else session.send(0, { kind: 'response', requestId, body: { kind: 'topic', ...this.info(topic) } });
        return;
      }
      case 'list-topics': {
        const topics = [...this.topics.values()].map((topic) => this.info(topic));
        session.send(0, { kind: 'response', requestId, body: { kind: 'topics', topics } });
        return;
      }
      case 'create-topic':
        if (this.topics.has(body.name)) fail('TOPIC_EXISTS');
        else {
          const topic = this.createTopic(body.name, body.partitions);
          session.send(0, { kind: 'response', requestId, body: { kind: 'topic', ...this.info(topic) } });
        }
        return;
      case 'delete-topic':
        if (!this.topics.delete(body.name)) fail('TOPIC_NOT_FOUND');
        else session.send(0, { kind: 'response', requestId, body: { kind: 'done' } });
        return;
      case 'cluster': {
        const cluster = { clusterId: 'c1', nodeId: session.node.id, nodes: this.#nodeInfos(), catalogLeader: 'n1' };
        session.send(0, { kind: 'response', requestId, body: { kind: 'cluster', ...cluster } });
        return;
      }
      case 'tail':
      case 'read':
      case 'trim': {
        const topic = this.#topic(
          'partition' in body && typeof body.topic === 'string' ? { name: body.topic } : (body.topic as TopicRef),
        );
        const partition = topic?.partitions[body.partition];
        if (topic === undefined || partition === undefined) {
          fail('TOPIC_NOT_FOUND');
          return;
        }
        const stamp = { node: session.node.id, appliedOffset: partition.tail, term: partition.term };
        const { earliest, tail } = partition;
        if (body.kind === 'tail') {
          session.send(0, {
            kind: 'response',
            requestId,
            body: { kind: 'tail', topicId: topic.id, earliest, tail, level: body.level, ...stamp },
          });
        } else if (body.kind === 'trim') {
          partition.earliest = body.before;
          session.send(0, { kind: 'response', requestId, body: { kind: 'done' } });
        } else {
          const from = resolveStart(body.start, partition, session.node);
          const batches = partition.batches.filter(({ nextOffset }) => nextOffset > from).slice(0, 2);
          const nextOffset = batches.at(-1)?.nextOffset ?? from;
          session.send(
            0,
            {
              kind: 'response',
              requestId,
              body: {
                kind: 'read',
                fromOffset: from,
                nextOffset,
                earliest,
                tail,
                level: 'any',
                topicId: topic.id,
                ...stamp,
              },
            },
            batches.map(({ bytes }) => bytes),
          );
        }
        return;
      }
      default:
        session.send(0, { kind: 'response', requestId, body: { kind: 'done' } });
    }
  }

  #subscribe(session: FakeSession, channel: number, ref: TopicRef, at: number, start: StartAt, credit: number): void {
    const topic = this.#topic(ref);
    const partition = topic?.partitions[at];
    const end = (code: ErrorCode, details: ErrorDetails = {}): void => {
      const failure = failureOf(new LogError(code, undefined, { details }));
      session.send(channel, { kind: 'end', failure, nextOffset: 0 });
    };
    if (topic === undefined || partition === undefined) {
      end('TOPIC_NOT_FOUND');
      return;
    }
    const position = resolveStart(start, partition, session.node);
    const tail = Math.min(partition.tail, session.node.visibleTo);
    const { earliest } = partition;
    if (position < earliest) {
      end('TRIMMED', { earliest, tail });
      return;
    }
    if (position > tail) {
      end('OUT_OF_RANGE', { earliest, tail });
      return;
    }
    const subscription = { channel, topic, partition, position, credit, wasCaughtUp: position >= tail };
    session.subscriptions.set(channel, subscription);
    this.#sendPosition(session, subscription);
    this.#pump(session);
  }

  #sendPosition(session: FakeSession, subscription: FakeSubscription): void {
    const { channel, topic, partition, position } = subscription;
    const tail = Math.min(partition.tail, session.node.visibleTo);
    session.send(channel, {
      kind: 'position',
      offset: position,
      tail,
      earliest: partition.earliest,
      caughtUp: position >= tail,
      topicId: topic.id,
      node: session.node.id,
      level: 'any',
      appliedOffset: tail,
      term: partition.term,
    });
  }

  /** Sends what is paid for, a batch a message. */
  #pump(session: FakeSession): void {
    for (const subscription of session.subscriptions.values()) {
      const { channel, partition } = subscription;
      const tail = Math.min(partition.tail, session.node.visibleTo);
      if (subscription.position < partition.earliest) {
        session.subscriptions.delete(channel);
        const details = { earliest: partition.earliest, tail };
        const failure = failureOf(new LogError('TRIMMED', undefined, { details }));
        session.send(channel, { kind: 'end', failure, nextOffset: subscription.position });
        continue;
      }
      while (subscription.credit > 0) {
        const batch = partition.batches.find(({ nextOffset }) => nextOffset > subscription.position);
        if (batch === undefined || batch.nextOffset > tail) break;
        subscription.credit -= batch.bytes.length;
        const fromOffset = subscription.position;
        subscription.position = batch.nextOffset;
        const { nextOffset } = batch;
        session.send(channel, { kind: 'data', fromOffset, nextOffset, tail, compacted: false, filtered: false }, [
          batch.bytes,
        ]);
      }
    }
  }
}

function frame(channel: number, message: Message, payload: Uint8Array): Frame {
  return { channel, message, payload };
}

function resolveStart(start: StartAt, partition: FakePartition, node: FakeNode): number {
  const tail = Math.min(partition.tail, node.visibleTo);
  switch (start.kind) {
    case 'offset':
      return start.offset;
    case 'earliest':
      return partition.earliest;
    case 'latest':
      return tail;
    case 'last':
      return Math.max(partition.earliest, tail - start.count);
    case 'timestamp':
      return partition.earliest;
  }
}
