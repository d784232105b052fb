import { describe, expect, test } from 'vitest';
import { decodeFrame, encodeFrame, type Message } from '../../src/protocol/index.ts';
import type { ClientSocket } from '../../src/server/client-socket.ts';
import { type InProcessSocket, openInProcess } from '../../src/server/in-process.ts';
import { Session } from '../../src/server/session.ts';
import { FakeBroker } from './support/fake-broker.ts';
import { realWorld, until } from './support/world.ts';

interface Seen {
  readonly socket: InProcessSocket;
  readonly log: string[];
  readonly messages: Uint8Array[];
}

function watch(socket: InProcessSocket): Seen {
  const seen: Seen = { socket, log: [], messages: [] };
  socket.onOpen = () => seen.log.push('open');
  socket.onMessage = (bytes) => seen.messages.push(bytes);
  socket.onError = (error) => seen.log.push(`error ${error.message}`);
  socket.onClose = (code, reason) => seen.log.push(`close ${code} ${reason}`);
  return seen;
}

/** Both ends, the server's as a bare socket. */
async function pair(): Promise<{ client: Seen; server: ClientSocket; received: Uint8Array[]; events: string[] }> {
  const { env } = realWorld();
  let server: ClientSocket | undefined;
  const received: Uint8Array[] = [];
  const events: string[] = [];
  const client = watch(
    openInProcess(env.timers, (socket) => {
      server = socket;
      socket.events = {
        onMessage: (bytes) => received.push(bytes),
        onForeign: (what) => events.push(what),
        onDrain: () => events.push('drain'),
        onClose: () => events.push('close'),
      };
    }),
  );
  expect(client.log).toEqual([]);
  await until('open', () => client.log.length > 0);
  return { client, server: server as ClientSocket, received, events };
}

describe('the in-process connection', () => {
  test('copies messages and delivers them in order, in a later turn', async () => {
    const { client, received } = await pair();
    const bytes = Buffer.from('abc');
    client.socket.send([bytes, Buffer.from('d')]);
    client.socket.send([Buffer.from('e')]);
    bytes[0] = 0;
    expect([received.length, client.socket.bufferedBytes]).toEqual([0, 5]);
    await until('both came', () => received.length === 2);
    expect(received.map((message) => Buffer.from(message).toString())).toEqual(['abcd', 'e']);
    expect(client.socket.bufferedBytes).toBe(0);
  });

  test('a paused side is waited for, and a queue that emptied is told', async () => {
    const { client, server, received, events } = await pair();
    server.pause();
    client.socket.send([Buffer.alloc(10)]);
    server.send([Buffer.alloc(100_000)]);
    expect(server.queuedBytes).toBe(100_000);
    await until('the other direction went on', () => client.messages.length === 1);
    expect([received.length, client.socket.bufferedBytes]).toEqual([0, 10]);
    expect([server.queuedBytes, server.deliveredBytes, events]).toEqual([0, 100_000, ['drain']]);
    server.resume();
    await until('it came', () => received.length === 1);
  });

  test('what was sent before a close arrives before it, on both sides, once', async () => {
    const { client, server, received, events } = await pair();
    client.socket.send([Buffer.from('last')]);
    server.send([Buffer.from('word')]);
    client.socket.close(1000, 'bye');
    server.close(1001, 'too late');
    await until('closed', () => client.log.length === 2);
    expect([client.log, events]).toEqual([['open', 'close 1000 bye'], ['close']]);
    expect([received.length, client.messages.length]).toEqual([1, 1]);
    client.socket.send([Buffer.from('x')]);
    expect(client.socket.bufferedBytes).toBe(0);
  });

  test('a broker that takes no connection says why', async () => {
    const seen = watch(
      openInProcess(realWorld().env.timers, () => {
        throw new Error('stopped');
      }),
    );
    await until('closed', () => seen.log.length === 2);
    expect(seen.log).toEqual(['error stopped', 'close 1011 the broker takes no connection']);
  });

  test('carries a session like any other', async () => {
    const { env, metrics } = realWorld();
    const broker = new FakeBroker();
    let ended = 0;
    const limits = { recordBytesMax: 1024, batchBytesMax: 4096, sendBytesMax: 65_536, heartbeatMs: 15_000 };
    const seen = watch(
      openInProcess(env.timers, (socket) => {
        new Session(socket, broker, env, metrics, { face: 'embedded', ...limits }, () => {
          ended++;
        });
      }),
    );
    await until('open', () => seen.log.length > 0);
    const hello: Message = {
      kind: 'hello',
      versionMin: 1,
      versionMax: 1,
      clientId: undefined,
      token: undefined,
      agent: undefined,
    };
    seen.socket.send(encodeFrame(0, hello));
    await until('welcome', () => seen.messages.length === 1);
    expect(decodeFrame(seen.messages[0] as Uint8Array)?.message).toMatchObject({ kind: 'welcome', nodeId: 'n1' });
    seen.socket.close(1000, '');
    await until('the session ended', () => ended === 1);
  });
});
