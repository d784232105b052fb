/**
 * Connections between simulated clients and the sessions of nodes: whole messages, in order, copied on the way, as a
 * WebSocket over TCP carries them. A cut does not lose what is on its way: it arrives when the cut is over, unless the
 * connection was given up before. What a process had sent before it died may still arrive.
 */
import type { SocketLike } from '../../../src/client/socket.ts';
import type { ClientSocket, ClientSocketEvents } from '../../../src/server/client-socket.ts';
import type { SimProcess } from './process.ts';

/** As of a socket: above this, onDrain is told once the queue is empty. */
const DRAIN_MARK_BYTES = 64 * 1024;
const ABNORMAL = 1006;

export interface Accepting {
  readonly process: SimProcess;
  /** A session takes the server's end. */
  accept(socket: ClientSocket): void;
}

export interface ClientNetworkOptions {
  latencyMs(): number;
  /** Who listens under that name, if anybody does. */
  find(node: string): Accepting | undefined;
  /** Until when nothing gets through from one to the other; in the past: all does. */
  blockedUntilMs(from: string, to: string): number;
}

export class ClientNetwork {
  readonly options: ClientNetworkOptions;
  readonly #links = new Set<Link>();

  constructor(options: ClientNetworkOptions) {
    this.options = options;
  }

