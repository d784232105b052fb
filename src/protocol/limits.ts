/**
 * Every cap on size, count and depth that a peer or a client can run into, with its reason. Checked against each
 * other at load, so that a change that contradicts another one fails before anything starts.
 */
import { assert } from './errors.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Offsets, epochs-in-JSON, sequences: safe integers, checked at every decode (design decision 10). */
export const NUMBER_MAX: number = Number.MAX_SAFE_INTEGER;
/** Key + value + headers of one record, by default. */
export const RECORD_BYTES_MAX: number = 1 * MiB;
/** One encoded record batch, by default. */
export const BATCH_BYTES_MAX: number = 4 * MiB;
/** Records in one batch: bounds what decoding one batch can allocate. */
export const BATCH_RECORDS_MAX = 100_000;
export const RECORD_HEADERS_MAX = 64;
/** The protobuf header of a frame. */
export const FRAME_HEADER_BYTES_MAX: number = 64 * KiB;
/** The protobuf header of a RESPONSE: the description of every topic of a large cluster. */
export const RESPONSE_HEADER_BYTES_MAX: number = 4 * MiB;
/** Protobuf fields in one header, nested ones included: bounds what decoding can allocate for a few bytes each. */
export const HEADER_FIELDS_MAX = 500_000;
/** Each text of a failure; longer ones are cut. */
export const FAILURE_TEXT_CHARS_MAX = 1_000;
/** One WebSocket message: a largest batch, its header and the envelope. */
export const FRAME_BYTES_MAX: number = BATCH_BYTES_MAX + FRAME_HEADER_BYTES_MAX + 64;
/** [A-Za-z0-9._-], no leading dot. */
export const TOPIC_NAME_BYTES_MAX = 200;
export const PARTITIONS_PER_TOPIC_MAX = 256;
export const TOPICS_MAX = 10_000;
export const SUBSCRIPTIONS_PER_CONNECTION_MAX = 256;
export const CHANNEL_MAX = 0xffff_ffff;
export const CREDIT_BYTES_MAX: number = 64 * MiB;
export const CLIENT_ID_BYTES_MAX = 128;
/** Unanswered bytes of appends: of one connection, and of a node. Above: OVERLOADED. */
export const CONNECTION_INFLIGHT_BYTES_MAX: number = 32 * MiB;
export const NODE_INFLIGHT_BYTES_MAX: number = 128 * MiB;
/** Bytes queued towards one client socket before it is served no further until it drained. */
export const CONNECTION_SEND_BYTES_MAX: number = 8 * MiB;
export const CONNECTIONS_MAX = 10_000;
export const READ_RECORDS_DEFAULT = 1_000;
export const READ_RECORDS_MAX = 10_000;
export const READ_BYTES_MAX: number = 4 * MiB;
export const WAIT_MS_MAX = 30_000;
/** How long a node works for the level of a read (catching up, asking the leader) when wait_ms is shorter. */
export const READ_LEVEL_MS = 2_000;
/** The server gives up an append after this: TIMEOUT, outcome unknown. */
export const APPEND_TIMEOUT_MS = 10_000;
/** Batches of one producer remembered for de-duplication. */
export const PRODUCER_WINDOW_BATCHES = 5;
/** How long a compacted topic keeps a tombstone when its maker does not say. */
export const TOMBSTONE_RETENTION_MS_DEFAULT: number = 24 * 3_600_000;
/** Producers remembered a partition; the longest silent one is forgotten first. */
export const PRODUCERS_MAX = 100_000;

assert(RECORD_BYTES_MAX <= BATCH_BYTES_MAX, 'a largest record fits in a batch');
assert(FRAME_BYTES_MAX > BATCH_BYTES_MAX + FRAME_HEADER_BYTES_MAX, 'a largest batch fits in a frame');
assert(FRAME_BYTES_MAX > RESPONSE_HEADER_BYTES_MAX, 'a largest response fits in a frame');
assert(CONNECTION_INFLIGHT_BYTES_MAX >= FRAME_BYTES_MAX, 'a connection may have a largest frame in flight');
assert(NODE_INFLIGHT_BYTES_MAX >= CONNECTION_INFLIGHT_BYTES_MAX, 'a node allows what one connection may');
assert(6 * FAILURE_TEXT_CHARS_MAX * 3 < FRAME_HEADER_BYTES_MAX, 'a largest failure fits in a header');
assert(READ_BYTES_MAX >= BATCH_BYTES_MAX, 'a read can return a largest batch');
