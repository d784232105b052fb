/** The client in Node: `logdrive/client`. The browser's door is browser.ts; both offer the same. */
import { type Client, connectWith } from './client.ts';
import type { ConnectOptions } from './options.ts';
import { nodePlatform } from './platform-node.ts';

/**
 * Connects to a cluster by the address of one or more of its nodes (`host:port`, `ws://`, `http://`; a text may hold
 * several, separated by commas).
 * @throws LogError CONNECTION when no node answered within connectTimeoutMs.
 */
export function connect(
  servers: string | URL | readonly (string | URL)[],
  options: ConnectOptions = {},
): Promise<Client> {
  return connectWith(nodePlatform, servers, options);
}

export type { RecordHeader } from '../protocol/index.ts';
export {
  ERROR_TABLE,
  type ErrorCode,
  type ErrorDetails,
  isErrorCode,
  LogError,
  type Outcome,
} from '../protocol/index.ts';
export type { Admin, ClusterInfo, PartitionInfo, SnapshotInfo, TopicInfo, TopicSpec } from './admin.ts';
export type { BatchAppender } from './batch-appender.ts';
export { type Client, type ClientState, connectWith, createClient } from './client.ts';
export { bytes, type Codec, json, type RecordMeta, utf8 } from './codec.ts';
export type { RecordBatch } from './decode.ts';
export type { ClientEvent } from './events.ts';
export type { ConnectOptions, ReconnectOptions } from './options.ts';
export type { Platform } from './platform.ts';
export { nodePlatform } from './platform-node.ts';
export type { Producer } from './producer.ts';
export type { ProducerOptions } from './producer-options.ts';
export type { ReadLevel } from './read-level.ts';
export type { ReceivedBatch } from './received-data.ts';
export type { Ack, BatchAck, LogRecord, NewRecord } from './record.ts';
export type { SocketLike } from './socket.ts';
export type { StartAt } from './start-at.ts';
export type { Position, SubscribeOptions, Subscription } from './subscription.ts';
export type {
  AppendOptions,
  BatchReadResult,
  ReadOptions,
  ReadResult,
  ReadStamp,
  Tail,
  TailOptions,
  Topic,
} from './topic.ts';
