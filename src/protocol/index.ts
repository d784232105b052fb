/**
 * The words: everything clients, servers and tools agree on. Pure, and the same in Node and in browsers. Reads no
 * clock, makes no chance, holds no connection. docs/protocol.md is its specification.
 */
export { type Crc32c, crc32cJoin, crc32cPortable } from './crc32c.ts';
export {
  assert,
  ERROR_TABLE,
  type ErrorCode,
  type ErrorDetails,
  type ErrorRow,
  isErrorCode,
  LogError,
  type LogErrorOptions,
  type Outcome,
} from './errors.ts';
export { errorOf, failureOf } from './failure.ts';
export {
  CLOSE_CODES,
  decodeFrame,
  encodeFrame,
  type Frame,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
} from './frame.ts';
export {
  APPEND_TIMEOUT_MS,
  BATCH_BYTES_MAX,
  BATCH_RECORDS_MAX,
  CHANNEL_MAX,
  CLIENT_ID_BYTES_MAX,
  CONNECTION_INFLIGHT_BYTES_MAX,
  CONNECTION_SEND_BYTES_MAX,
  CONNECTIONS_MAX,
  CREDIT_BYTES_MAX,
  FAILURE_TEXT_CHARS_MAX,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES_MAX,
  HEADER_FIELDS_MAX,
  NODE_INFLIGHT_BYTES_MAX,
  NUMBER_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  PRODUCER_WINDOW_BATCHES,
  PRODUCERS_MAX,
  READ_BYTES_MAX,
  READ_LEVEL_MS,
  READ_RECORDS_DEFAULT,
  READ_RECORDS_MAX,
  RECORD_BYTES_MAX,
  RECORD_HEADERS_MAX,
  RESPONSE_HEADER_BYTES_MAX,
  SUBSCRIPTIONS_PER_CONNECTION_MAX,
  TOMBSTONE_RETENTION_MS_DEFAULT,
  TOPIC_NAME_BYTES_MAX,
  TOPICS_MAX,
  WAIT_MS_MAX,
} from './limits.ts';
export type {
  AckMessage,
  AppendMessage,
  ClusterInfo,
  Compaction,
  CreditMessage,
  DataMessage,
  EndMessage,
  ErrorMessage,
  Failure,
  GoawayMessage,
  HelloMessage,
  Message,
  MessageKind,
  NackMessage,
  NodeInfo,
  NodeState,
  PartitionInfo,
  PingMessage,
  PongMessage,
  PositionMessage,
  ProducerTuple,
  ReadLevel,
  ReadToken,
  RequestBody,
  RequestMessage,
  ResponseBody,
  ResponseMessage,
  Retention,
  StartAt,
  SubscribeMessage,
  TopicInfo,
  TopicRef,
  UnsubscribeMessage,
  WelcomeMessage,
} from './messages.ts';
export { nodeIdProblem, topicNameProblem } from './names.ts';
export { formatReadToken, isReadToken, parseReadLevel, parseReadToken } from './read-token.ts';
export {
  BATCH_OVERHEAD_BYTES,
  type BatchHeader,
  checkProducedBatch,
  patchBatch,
  readBatchHeader,
  splitBatches,
  verifyBatch,
} from './record-batch.ts';
export { encodeRecordBatch, type NewRecord, RecordBatchBuilder, recordBytes } from './record-batch-builder.ts';
export { type DecodedRecord, decodeRecords, type RecordHeader } from './records.ts';
export { hasPlainRecords, type KeyedRecord, thinBatch, visitKeys } from './thin-batch.ts';
