/**
 * The suite every socket of the client passes: over a real WebSocket on loopback, and in memory. Both are opened
 * towards a far end the test holds.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { SocketLike } from '../../src/client/socket.ts';
import { openNodeSocket } from '../../src/client/socket-node.ts';
import { SUBPROTOCOL } from '../../src/protocol/index.ts';
import { MemorySocket } from '../client/support/memory-socket.ts';

/** The far end of a socket under test. */
interface FarEnd {
  readonly received: Uint8Array[];
  /** What it was closed with; undefined while open. */
  closed: { readonly code: number } | undefined;
  send(bytes: Uint8Array): void;
  close(code: number, reason: string): void;
  /** Breaks the connection without a goodbye. */
  cut(): void;
}

interface Ends {
  readonly socket: SocketLike;
  readonly far: () => FarEnd;
  readonly end: () => void;
}

interface Implementation {
  readonly name: string;
  open(): Promise<Ends>;
  openNowhere(): Promise<SocketLike>;
}

const overWs: Implementation = {
  name: 'ws on loopback',
  async open() {
    const server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    await once(server, 'listening');
    let far: FarEnd | undefined;
    server.on('connection', (peer) => {
      far = farEndOf(peer);
    });
    const { port } = server.address() as AddressInfo;
    return {
      socket: openNodeSocket(`ws://127.0.0.1:${port}/v1/ws`),
      far: () => far!,
      end: () => {
        for (const peer of server.clients) peer.terminate();
        server.close();
      },
    };
  },
  async openNowhere() {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return openNodeSocket(`ws://127.0.0.1:${port}/v1/ws`);
  },
};

const inMemory: Implementation = {
  name: 'in memory',
  open() {
    const [socket, peer] = MemorySocket.pair(setImmediate);
    const far: FarEnd = {
      received: [],
      closed: undefined,
      send: (bytes) => peer.send([bytes]),
      close: (code, reason) => peer.close(code, reason),
      cut: () => peer.cut(),
    };
    peer.onMessage = (bytes) => far.received.push(bytes);
    peer.onClose = (code) => {
      far.closed = { code };
    };
    return Promise.resolve({ socket, far: () => far, end: () => peer.cut() });
  },
  openNowhere() {
    const socket = new MemorySocket(setImmediate);
    socket.refuse();
    return Promise.resolve(socket);
  },
};

function farEndOf(peer: WebSocket): FarEnd {
  const far: FarEnd = {
    received: [],
    closed: undefined,
    send: (bytes) => peer.send(bytes),
    close: (code, reason) => peer.close(code, reason),
    cut: () => peer.terminate(),
  };
  peer.on('message', (data: RawData) => far.received.push(new Uint8Array(data as Buffer)));
  peer.on('close', (code) => {
    far.closed = { code };
  });
  return far;
}

const DEADLINE_MS = 5_000;

/** Turns of the event loop until the condition holds; real sockets answer when they answer. */
async function until(isReached: () => boolean): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS;
  while (!isReached()) {
    if (performance.now() > endMs) throw new Error('not reached in time');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Everything a socket calls, in order. */
function record(socket: SocketLike): { readonly calls: string[]; readonly messages: Uint8Array[] } {
  const calls: string[] = [];
  const messages: Uint8Array[] = [];
  socket.onOpen = () => calls.push('open');
  socket.onMessage = (bytes) => {
    calls.push('message');
    messages.push(new Uint8Array(bytes));
  };
  socket.onError = () => calls.push('error');
  socket.onClose = (code) => calls.push(`close ${code}`);
  return { calls, messages };
}

function bytesOf(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => first + at * 7);
}

