/**
 * The bytes between two nodes, below raft messages and questions and above TCP. Version 1.
 *
 *   byte  0      4         8          12      16
 *         +------+---------+----------+-------+------+----------------------+
 *         | LDP1 | length  | sequence | crc   | kind | by kind              |
 *         +------+---------+----------+-------+------+----------------------+
 *           u32    u32       u32        u32     u8     length - 1 bytes         (all big-endian)
 *
 *   LDP1      Names the protocol and its frame version: whatever else dials this port is told apart at once, and a
 *             reader that lost its place notices at the next frame.
 *   length    Of kind and what follows. Checked against the lane's cap before anything is allocated.
 *   sequence  Counts the frames of this socket and direction from 0: a relay that repeats, drops or reorders frames
 *             breaks the link instead of the order the lanes promise.
 *   crc       CRC-32C over length, sequence and everything after it. TCP's own sum lets one error in some 10^7 through,
 *             and entries that arrive are not checked again before they are stored.
 *
 *   kind      | then
 *   1 hello   | JSON: PeerHello. Dialer's first frame
 *   2 accept  | JSON: PeerHello of the answerer; empty from the dialer, whose hello said it
 *   3 reject  | UTF-8: the reason; the socket closes
 *   4 ready   | nothing; first frame on each lane once the answerer has both: anything may follow
 *   5 batch   | raft messages, each u32 group id, u32 length, bytes; at least one
 *   6 call    | u32 request id, u8 method, body
 *   7 answer  | u32 request id, body
 *   8 failure | u32 request id, the ERROR message of the client protocol
 *   9 ping    | u32 nonce
 *  10 pong    | u32 nonce
 *
 * Sockets are paired and checked in peer-handshake.ts; this file knows bytes only.
 */
import type { Crc32c } from '../protocol/index.ts';

const MAGIC = 0x4c445031;
export const PEER_HEAD_BYTES = 16;
/** One frame after the handshake: above the largest state of a partition that is ever sent whole. */
export const PEER_FRAME_BYTES_MAX: number = 64 * 1024 * 1024;
/** One frame before it: whoever is not a peer yet makes us allocate no more than this. */
export const PEER_HANDSHAKE_BYTES_MAX: number = 4 * 1024;

const KINDS = ['hello', 'accept', 'reject', 'ready', 'batch', 'call', 'answer', 'failure', 'ping', 'pong'] as const;
export type PeerFrameKind = (typeof KINDS)[number];

/** The other side does not speak this protocol, or bytes were damaged on the way. The socket is of no more use. */
export class PeerFrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PeerFrameError';
  }
}

/** The first chunk of a frame, kind included; the rest of its body follows as it is. */
export function encodePeerHead(
  kind: PeerFrameKind,
  sequence: number,
  body: readonly Uint8Array[],
  crc32c: Crc32c,
): Uint8Array {
  const head = Buffer.allocUnsafeSlow(PEER_HEAD_BYTES + 1);
  const bodyBytes = body.reduce((sum, chunk) => sum + chunk.byteLength, 1);
  head.writeUInt32BE(MAGIC, 0);
  head.writeUInt32BE(bodyBytes, 4);
  head.writeUInt32BE(sequence, 8);
  head.writeUInt8(KINDS.indexOf(kind) + 1, PEER_HEAD_BYTES);
  let crc = crc32c(head.subarray(PEER_HEAD_BYTES), crc32c(head.subarray(4, 12)));
  for (const chunk of body) crc = crc32c(chunk, crc);
  head.writeUInt32BE(crc, 12);
  return head;
}

/**
 * Cuts a stream of chunks into checked frames. A frame that lies whole in one chunk is not copied unless it would pin
 * a much larger buffer; one that spans chunks is copied once, into a buffer of its size.
 */
export class PeerFrameReader {
  /** Raised once the other side was let in. */
  frameBytesMax: number = PEER_HANDSHAKE_BYTES_MAX;
  readonly #crc32c: Crc32c;
  readonly #head = Buffer.alloc(PEER_HEAD_BYTES);
  /** Bytes of #head that are there; meaningful while #body is undefined. */
  #headFilled = 0;
  #body: Buffer | undefined;
  /** Bytes of #body that are there. */
  #bodyFilled = 0;
  #nextSequence = 0;

