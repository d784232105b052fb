/**
 * One socket between two nodes: frames out, frames in, nothing decided. The raft messages of one turn leave in one
 * frame, and all frames of a turn in one write.
 *
 * A lane ends once, by `destroy` or by itself, and says so once; after that it is silent.
 */
import type { Socket } from 'node:net';
import type { Timers } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { Lane } from '../partition/index.ts';
import type { Crc32c } from '../protocol/index.ts';
import {
  encodeMessageHead,
  encodePeerHead,
  PEER_FRAME_BYTES_MAX,
  PEER_HEAD_BYTES,
  type PeerFrameKind,
  PeerFrameReader,
} from './peer-frame.ts';
import { TurnWriter } from './turn-writer.ts';

/** A batch frame is closed at this size even within a turn, so that the receiver can begin while the rest is sent. */
const BATCH_FRAME_BYTES = 1024 * 1024;

export interface LaneHandler {
  /** `body` is given. */
  onFrame(kind: PeerFrameKind, body: Uint8Array): void;
  onClose(reason: string): void;
}

export interface LaneContext {
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly crc32c: Crc32c;
  /** For what is sent, shared by all lanes of this node (shared-sums.ts). */
  readonly sentCrc32c: Crc32c;
}

export class PeerLane {
  /** Known once the hello of the other side said it. */
  name: Lane;
  readonly #socket: Socket;
  readonly #context: LaneContext;
  readonly #reader: PeerFrameReader;
  readonly #writer: TurnWriter;
  #handler: LaneHandler;
  #nextSequence = 0;
  /** Raft messages of this turn, heads and bodies, not framed yet. */
  #messages: Uint8Array[] = [];
  #messageBytes = 0;
  #isBatchDue = false;
  #isClosed = false;
  /** Moves whenever bytes arrive; silence is judged by it standing still. */
  receivedChunks = 0;

  constructor(name: Lane, socket: Socket, context: LaneContext, handler: LaneHandler) {
    this.name = name;
    this.#socket = socket;
    this.#context = context;
    this.#handler = handler;
    this.#reader = new PeerFrameReader(context.crc32c);
    this.#writer = new TurnWriter(socket, context.timers);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => this.destroy(error.message));
    socket.on('close', () => this.destroy('closed by the other side'));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get queuedBytes(): number {
    return this.#messageBytes + this.#writer.queuedBytes;
  }

  /** The handshake is over: hands the lane to the link. */
  admit(handler: LaneHandler): void {
    this.#handler = handler;
    this.#reader.frameBytesMax = PEER_FRAME_BYTES_MAX;
  }

  /** Sends one frame at the end of this turn. Chunks are frozen. */
  send(kind: PeerFrameKind, ...body: readonly Uint8Array[]): void {
    if (this.#isClosed) return;
    this.#sealBatch();
    this.#push(kind, body);
  }

  /** Adds one raft message to this turn's batch frame. Chunks are frozen. */
  sendMessage(groupId: number, chunks: readonly Uint8Array[], messageBytes: number): void {
    if (this.#isClosed) return;
    if (this.#messageBytes > 0 && this.#messageBytes + messageBytes > BATCH_FRAME_BYTES) this.#sealBatch();
    this.#messages.push(encodeMessageHead(groupId, messageBytes), ...chunks);
    this.#messageBytes += 8 + messageBytes;
    if (this.#isBatchDue) return;
    this.#isBatchDue = true;
    this.#context.timers.soon(() => {
      this.#isBatchDue = false;
      if (this.#isClosed) return;
      this.#sealBatch();
      this.#writer.flush();
    });
  }

  /** Sends what is queued, then `kind`, then closes in order: the reason of a refusal arrives. */
  endWith(kind: PeerFrameKind, body: Uint8Array, reason: string): void {
    if (this.#isClosed) return;
    this.send(kind, body);
    this.#writer.flush();
    this.#isClosed = true;
    this.#socket.end();
    this.#handler.onClose(reason);
    // The other side has the reason and should close too; whoever does not is cut off.
    this.#context.timers.after(1_000, () => this.#socket.destroy());
  }

  destroy(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#messages = [];
    this.#messageBytes = 0;
    this.#socket.destroy();
    this.#handler.onClose(reason);
  }

  #sealBatch(): void {
    if (this.#messages.length === 0) return;
    const messages = this.#messages;
    this.#messages = [];
    this.#messageBytes = 0;
    this.#push('batch', messages);
  }

  #push(kind: PeerFrameKind, body: readonly Uint8Array[]): void {
    const head = encodePeerHead(kind, this.#nextSequence, body, this.#context.sentCrc32c);
    this.#nextSequence = (this.#nextSequence + 1) >>> 0;
    const bytes = body.reduce((sum, chunk) => sum + chunk.byteLength, PEER_HEAD_BYTES + 1);
    this.#context.metrics.add('logdrive_peer_bytes_sent_total', bytes, { lane: this.name });
    this.#writer.push(head, ...body);
  }

  #onData(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.receivedChunks++;
    this.#context.metrics.add('logdrive_peer_bytes_received_total', chunk.length, { lane: this.name });
    try {
      this.#reader.push(chunk, (kind, body) => {
        this.#handler.onFrame(kind, body);
        return !this.#isClosed;
      });
    } catch (error) {
      // Only the frames' own refusal ends here; a broken invariant of the rooms below must reach the process.
      if ((error as Error).name !== 'PeerFrameError') throw error;
      this.destroy((error as Error).message);
    }
  }
}
