/**
 * The envelope of one WebSocket message.
 *
 *     u8      kind      1..17; with the high bit set: may be ignored by whoever does not know it
 *     u32     channel   big-endian; 0: the connection, else a subscription, numbered by the client
 *     varint  header length, low bits first
 *     bytes   header    protobuf, schema.proto
 *     bytes   payload   to the end of the message: record batches, as they lie on disk
 *
 * The payload never passes through protobuf and is never copied: encodeFrame() hands it through, decodeFrame() makes a
 * view. Nothing is allocated by a length the peer claims; the cap of a header is checked before it is decoded.
 */
import { assert, LogError } from './errors.ts';
import { CHANNEL_MAX, FRAME_BYTES_MAX } from './limits.ts';
import { CODECS, type MessageCodec } from './message-codec.ts';
import type { Message } from './messages.ts';

export const PROTOCOL_VERSION = 1;
/** Asked for and answered in Sec-WebSocket-Protocol. */
export const SUBPROTOCOL = 'logdrive.v1';

/** Why a WebSocket was closed. From 4400 on: logdrive's own, numbered after the HTTP status nearest in meaning. */
export const CLOSE_CODES: {
  readonly normal: 1000;
  readonly goingAway: 1001;
  readonly protocolError: 1002;
  readonly tooLarge: 1009;
  readonly forbidden: 4403;
  readonly slowConsumer: 4408;
} = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  tooLarge: 1009,
  forbidden: 4403,
  slowConsumer: 4408,
};

export interface Frame {
  readonly channel: number;
  readonly message: Message;
  /** A view of the received bytes; empty when there is none. */
  readonly payload: Uint8Array;
}

const CHANNEL_AT = 1;
const HEADER_LENGTH_AT = 5;
/** Enough for any length up to FRAME_BYTES_MAX, and for some padding of it. */
const LENGTH_BYTES_MAX = 5;
const IGNORABLE_BIT = 0x80;
const NO_PAYLOAD: readonly Uint8Array[] = Object.freeze([]);

// One place where the union's correlation of kind and codec is widened; decode() returns what its own kind says.
const BY_KIND = CODECS as Readonly<Record<Message['kind'], MessageCodec<Message>>>;
const BY_NUMBER: readonly (MessageCodec<Message> | undefined)[] = byNumber();

function byNumber(): (MessageCodec<Message> | undefined)[] {
  const codecs: (MessageCodec<Message> | undefined)[] = new Array(IGNORABLE_BIT).fill(undefined);
  for (const codec of Object.values(BY_KIND)) {
    assert(codecs[codec.number] === undefined, `kind ${codec.number} is used once`);
    codecs[codec.number] = codec;
  }
  return codecs;
}

/**
 * The chunks of one WebSocket message, to be sent as one: a head of its own, then the payload's chunks themselves.
 * @throws LogError INVALID for a message the wire cannot carry, TOO_LARGE for one over its cap.
 */
export function encodeFrame(
  channel: number,
  message: Message,
  payload: readonly Uint8Array[] = NO_PAYLOAD,
): Uint8Array[] {
  const codec = BY_KIND[message.kind];
  assert(
    Number.isInteger(channel) && channel >= 0 && channel <= CHANNEL_MAX,
    'a channel is an unsigned 32-bit integer',
  );
  checkChannel(codec, channel);
  const header = codec.encode(message);
  if (header.length > codec.headerBytesMax) throw tooLarge('header', header.length, codec.headerBytesMax);

  const headerAt = HEADER_LENGTH_AT + lengthBytes(header.length);
  const head = new Uint8Array(headerAt + header.length);
  head[0] = codec.number;
  head[CHANNEL_AT] = channel >>> 24;
  head[CHANNEL_AT + 1] = channel >>> 16;
  head[CHANNEL_AT + 2] = channel >>> 8;
  head[CHANNEL_AT + 3] = channel;
  writeLength(head, HEADER_LENGTH_AT, header.length);
  head.set(header, headerAt);

  let frameBytes = head.length;
  for (const chunk of payload) frameBytes += chunk.length;
  checkPayload(codec, frameBytes - head.length);
  if (frameBytes > FRAME_BYTES_MAX) throw tooLarge('message', frameBytes, FRAME_BYTES_MAX);
  return [head, ...payload];
}

