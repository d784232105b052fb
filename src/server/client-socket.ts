/**
 * What a session needs of the transport under it: whole messages out, in order, and word of how fast they leave.
 * Fulfilled by the WebSocket door and by the in-process transport of the embedded broker.
 */
export interface ClientSocket {
  /** Sends one message made of these chunks. They are frozen: the transport keeps them until they left. */
  send(chunks: readonly Uint8Array[]): void;
  /** Bytes given to send() and not yet taken by the other side's buffers. */
  readonly queuedBytes: number;
  /** Bytes that left, since the start; standing still while queuedBytes > 0 means the client does not read. */
  readonly deliveredBytes: number;
  /** Stops the delivery of further messages, so that the client's own buffers push back. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. No event follows but onClose. */
  close(code: number, reason: string): void;
  /** What the transport tells the session. Set once, before any message is delivered. */
  events: ClientSocketEvents | undefined;
}

export interface ClientSocketEvents {
  /** One whole message; the bytes are given. */
  onMessage(bytes: Uint8Array): void;
  /** Something arrived that is no binary message. */
  onForeign(what: string): void;
  /** queuedBytes fell to nothing after it had stood above the transport's own mark. */
  onDrain(): void;
  /** The connection is gone. The last event. */
  onClose(): void;
}
