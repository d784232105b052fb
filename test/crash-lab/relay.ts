/**
 * One TCP relay: whatever dials it is carried on to another port of this machine, until it is told to lose bytes. Each
 * node dials each of the others through a relay of its own, so that any one direction between two nodes can be cut.
 *
 * What is lost is counted: a cut that nobody noticed proves nothing. A stream that lost bytes can never be whole again,
 * so healing closes it and the nodes dial anew.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** 'there': from the dialler to the node behind; 'back': its answers. */
export type Direction = 'there' | 'back';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export class Relay {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #cut = new Set<Direction>();
  #delayMs = 0;
  #lostBytes = 0;
  #resets = 0;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near: Socket) => this.#carry(near, targetPort));
  }

  static async open(targetPort: number): Promise<Relay> {
    const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Relay(server, targetPort);
  }

  /** Bytes swallowed so far. */
  get lostBytes(): number {
    return this.#lostBytes;
  }

  /** Connections broken in the middle so far. */
  get resets(): number {
    return this.#resets;
  }

  /** Swallows everything that goes that way; the connections stay open, as over a network that went away. */
  cut(direction: Direction): void {
    this.#cut.add(direction);
  }

  /** Every byte is late by this. 0: none is. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Breaks every connection, wherever in a frame it stands. */
  reset(): void {
    for (const { near, far } of this.#pairs) {
      this.#resets++;
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  heal(): void {
    this.#delayMs = 0;
    if (this.#cut.size === 0) return;
    this.#cut.clear();
    this.reset();
  }

  async close(): Promise<void> {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }

  #carry(near: Socket, targetPort: number): void {
    const far = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
    const pair: Pair = { near, far };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.on('data', (chunk: Buffer) => this.#pass('there', chunk, near, far));
    far.on('data', (chunk: Buffer) => this.#pass('back', chunk, far, near));
  }

  #pass(direction: Direction, chunk: Buffer, from: Socket, to: Socket): void {
    if (this.#cut.has(direction)) {
      this.#lostBytes += chunk.length;
      return;
    }
    const write = (): void => {
      if (to.destroyed || to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    };
    if (this.#delayMs === 0) write();
    else setTimeout(write, this.#delayMs);
  }
}