/**
 * Decodes one WebSocket message, wholly checked. undefined: a kind this version does not know and may ignore.
 * @param sender Who the peer is; kinds it may not send are refused before they are decoded. Whoever accepts connections
 *   says 'client': that keeps the largest header it decodes at FRAME_HEADER_BYTES_MAX.
 * @throws LogError INVALID, UNSUPPORTED or TOO_LARGE, outcome none: the peer breaks the protocol.
 */
export function decodeFrame(bytes: Uint8Array, sender?: 'client' | 'server'): Frame | undefined {
  if (bytes.length > FRAME_BYTES_MAX) throw tooLarge('message', bytes.length, FRAME_BYTES_MAX);
  if (bytes.length <= HEADER_LENGTH_AT) {
    throw new LogError('INVALID', `A message of ${bytes.length} bytes is too short for its envelope.`);
  }
  const number = bytes[0]!;
  if (number >= IGNORABLE_BIT) return undefined;
  const codec = BY_NUMBER[number];
  if (codec === undefined) throw new LogError('UNSUPPORTED', `Messages of kind ${number} are not known here.`);
  if (sender !== undefined && codec.sender !== 'both' && codec.sender !== sender) {
    throw new LogError('INVALID', `A ${sender} does not send messages of kind ${number}.`);
  }
  const channel =
    ((bytes[CHANNEL_AT]! << 24) |
      (bytes[CHANNEL_AT + 1]! << 16) |
      (bytes[CHANNEL_AT + 2]! << 8) |
      bytes[CHANNEL_AT + 3]!) >>>
    0;
  checkChannel(codec, channel);

  let headerBytes = 0;
  let headerAt = HEADER_LENGTH_AT;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[headerAt++];
    if (byte === undefined || headerAt > HEADER_LENGTH_AT + LENGTH_BYTES_MAX) {
      throw new LogError('INVALID', 'The length of a header is malformed.');
    }
    headerBytes += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  if (headerBytes > codec.headerBytesMax) throw tooLarge('header', headerBytes, codec.headerBytesMax);
  const payloadAt = headerAt + headerBytes;
  if (payloadAt > bytes.length) {
    throw new LogError('INVALID', `A header of ${headerBytes} bytes does not fit its message of ${bytes.length}.`);
  }
  checkPayload(codec, bytes.length - payloadAt);
  const message = codec.decode(viewOf(bytes, headerAt, payloadAt));
  return { channel, message, payload: viewOf(bytes, payloadAt, bytes.length) };
}

/** Not subarray(): of a Buffer that makes a Buffer, whose slice() shares memory where a Uint8Array's copies. */
function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

function checkChannel(codec: MessageCodec<Message>, channel: number): void {
  if (codec.channel === 'both') return;
  if ((codec.channel === 'connection') !== (channel === 0)) {
    throw new LogError('INVALID', `Messages of kind ${codec.number} do not go on channel ${channel}.`);
  }
}

function checkPayload(codec: MessageCodec<Message>, payloadBytes: number): void {
  if (codec.payload === 'none' && payloadBytes > 0) {
    throw new LogError('INVALID', `${payloadBytes} bytes follow a message of kind ${codec.number}, which ends there.`);
  }
  if (codec.payload === 'required' && payloadBytes === 0) {
    throw new LogError('INVALID', `A message of kind ${codec.number} lacks its record batch.`);
  }
}

function tooLarge(what: string, actualBytes: number, limitBytes: number): LogError {
  return new LogError('TOO_LARGE', `A ${what} of ${actualBytes} bytes is over ${limitBytes}.`, {
    details: { limitBytes, actualBytes },
  });
}

function lengthBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function writeLength(target: Uint8Array, start: number, value: number): void {
  let at = start;
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at] = rest;
}
