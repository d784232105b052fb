/**
 * What one HTTP connection has under way. A client may send requests one behind the other without waiting for answers
 * (pipelining); Node hands over all that arrived at once, while their answers leave one after the other.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ClientHandle } from '../broker/index.ts';
import { LogError } from '../protocol/index.ts';

export class HttpConnection {
  /** One client to admission, however many requests it carries. */
  readonly client: ClientHandle = { inflightBytes: 0 };
  /** Requests with an effect that are not answered. */
  readonly #orders = new Set<IncomingMessage>();
  /** Resolves when the answer to what was asked for last is sent, and those before it. */
  #sent: Promise<void> = Promise.resolve();

  /**
   * Waits until what was asked for before is answered: a packet of a thousand reads would otherwise have a thousand
   * answers in memory at a time, of which one can leave.
   * @throws LogError ABORTED when the client has hung up meanwhile: an answer that is never sent is never over either.
   */
  async onRead(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const before = this.#sent;
    this.#sent = new Promise((resolve) => response.once('close', resolve));
    await before;
    if (request.socket.destroyed) throw new LogError('ABORTED', 'the client hung up', { outcome: 'none' });
  }

  onOrder(request: IncomingMessage, response: ServerResponse): void {
    this.#orders.add(request);
    this.#sent = new Promise((resolve) =>
      response.once('close', () => {
        this.#orders.delete(request);
        resolve();
      }),
    );
  }

  /** Whether anything that is not answered may have an effect: it is here as a whole, or is taken as it arrives. */
  get mayHaveEffect(): boolean {
    return [...this.#orders].some(
      ({ complete, headers }) => complete || headers['content-type']?.toLowerCase().includes('ndjson') === true,
    );
  }
}
