/**
 * What two sides of a connection can say to each other, as tagged unions. Types only: frame.ts turns them into bytes
 * and back, docs/protocol.md says when each may be sent.
 *
 * Absence is `undefined`, never a zero or an empty string, even where the wire saves the byte (message-codec.ts maps
 * them). Grammar above each message: `?` may be absent, `*` any number of, `|` or, `bytes` a protobuf bytes field.
 * Every integer is safe; u32 fields fit 32 bits.
 */
import type { ErrorCode, ErrorDetails, Outcome } from './errors.ts';

/** A topic by name, or by the id an earlier answer gave for it. The id of a deleted topic never comes back. */
export type TopicRef = { readonly name: string } | { readonly id: number };

export type StartAt =
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** The first record appended at or after this time. */
  | { readonly kind: 'timestamp'; readonly timestampMs: number }
  /** This many records before the tail, or earliest when there are fewer. */
  | { readonly kind: 'last'; readonly count: number };

/**
 * What a read promises:
 * 'any': what the answering replica knows to be committed;
 * 'atLeast': as 'any', and the record of the token with everything before it is among it;
 * 'linearizable': everything acknowledged to anybody before the read began (P9);
 * 'lease': the same, as long as clocks run as closely together as the nodes are told to believe.
 */
export type ReadLevel = 'any' | 'atLeast' | 'linearizable' | 'lease';

/** ReadToken := topicId partition:u32 offset term ; the last record its holder appended or saw (read-token.ts). */
export interface ReadToken {
  readonly topicId: number;
  readonly partition: number;
  readonly offset: number;
  /** Of the leader that appended the record. */
  readonly term: number;
}

/** Who appends, for de-duplication and fencing. */
export interface ProducerTuple {
  /** 32 lower-case hex digits; 16 bytes on the wire. */
  readonly id: string;
  /** u32. A higher one fences all lower ones. */
  readonly epoch: number;
  /** Number of the batch's first record in this producer's own count, from 0; the next batch's is this + records. */
  readonly sequence: number;
}

/** A LogError as it travels. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly outcome: Outcome;
  readonly details: ErrorDetails;
}

export interface NodeInfo {
  readonly id: string;
  /** Where clients reach it, `ws://host:port/v1/ws`; undefined when not known. */
  readonly url: string | undefined;
  readonly peerAddress: string;
  readonly diskUuid: string | undefined;
  readonly version: string | undefined;
  readonly isUp: boolean;
  /** u32 */
  readonly partitionsLed: number;
  readonly state: NodeState;
}

/**
 * 'joining': catching up. 'leaving': its replicas move to others. 'drained': leads nothing. 'unknown': no member, or
 * the node that is asked does not know the members yet.
 */
export type NodeState = 'joining' | 'member' | 'drained' | 'leaving' | 'unknown';

/** undefined: no bound. */
export interface Retention {
  readonly maxBytes: number | undefined;
  readonly maxAgeMs: number | undefined;
  readonly maxRecords: number | undefined;
}

/** The policy of a topic that keeps the latest record of each key. */
export interface Compaction {
  /** How long a tombstone stays after it was appended, at least: >= 1. */
  readonly tombstoneRetentionMs: number;
}

export interface PartitionInfo {
  readonly partition: number;
  readonly leader: string | undefined;
  readonly term: number;
  readonly replicas: readonly string[];
  readonly earliest: number;
  readonly tail: number;
  readonly state: 'ok' | 'damaged' | 'unknown';
}

export interface TopicInfo {
  readonly name: string;
  readonly id: number;
  readonly partitions: readonly PartitionInfo[];
  readonly retention: Retention;
  /** Absent: every record stays until retention lets it go. */
  readonly compaction?: Compaction | undefined;
}

export interface ClusterInfo {
  /** undefined before the cluster was born. */
  readonly clusterId: string | undefined;
  readonly nodeId: string;
  readonly nodes: readonly NodeInfo[];
  readonly catalogLeader: string | undefined;
}

/** Hello := versionMin:u32 versionMax:u32 clientId? token? agent? . Client, first on a connection, once. */
export interface HelloMessage {
  readonly kind: 'hello';
  readonly versionMin: number;
  readonly versionMax: number;
  readonly clientId: string | undefined;
  readonly token: string | undefined;
  /** Name and version of the client's library, for the node's log. */
  readonly agent: string | undefined;
}

/** Welcome := version:u32 nodeId clusterId? serverVersion limits heartbeatMs:u32 Node* . Server, answers Hello. */
export interface WelcomeMessage {
  readonly kind: 'welcome';
  readonly version: number;
  readonly nodeId: string;
  readonly clusterId: string | undefined;
  readonly serverVersion: string;
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
  readonly frameBytesMax: number;
  readonly heartbeatMs: number;
  /** Unanswered bytes of appends this connection may have; more is answered OVERLOADED. */
  readonly inflightBytesMax: number;
  readonly nodes: readonly NodeInfo[];
}

