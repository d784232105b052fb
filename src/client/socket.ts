/**
 * The contract of one WebSocket as the client needs it: binary messages in both directions, nothing else. Fulfilled by
 * socket-node.ts, socket-browser.ts and the in-process transport of an embedded broker; test/contract/socket.test.ts is
 * the suite that each of them passes.
 *
 * Whoever opens a socket sets the four callbacks in the same turn. Order: onOpen once, then onMessage any number of
 * times, then onClose once. A socket that could not be opened goes straight to onError (why, if known) and onClose.
 */
export interface SocketLike {
  onOpen: (() => void) | undefined;
  /** One binary message. Given: nobody writes to the bytes afterwards, and they may be kept. */
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  /** The end, once, whoever caused it. Nothing is called afterwards. */
  onClose: ((code: number, reason: string) => void) | undefined;
  /** Why it is about to close; onClose follows. */
  onError: ((error: Error) => void) | undefined;
  /** Bytes accepted by send() that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /**
   * Sends the chunks as one binary message. Legal between onOpen and onClose; afterwards it does nothing. The chunks
   * are borrowed: their content is taken before the call returns, and the caller may write to them then.
   */
  send(chunks: readonly Uint8Array[]): void;
  /**
   * Begins to close; what was sent before still leaves. Does not wait long for the other side. Harmless when closed.
   */
  close(code: number, reason: string): void;
}
