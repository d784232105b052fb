/**
 * What a client can ask of a broker, whatever door it came through: the WebSocket session, the HTTP routes and the
 * embedded client all call these verbs and nothing else. Contracts only; class Broker (broker.ts) fulfils them.
 *
 * Every verb rejects with a LogError of the protocol's table and nothing else. A rejection says through `outcome`
 * whether the request can have had an effect.
 */
import type {
  ClusterInfo,
  Compaction,
  NodeInfo,
  PartitionInfo,
  ProducerTuple,
  ReadLevel,
  ReadToken,
  Retention,
  StartAt,
  TopicInfo,
  TopicRef,
} from '../protocol/index.ts';

/** What the protocol can say of topics and nodes is what a broker says of them. An id of a topic deleted since is
 *  TOPIC_NOT_FOUND even when the name exists again (L5). */
export type { Compaction, ReadLevel, ReadToken, Retention, StartAt, TopicRef };
export type TopicDescription = TopicInfo;
export type PartitionDescription = PartitionInfo;
export type NodeDescription = NodeInfo;
export type ClusterDescription = ClusterInfo;

/** The connection a request belongs to, as admission sees it. One per session; HTTP makes one a socket. */
export interface ClientHandle {
  /** Bytes of appends not answered yet. Moved by the broker's admission only. */
  inflightBytes: number;
}

export interface AppendRequest {
  readonly client: ClientHandle;
  readonly topic: TopicRef;
  readonly partition: number;
  /** Exactly one record batch, checked by nobody yet. Given: the broker patches base offset and leader epoch. */
  readonly batch: Uint8Array;
  readonly producer: ProducerTuple | undefined;
  /** True: when this node does not lead, fail with NOT_LEADER instead of forwarding. */
  readonly redirect: boolean;
  /** Clamped to APPEND_TIMEOUT_MS; TIMEOUT ('unknown') after that. */
  readonly timeoutMs?: number | undefined;
}

export interface AppendResult {
  readonly topicId: number;
  readonly topic: string;
  readonly partition: number;
  /** undefined: a duplicate so old that its offset is not remembered. */
  readonly baseOffset: number | undefined;
  readonly recordCount: number;
  readonly appendTimeMs: number;
  readonly term: number;
  readonly isDuplicate: boolean;
}

/** The level a read asks for. INVALID when token and level do not fit. */
export interface WantedLevel {
  readonly level: ReadLevel;
  /** With 'atLeast', and with no other level. */
  readonly token?: ReadToken | undefined;
}

/** Says what was read: level, from which node, at which applied offset and term (design 5). */
export interface ReadStamp {
  /** What it really was: 'lease' may be answered by a round after all, and says 'linearizable' then. */
  readonly level: ReadLevel;
  readonly node: string;
  /** Records below it are applied on that node: its high watermark. */
  readonly appliedOffset: number;
  readonly term: number;
}

export interface ReadRequest extends WantedLevel {
  readonly topic: TopicRef;
  readonly partition: number;
  readonly start: StartAt;
  /** At least one whole batch is returned when there is one, whatever this says. */
  readonly bytesMax: number;
  /** At the tail: wait this long for a record; then an empty result. Clamped to WAIT_MS_MAX. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}

export interface ReadResult extends ReadStamp {
  readonly topicId: number;
  /** Whole batches as stored, in order; the first may begin below fromOffset. Frozen. */
  readonly batches: readonly Uint8Array[];
  readonly fromOffset: number;
  /**
   * Where to read on: behind the last record of the batches and what compaction took out there; fromOffset at the tail.
   */
  readonly nextOffset: number;
  /** Records from fromOffset to nextOffset may be missing: compaction took them out. */
  readonly compacted: boolean;
  readonly earliest: number;
  readonly tail: number;
}

/** The level is that of the beginning: what follows is what this replica knows to be committed, in order. */
export interface SubscribeRequest extends WantedLevel {
  readonly topic: TopicRef;
  readonly partition: number;
  readonly start: StartAt;
}