/**
 * Append := requestId (topic | topicId) partition:u32 Producer? redirect timeoutMs?:u32 ; payload: one record batch.
 */
export interface AppendMessage {
  readonly kind: 'append';
  readonly requestId: number;
  readonly topic: TopicRef;
  readonly partition: number;
  readonly producer: ProducerTuple | undefined;
  /** True: a follower answers NOT_LEADER instead of forwarding. */
  readonly redirect: boolean;
  /** undefined: the server's own bound. 0 is not a timeout. */
  readonly timeoutMs: number | undefined;
}

/** Ack := requestId topicId partition:u32 baseOffset? recordCount:u32 term appendTimeMs duplicate . Server. */
export interface AckMessage {
  readonly kind: 'ack';
  readonly requestId: number;
  readonly topicId: number;
  readonly partition: number;
  /** undefined: a duplicate older than the window. It is in the log; where is no longer known. */
  readonly baseOffset: number | undefined;
  readonly recordCount: number;
  readonly term: number;
  readonly appendTimeMs: number;
  readonly duplicate: boolean;
}

/** Nack := requestId Failure . Server: this append failed, as the failure's outcome says. */
export interface NackMessage {
  readonly kind: 'nack';
  readonly requestId: number;
  readonly failure: Failure;
}

/**
 * Subscribe := (topic | topicId) partition:u32 StartAt creditBytes level ReadToken? .
 * Client, on a channel it does not use yet.
 */
export interface SubscribeMessage {
  readonly kind: 'subscribe';
  readonly topic: TopicRef;
  readonly partition: number;
  readonly start: StartAt;
  readonly creditBytes: number;
  readonly level: ReadLevel;
  /** With 'atLeast', and with no other level. */
  readonly token?: ReadToken | undefined;
}

/** Data := fromOffset nextOffset tail compacted filtered ; payload: one or more record batches back to back. Server. */
export interface DataMessage {
  readonly kind: 'data';
  /** Equals the subscriber's position. The first batch may begin below it; records below it are to be skipped. */
  readonly fromOffset: number;
  /** The subscriber's position after this message. > fromOffset. */
  readonly nextOffset: number;
  readonly tail: number;
  /** Offsets may be missing because compaction removed them. */
  readonly compacted: boolean;
  /** Offsets may be missing because the subscription asked for some records only. */
  readonly filtered: boolean;
}

/** Credit := bytes . Client: the server may send that many more payload bytes on this channel. */
export interface CreditMessage {
  readonly kind: 'credit';
  readonly bytes: number;
}

/**
 * Position := offset tail earliest caughtUp topicId node level appliedOffset term . Server; first answer to Subscribe.
 */
export interface PositionMessage {
  readonly kind: 'position';
  /** The offset the next DATA begins at. */
  readonly offset: number;
  readonly tail: number;
  readonly earliest: number;
  readonly caughtUp: boolean;
  readonly topicId: number;
  readonly node: string;
  readonly level: ReadLevel;
  readonly appliedOffset: number;
  readonly term: number;
}

/** Unsubscribe := . Client. DATA under way may still arrive before END. */
export interface UnsubscribeMessage {
  readonly kind: 'unsubscribe';
}

/** End := Failure? nextOffset . Server: the channel is free again. Without failure: it was asked for. */
export interface EndMessage {
  readonly kind: 'end';
  readonly failure: Failure | undefined;
  readonly nextOffset: number;
}

/** Ping := nonce . Either side. */
export interface PingMessage {
  readonly kind: 'ping';
  readonly nonce: number;
}

/** Pong := nonce . Answers the Ping of that nonce. */
export interface PongMessage {
  readonly kind: 'pong';
  readonly nonce: number;
}

/** Goaway := reason reconnectAfterMs:u32 preferred? . Server: begin nothing new here, go elsewhere. */
export interface GoawayMessage {
  readonly kind: 'goaway';
  readonly reason: string;
  readonly reconnectAfterMs: number;
  /** A URL. */
  readonly preferred: string | undefined;
}

/** Error := Failure . Server. Channel 0: about the connection, which closes next; else about that subscription. */
export interface ErrorMessage {
  readonly kind: 'error';
  readonly failure: Failure;
}