  open(client: SimProcess, url: string): SocketLike {
    const node = new URL(url).hostname;
    const link = new Link(this, client, node, () => this.#links.delete(link));
    this.#links.add(link);
    return link.client;
  }

  /** Connections of these two break, both ends notice. */
  reset(client: string, node: string): number {
    let count = 0;
    for (const link of [...this.#links]) {
      if (link.clientName !== client || link.nodeName !== node) continue;
      link.break('reset');
      count += 1;
    }
    return count;
  }

  /** A process is gone: whoever it was connected with notices after a moment. */
  processOver(process: SimProcess): void {
    for (const link of [...this.#links]) if (link.involves(process)) link.break('gone');
  }
}

class Link {
  readonly client: ClientEnd;
  readonly server: ServerEnd;
  readonly nodeName: string;
  readonly #network: ClientNetwork;
  readonly #clientProcess: SimProcess;
  readonly #onOver: () => void;
  #serverProcess: SimProcess | undefined;
  #isOver = false;
  readonly up: Lane;
  readonly down: Lane;

  constructor(network: ClientNetwork, client: SimProcess, node: string, onOver: () => void) {
    this.#network = network;
    this.#clientProcess = client;
    this.nodeName = node;
    this.#onOver = onOver;
    this.up = new Lane(network, client.name, node);
    this.down = new Lane(network, node, client.name);
    this.client = new ClientEnd(this);
    this.server = new ServerEnd(this);
    this.up.arrive(client, 0, () => this.#arrived());
  }

  get clientName(): string {
    return this.#clientProcess.name;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  involves(process: SimProcess): boolean {
    return process === this.#clientProcess || process === this.#serverProcess;
  }

  #arrived(): void {
    if (this.#isOver) return;
    const found = this.#network.options.find(this.nodeName);
    if (found === undefined) {
      this.#end(ABNORMAL, 'refused', 'client');
      return;
    }
    this.#serverProcess = found.process;
    found.process.in(0, 'message', () => {
      if (this.#isOver) return;
      found.accept(this.server);
      this.down.arrive(this.#clientProcess, 0, () => {
        if (!this.#isOver) this.client.onOpen?.();
      });
    });
  }

  toServer(chunks: readonly Uint8Array[]): void {
    const process = this.#serverProcess;
    if (this.#isOver || process === undefined) return;
    this.up.send(process, chunks, (bytes) => {
      if (!this.#isOver) this.server.events?.onMessage(bytes);
    });
  }

  toClient(chunks: readonly Uint8Array[]): void {
    if (this.#isOver) return;
    this.down.send(this.#clientProcess, chunks, (bytes) => {
      if (!this.#isOver) this.client.onMessage?.(bytes);
    });
  }

  /** One side closes: what it sent before arrives first. */
  closeFromServer(code: number, reason: string): void {
    this.down.arrive(this.#clientProcess, 0, () => this.#end(code, reason, 'client'));
  }

  closeFromClient(code: number, reason: string): void {
    const process = this.#serverProcess;
    if (process === undefined) this.#end(code, reason, 'nobody');
    else this.up.arrive(process, 0, () => this.#end(code, reason, 'both'));
  }

  break(how: 'reset' | 'gone'): void {
    const told = (process: SimProcess | undefined, tell: () => void): void => {
      const delayMs = how === 'reset' ? 0 : this.#network.options.latencyMs();
      if (process !== undefined && !process.isOver) process.in(delayMs, 'message', tell);
    };
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver();
    told(this.#clientProcess, () => this.client.onClose?.(ABNORMAL, how));
    told(this.#serverProcess, () => this.server.events?.onClose());
  }

  #end(code: number, reason: string, told: 'client' | 'both' | 'nobody'): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver();
    const client = this.#clientProcess;
    if (told !== 'nobody' && !client.isOver) client.in(0, 'message', () => this.client.onClose?.(code, reason));
    const server = this.#serverProcess;
    if (server !== undefined && !server.isOver) server.in(0, 'message', () => this.server.events?.onClose());
  }
}

/** One direction: arrivals keep the order of sending. */
class Lane {
  readonly #network: ClientNetwork;
  readonly #from: string;
  readonly #to: string;
  #freeMs = 0;
  #isPaused = false;
  readonly #waiting: (() => void)[] = [];
  queuedBytes = 0;
  deliveredBytes = 0;
  onDrain: () => void = () => undefined;
  #isAboveMark = false;

  constructor(network: ClientNetwork, from: string, to: string) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
  }

  send(receiver: SimProcess, chunks: readonly Uint8Array[], deliver: (bytes: Uint8Array) => void): void {
    // A copy, as the wire makes one: nobody shares bytes across processes.
    const bytes = new Uint8Array(Buffer.concat(chunks));
    this.queuedBytes += bytes.length;
    this.#isAboveMark ||= this.queuedBytes > DRAIN_MARK_BYTES;
    this.arrive(receiver, bytes.length, () => {
      this.queuedBytes -= bytes.length;
      this.deliveredBytes += bytes.length;
      deliver(bytes);
      if (this.queuedBytes > 0 || !this.#isAboveMark) return;
      this.#isAboveMark = false;
      this.onDrain();
    });
  }

  arrive(receiver: SimProcess, detail: number, act: () => void): void {
    const { latencyMs, blockedUntilMs } = this.#network.options;
    const { scheduler } = receiver;
    const atMs = Math.max(scheduler.nowMs + latencyMs(), this.#freeMs, blockedUntilMs(this.#from, this.#to));
    this.#freeMs = atMs;
    receiver.in(atMs - scheduler.nowMs, 'message', () => {
      const blockedMs = blockedUntilMs(this.#from, this.#to) - scheduler.nowMs;
      // Cut while it was on its way: it is sent again when the cut is over.
      if (blockedMs > 0) receiver.in(blockedMs, 'message', () => this.#deliver(act));
      else this.#deliver(act);
      scheduler.fold(detail);
    });
  }

  #deliver(act: () => void): void {
    if (this.#isPaused || this.#waiting.length > 0) this.#waiting.push(act);
    else act();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && this.#waiting.length > 0) this.#waiting.shift()!();
  }
}

class ClientEnd implements SocketLike {
  onOpen: (() => void) | undefined;
  onMessage: ((bytes: Uint8Array) => void) | undefined;
  onClose: ((code: number, reason: string) => void) | undefined;
  onError: ((error: Error) => void) | undefined;
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  get bufferedBytes(): number {
    return this.#link.up.queuedBytes;
  }

  send(chunks: readonly Uint8Array[]): void {
    this.#link.toServer(chunks);
  }

  close(code: number, reason: string): void {
    this.#link.closeFromClient(code, reason);
  }
}

class ServerEnd implements ClientSocket {
  readonly #link: Link;
  events: ClientSocketEvents | undefined;

  constructor(link: Link) {
    this.#link = link;
    link.down.onDrain = () => this.events?.onDrain();
  }

  get queuedBytes(): number {
    return this.#link.down.queuedBytes;
  }

  get deliveredBytes(): number {
    return this.#link.down.deliveredBytes;
  }

  send(chunks: readonly Uint8Array[]): void {
    this.#link.toClient(chunks);
  }

  pause(): void {
    this.#link.up.pause();
  }

  resume(): void {
    this.#link.up.resume();
  }

  close(code: number, reason: string): void {
    this.#link.closeFromServer(code, reason);
  }
}
