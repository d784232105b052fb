/** Two ends of a WebSocket in memory: bytes are copied and delivered in order, a turn later, as a network would. */
import type { SocketLike } from '../../../src/client/socket.ts';

/** How the network between the two ends is. */
export interface Link {
  /** Messages are lost in both directions, and nobody is told. */
  isSilent: boolean;
}

export class MemorySocket implements SocketLike {
  onOpen: (() => void) | undefined;
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  onClose: ((code: number, reason: string) => void) | undefined;
  onError: ((error: Error) => void) | undefined;
  readonly link: Link;
  readonly #soon: (fn: () => void) => void;
  #peer: MemorySocket | undefined;
  #isOpen = false;
  #isClosed = false;

  constructor(soon: (fn: () => void) => void, link: Link = { isSilent: false }) {
    this.#soon = soon;
    this.link = link;
  }

  get bufferedBytes(): number {
    return 0;
  }

  /** Connects both ends. */
  static pair(soon: (fn: () => void) => void): [MemorySocket, MemorySocket] {
    const client = new MemorySocket(soon);
    const server = new MemorySocket(soon, client.link);
    client.#peer = server;
    server.#peer = client;
    for (const end of [server, client]) {
      soon(() => {
        if (end.#isClosed || end.link.isSilent) return;
        end.#isOpen = true;
        end.onOpen?.();
      });
    }
    return [client, server];
  }

  send(chunks: readonly Uint8Array[]): void {
    if (!this.#isOpen || this.#isClosed) return;
    const bytes = new Uint8Array(Buffer.concat(chunks));
    const peer = this.#peer;
    this.#soon(() => {
      if (peer === undefined || peer.#isClosed || this.link.isSilent) return;
      peer.onMessage?.(bytes);
    });
  }

  close(code: number, reason: string): void {
    this.#end(code, reason);
    const peer = this.#peer;
    // Behind what was sent before.
    if (!this.link.isSilent && peer !== undefined) this.#soon(() => peer.#end(code, reason));
  }

  /** It breaks, as when a process is killed: no goodbye, and what is under way is lost. */
  cut(): void {
    this.#end(1006, '');
    if (this.#peer !== undefined) this.#peer.#end(1006, '');
  }

  /** It could not be opened at all. */
  refuse(): void {
    this.#soon(() => {
      this.onError?.(new Error('connection refused'));
      this.#end(1006, '');
    });
  }

  #end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#soon(() => this.onClose?.(code, reason));
  }
}