  constructor(crc32c: Crc32c) {
    this.#crc32c = crc32c;
  }

  /**
   * Calls `onFrame` for each frame that `chunk` completes; its body is given. Stops early when `onFrame` returns false.
   * @throws PeerFrameError when the stream is broken; nothing more may be pushed then.
   */
  push(chunk: Buffer, onFrame: (kind: PeerFrameKind, body: Uint8Array) => boolean): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === undefined) {
        const taken = Math.min(PEER_HEAD_BYTES - this.#headFilled, chunk.length - at);
        chunk.copy(this.#head, this.#headFilled, at, at + taken);
        at += taken;
        this.#headFilled += taken;
        if (this.#headFilled < PEER_HEAD_BYTES) return;
        const bodyBytes = this.#checkHead();
        if (chunk.length - at >= bodyBytes) {
          const body = chunk.subarray(at, at + bodyBytes);
          at += bodyBytes;
          this.#headFilled = 0;
          // A small view would keep the whole chunk of the socket alive for as long as its entry is cached.
          const isSmall = bodyBytes * 2 < chunk.buffer.byteLength;
          if (!this.#deliver(isSmall ? new Uint8Array(body) : body, onFrame)) return;
          continue;
        }
        this.#body = Buffer.allocUnsafeSlow(bodyBytes);
        this.#bodyFilled = 0;
      }
      const taken = Math.min(this.#body.length - this.#bodyFilled, chunk.length - at);
      chunk.copy(this.#body, this.#bodyFilled, at, at + taken);
      at += taken;
      this.#bodyFilled += taken;
      if (this.#bodyFilled < this.#body.length) return;
      const body = this.#body;
      this.#body = undefined;
      this.#headFilled = 0;
      if (!this.#deliver(body, onFrame)) return;
    }
  }

  /** @returns the length of the body. */
  #checkHead(): number {
    const magic = this.#head.readUInt32BE(0);
    if (magic !== MAGIC) throw new PeerFrameError(`not the peer protocol: begins with 0x${magic.toString(16)}`);
    const bodyBytes = this.#head.readUInt32BE(4);
    if (bodyBytes < 1 || bodyBytes > this.frameBytesMax) {
      throw new PeerFrameError(`frame of ${bodyBytes} bytes; 1 to ${this.frameBytesMax} are allowed`);
    }
    const sequence = this.#head.readUInt32BE(8);
    if (sequence !== this.#nextSequence) {
      throw new PeerFrameError(`frame ${sequence} where ${this.#nextSequence} was due`);
    }
    this.#nextSequence = (this.#nextSequence + 1) >>> 0;
    return bodyBytes;
  }

  #deliver(body: Uint8Array, onFrame: (kind: PeerFrameKind, body: Uint8Array) => boolean): boolean {
    const crc = this.#crc32c(body, this.#crc32c(this.#head.subarray(4, 12)));
    if (crc !== this.#head.readUInt32BE(12)) throw new PeerFrameError('checksum does not match');
    const kind = KINDS[(body[0] as number) - 1];
    if (kind === undefined) throw new PeerFrameError(`unknown kind ${body[0]}`);
    return onFrame(kind, body.subarray(1));
  }
}

/** Head of one raft message inside a batch frame. */
export function encodeMessageHead(groupId: number, messageBytes: number): Uint8Array {
  const head = Buffer.allocUnsafeSlow(8);
  head.writeUInt32BE(groupId, 0);
  head.writeUInt32BE(messageBytes, 4);
  return head;
}

/** Calls `onMessage` for each message of a batch frame's body; views, not copies. @throws PeerFrameError */
export function decodeMessages(body: Uint8Array, onMessage: (groupId: number, bytes: Uint8Array) => void): void {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  while (at < body.byteLength) {
    if (body.byteLength - at < 8) throw new PeerFrameError('a message head is cut off');
    const messageBytes = view.getUint32(at + 4);
    if (messageBytes > body.byteLength - at - 8) throw new PeerFrameError('a message is longer than its frame');
    onMessage(view.getUint32(at), body.subarray(at + 8, at + 8 + messageBytes));
    at += 8 + messageBytes;
  }
}