export type RequestBody =
  /** DescribeTopic := name */
  | { readonly kind: 'describe-topic'; readonly name: string }
  /** ListTopics := */
  | { readonly kind: 'list-topics' }
  /**
   * CreateTopic := name partitions:u32 replicas?:u32 Retention Compaction? firstOffset* ;
   * replicas absent: min(3, nodes)
   */
  | {
      readonly kind: 'create-topic';
      readonly name: string;
      readonly partitions: number;
      readonly replicas: number | undefined;
      readonly retention: Retention;
      readonly compaction?: Compaction | undefined;
      /** The offset of each partition's first record, or none at all: 0. For a topic that is restored. */
      readonly firstOffsets?: readonly number[] | undefined;
    }
  /** DeleteTopic := name */
  | { readonly kind: 'delete-topic'; readonly name: string }
  /** Cluster := */
  | { readonly kind: 'cluster' }
  /** Read := (topic | topicId) partition:u32 StartAt bytesMax waitMs:u32 level ReadToken? */
  | {
      readonly kind: 'read';
      readonly topic: TopicRef;
      readonly partition: number;
      readonly start: StartAt;
      readonly bytesMax: number;
      readonly waitMs: number;
      readonly level: ReadLevel;
      readonly token?: ReadToken | undefined;
    }
  /** Tail := (topic | topicId) partition:u32 level ReadToken? */
  | {
      readonly kind: 'tail';
      readonly topic: TopicRef;
      readonly partition: number;
      readonly level: ReadLevel;
      readonly token?: ReadToken | undefined;
    }
  /** TransferLeader := topic partition:u32 to */
  | { readonly kind: 'transfer-leader'; readonly topic: string; readonly partition: number; readonly to: string }
  /** Trim := topic partition:u32 before */
  | { readonly kind: 'trim'; readonly topic: string; readonly partition: number; readonly before: number }
  /** TakeSnapshot := topic partition:u32 */
  | { readonly kind: 'take-snapshot'; readonly topic: string; readonly partition: number }
  /** AddNode := id peerAddress */
  | { readonly kind: 'add-node'; readonly id: string; readonly peerAddress: string }
  /** RemoveNode := id */
  | { readonly kind: 'remove-node'; readonly id: string }
  /** ReplaceNode := id by peerAddress? ; the address of `by` when it is to be added first */
  | {
      readonly kind: 'replace-node';
      readonly id: string;
      readonly by: string;
      readonly peerAddress: string | undefined;
    }
  /** DrainNode := id isDrained */
  | { readonly kind: 'drain-node'; readonly id: string; readonly isDrained: boolean };

/** Request := requestId RequestBody . Client. */
export interface RequestMessage {
  readonly kind: 'request';
  readonly requestId: number;
  readonly body: RequestBody;
}

export type ResponseBody =
  | { readonly kind: 'failure'; readonly failure: Failure }
  /** Topic := TopicInfo ; answers describe-topic and create-topic */
  | ({ readonly kind: 'topic' } & TopicInfo)
  /** Topics := TopicInfo* ; answers list-topics */
  | { readonly kind: 'topics'; readonly topics: readonly TopicInfo[] }
  /** Done := ; answers delete-topic, transfer-leader, trim */
  | { readonly kind: 'done' }
  /** Cluster := ClusterInfo ; answers cluster */
  | ({ readonly kind: 'cluster' } & ClusterInfo)
  /**
   * Read := fromOffset nextOffset compacted earliest tail level node appliedOffset term topicId ;
   * payload: record batches
   */
  | {
      readonly kind: 'read';
      readonly fromOffset: number;
      readonly nextOffset: number;
      /** Offsets may be missing because compaction removed them. */
      readonly compacted?: boolean;
      readonly earliest: number;
      readonly tail: number;
      readonly level: ReadLevel;
      readonly node: string;
      readonly appliedOffset: number;
      readonly term: number;
      readonly topicId: number;
    }
  /** Tail := topicId earliest tail node term appliedOffset level ; answers tail */
  | {
      readonly kind: 'tail';
      readonly topicId: number;
      readonly earliest: number;
      readonly tail: number;
      readonly node: string;
      readonly term: number;
      readonly appliedOffset: number;
      readonly level: ReadLevel;
    }
  /** Snapshot := index nextOffset ; answers take-snapshot */
  | { readonly kind: 'snapshot'; readonly index: number; readonly nextOffset: number };

/** Response := requestId ResponseBody . Server. */
export interface ResponseMessage {
  readonly kind: 'response';
  readonly requestId: number;
  readonly body: ResponseBody;
}

export type Message =
  | HelloMessage
  | WelcomeMessage
  | AppendMessage
  | AckMessage
  | NackMessage
  | SubscribeMessage
  | DataMessage
  | CreditMessage
  | PositionMessage
  | UnsubscribeMessage
  | EndMessage
  | PingMessage
  | PongMessage
  | GoawayMessage
  | ErrorMessage
  | RequestMessage
  | ResponseMessage;

export type MessageKind = Message['kind'];