describe.each([overWs, inMemory])('a socket $name', (implementation) => {
  const ends: (() => void)[] = [];

  afterEach(() => {
    for (const end of ends.splice(0)) end();
  });

  async function opened() {
    const { socket, far, end } = await implementation.open();
    ends.push(end);
    const recorded = record(socket);
    await until(() => recorded.calls.includes('open'));
    await until(() => far() !== undefined);
    return { socket, far: far(), ...recorded };
  }

  test('opens once and calls nothing before it', async () => {
    const { calls } = await opened();
    expect(calls).toEqual(['open']);
  });

  test.each([1, 125, 126, 65_535, 65_536, 1_048_576])(
    'carries %i bytes unchanged in both directions',
    async (length) => {
      const { socket, far, messages } = await opened();
      socket.send([bytesOf(length)]);
      await until(() => far.received.length === 1);
      expect(Buffer.compare(far.received[0]!, bytesOf(length))).toBe(0);
      far.send(bytesOf(length, 1));
      await until(() => messages.length === 1);
      expect(Buffer.compare(messages[0]!, bytesOf(length, 1))).toBe(0);
    },
  );

  test('joins the chunks of one send into one message and keeps the order of messages', async () => {
    const { socket, far } = await opened();
    for (let i = 0; i < 50; i++) socket.send([Uint8Array.of(i), bytesOf(i), Uint8Array.of(255)]);
    await until(() => far.received.length === 50);
    far.received.forEach((message, i) => {
      expect(message).toEqual(Uint8Array.of(i, ...bytesOf(i), 255));
    });
  });

  test('leaves the chunks it was given as they were', async () => {
    const { socket, far } = await opened();
    const chunk = bytesOf(100_000);
    socket.send([Uint8Array.of(1), chunk]);
    await until(() => far.received.length === 1);
    expect(Buffer.compare(chunk, bytesOf(100_000))).toBe(0);
    expect(socket.bufferedBytes).toBe(0);
  });

  test('takes what it sends before send() returns: the caller may write to its chunks then', async () => {
    const { socket, far } = await opened();
    const [one, large] = [bytesOf(300), bytesOf(1_000_000)];
    socket.send([one]);
    one.fill(0);
    socket.send([Uint8Array.of(1), large]);
    large.fill(0);
    await until(() => far.received.length === 2);
    expect(Buffer.compare(far.received[0]!, bytesOf(300))).toBe(0);
    expect(Buffer.compare(far.received[1]!.subarray(1), bytesOf(1_000_000))).toBe(0);
  });

  test('large messages, in one turn and one after the other, arrive each as it was sent', async () => {
    const { socket, far } = await opened();
    const large = (n: number): Uint8Array => new Uint8Array(70_000 * (1 + (n % 3))).fill(n);
    for (let n = 0; n < 30; n++) {
      socket.send([Uint8Array.of(n), large(n)]);
      if (n % 5 === 4) await until(() => far.received.length === n + 1);
    }
    far.received.forEach((message, n) => {
      expect(Buffer.compare(message, Buffer.concat([Uint8Array.of(n), large(n)]))).toBe(0);
    });
  });

  test('what was sent before close still arrives; both ends hear of the close, once', async () => {
    const { socket, far, calls } = await opened();
    socket.send([bytesOf(200_000)]);
    socket.close(1000, 'done');
    await until(() => far.closed !== undefined && calls.some((call) => call.startsWith('close')));
    expect(far.received.map(({ length }) => length)).toEqual([200_000]);
    expect(far.closed).toEqual({ code: 1000 });
    socket.close(1000, 'again');
    socket.send([Uint8Array.of(1)]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toEqual(['open', 'close 1000']);
  });

  test("hears the other side's close with its code", async () => {
    const { far, calls } = await opened();
    far.close(4408, 'slow consumer');
    await until(() => calls.includes('close 4408'));
    expect(calls.at(-1)).toBe('close 4408');
  });

  test('a connection that breaks is closed with 1006', async () => {
    const { far, calls } = await opened();
    far.cut();
    await until(() => calls.includes('close 1006'));
    expect(calls.filter((call) => call.startsWith('close'))).toEqual(['close 1006']);
  });

  test('an address where nobody listens is an error, then a close, and never an open', async () => {
    const { calls } = record(await implementation.openNowhere());
    await until(() => calls.some((call) => call.startsWith('close')));
    expect(calls).toEqual(['error', 'close 1006']);
  });
});

describe('a socket over ws', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test('joins large messages in a buffer it has made before, once that one has left', async () => {
    const { socket, far, end } = await overWs.open();
    const { calls } = record(socket);
    await until(() => calls.includes('open') && far() !== undefined);
    const made = vi.spyOn(Buffer, 'allocUnsafeSlow');
    for (let n = 0; n < 20; n++) {
      socket.send([Uint8Array.of(n), bytesOf(300_000 + n)]);
      await until(() => far().received.length === n + 1 && socket.bufferedBytes === 0);
    }
    expect(made.mock.calls.filter(([bytes]) => bytes >= 300_000)).toHaveLength(1);
    socket.close(1000, '');
    end();
  });
});