/** A reader that stays. Pull-driven: nothing is read and nothing buffered until next() is called. */
export interface Reader {
  readonly topicId: number;
  /** The offset the next batch will begin at (or contain). */
  readonly position: number;
  readonly earliest: number;
  readonly tail: number;
  /** Of the last answer; before the first next(), of the beginning. */
  stamp(): ReadStamp;
  /**
   * Resolves with committed batches from `position` on, and moves it. At the tail it waits. One call at a time.
   * Rejects TRIMMED when retention overtook the reader, TOPIC_NOT_FOUND when the topic is deleted, CLOSED after
   * close().
   * @param bytesMax Soft cap: at least one whole batch comes back.
   * @param onWaiting Called when there is nothing to give for now: also below the tail, up to which compaction may
   *   have left no record.
   */
  next(bytesMax: number, onWaiting?: () => void): Promise<ReadResult>;
  /** Ends a waiting next() with CLOSED. */
  close(): void;
}

export interface CreateTopicRequest {
  readonly name: string;
  readonly partitions: number;
  /** undefined: min(3, nodes). */
  readonly replicas: number | undefined;
  readonly retention: Retention;
  /** Keeps the latest record of each key; undefined: all of them. */
  readonly compaction?: Compaction | undefined;
  /** The offset of each partition's first record, for a topic that is restored; undefined: 0. */
  readonly firstOffsets?: readonly number[] | undefined;
}

export interface NewNode {
  readonly id: string;
  /** host:port at which its peers reach it. */
  readonly peerAddress: string;
}

export interface TailResult extends ReadStamp {
  readonly topicId: number;
  readonly earliest: number;
  readonly tail: number;
}

export interface HealthCheck {
  readonly name: string;
  readonly isOk: boolean;
  readonly detail: string;
}

export interface BrokerVerbs {
  readonly nodeId: string;
  readonly version: string;
  append(request: AppendRequest): Promise<AppendResult>;
  read(request: ReadRequest): Promise<ReadResult>;
  subscribe(request: SubscribeRequest): Promise<Reader>;
  /** Linearizable unless another level is wanted. */
  tail(topic: TopicRef, partition: number, wanted?: WantedLevel): Promise<TailResult>;
  /** Resolves once each partition has a leader. TOPIC_EXISTS when the name is taken. */
  createTopic(request: CreateTopicRequest): Promise<TopicDescription>;
  deleteTopic(name: string): Promise<void>;
  listTopics(): Promise<readonly TopicDescription[]>;
  describeTopic(name: string): Promise<TopicDescription>;
  cluster(): ClusterDescription;
  /** Resolves when the node is accepted; it is a full member once cluster() says so. NODE_EXISTS, NODE_DOWN,
   *  CHANGE_IN_FLIGHT. */
  addNode(node: NewNode): Promise<void>;
  /** Resolves when the decision is committed; the node's replicas move away after that, and then it is gone for good:
   *  its id is never used again. NODE_NOT_FOUND, NODE_DOWN, CHANGE_IN_FLIGHT, INVALID for the last one. */
  removeNode(id: string): Promise<void>;
  /** As removeNode(), with the replicas going to `by`, which is added first when it is no member. */
  replaceNode(id: string, by: string, peerAddress?: string): Promise<void>;
  /** While drained a node leads nothing and is given no new replicas. */
  drainNode(id: string, isDrained: boolean): Promise<void>;
  /** Resolves when `to` leads. */
  transferLeader(topic: string, partition: number, to: string): Promise<void>;
  /** Rolls the active segment and takes a snapshot at its boundary. */
  takeSnapshot(topic: string, partition: number): Promise<{ readonly index: number; readonly nextOffset: number }>;
  /** Moves the log start offset, through the log, on all replicas. Never beyond the tail; never back. */
  trim(topic: string, partition: number, before: number): Promise<void>;
  /** For /readyz and /livez?verbose. */
  readiness(): readonly HealthCheck[];
}
