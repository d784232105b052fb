/**
 * Protobuf, and nothing else: bytes to the plain objects of schema.proto and back. The one home of protobufjs and of
 * the static code generated from schema.proto; what the fields mean is message-codec.ts' business.
 *
 * Readers and writers are subclasses of the library's, because its own give a `Long` object for a 64-bit field, cut a
 * number that does not fit to its low bits, and write half a surrogate pair as bytes no strict reader accepts. Here
 * every number is a safe integer or a LogError INVALID (design decision 10), in both directions. The library itself is
 * not configured: it may serve others in the same process.
 */
import { Reader, Writer } from 'protobufjs/minimal.js';
import { LogError } from './errors.ts';
import { wire as generated, type WireType, type WireTypes } from './generated/schema.ts';
import { HEADER_FIELDS_MAX, NUMBER_MAX } from './limits.ts';

export type * as Wire from './generated/schema.ts';

export const wire: WireTypes = generated;

const LONE_SURROGATE = /\p{Surrogate}/u;
/** A writer's buffer that outgrew this is dropped after use instead of kept. */
const KEPT_BUFFER_BYTES_MAX = 16 * 1024;
const VARINT_BYTES_MAX = 10;

/** The members of the library's classes used below; its own types say `Long` where we return numbers. */
interface ReaderBase {
  buf: Uint8Array;
  pos: number;
  len: number;
  discardUnknown: boolean;
  tag(): number;
}
interface WriterBase {
  pos: number;
  buf: Uint8Array;
  states: number[] | null;
  _reserve(bytes: number): void;
  uint32(value: number): this;
  string(text: string): this;
}
const LibraryReader = Reader as unknown as new (bytes: Uint8Array) => ReaderBase;
const LibraryWriter = Writer as unknown as new () => WriterBase;

class NumberReader extends LibraryReader {
  #fields = 0;

  constructor(bytes: Uint8Array) {
    super(bytes);
    // The library's default, unless somebody else in the process changed it.
    this.discardUnknown = true;
  }

  override tag(): number {
    // An empty submessage takes two bytes of the wire and a hundred of memory.
    if (++this.#fields > HEADER_FIELDS_MAX) {
      throw new LogError('TOO_LARGE', `The header of a message has more than ${HEADER_FIELDS_MAX} fields.`);
    }
    return super.tag();
  }

  uint64(): number {
    const bytes = this.buf;
    let at = this.pos;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      if (at >= this.len) throw new RangeError('a varint runs past its end');
      const byte = bytes[at++]!;
      // Past 2^53 the sum is rounded, but never to below 2^53: the check that follows stays exact.
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > NUMBER_MAX) throw new LogError('INVALID', 'A number in the message is over 2^53 - 1.');
        this.pos = at;
        return value;
      }
      scale *= 128;
    }
    throw new RangeError('a varint has more than ten bytes');
  }
}

class CheckedWriter extends LibraryWriter {
  override uint32(value: number): this {
    if (value >>> 0 !== value) throw new LogError('INVALID', `${value} is not an unsigned 32-bit integer.`);
    return super.uint32(value);
  }

  uint64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new LogError('INVALID', `${value} is not an integer from 0 to 2^53 - 1.`);
    }
    this._reserve(VARINT_BYTES_MAX);
    const bytes = this.buf;
    let at = this.pos;
    let rest = value;
    while (rest > 0x7fff_ffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.pos = at;
    return this;
  }

  override string(text: string): this {
    if (LONE_SURROGATE.test(text)) throw new LogError('INVALID', 'A text in the message is not well-formed Unicode.');
    return super.string(text);
  }
}

// One writer serves every call: encoding is synchronous, and its bytes are copied out before the next one begins.
let writer = new CheckedWriter();

/**
 * Encodes a message. The bytes are borrowed: valid until the next call.
 * @throws LogError INVALID for numbers and texts the wire cannot carry.
 */
export function encodeWire<T>(type: WireType<T>, message: T): Uint8Array {
  if (writer.buf.length > KEPT_BUFFER_BYTES_MAX) writer = new CheckedWriter();
  // A call that threw may have left these.
  writer.pos = 0;
  writer.states = null;
  type.encode(message, writer as unknown as Writer);
  return writer.buf.subarray(0, writer.pos);
}

/**
 * Decodes a whole buffer. Unknown fields are skipped; `bytes` fields are views.
 * @throws LogError INVALID for anything that is not an encoding of the type.
 */
export function decodeWire<T>(type: WireType<T>, bytes: Uint8Array): T {
  try {
    return type.decode(new NumberReader(bytes) as unknown as Reader);
  } catch (error) {
    if (LogError.is(error)) throw error;
    // The library throws Error, RangeError and TypeError, all of them about these bytes.
    throw new LogError('INVALID', `The header of a message is malformed: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}
