/** What a connection is closed for, with the reason, and which upgrades are refused before there is one. */
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { CLOSE_CODES, encodeFrame, FRAME_BYTES_MAX, SUBPROTOCOL } from '../../src/protocol/index.ts';
import { closeAll, closeLater } from './support/closing.ts';
import type { Door } from './support/door.ts';
import { append, batchOf, Client, room, welcomed } from './support/session-client.ts';
import { until } from './support/world.ts';

afterEach(closeAll);

describe('what breaks the protocol closes the connection, with the reason', () => {
  const cases: [string, (client: Client) => void, string, number][] = [
    ['a text message', (c) => c.socket.send('hello'), 'INVALID', CLOSE_CODES.protocolError],
    ['an empty message', (c) => c.socket.send(Buffer.alloc(0)), 'INVALID', CLOSE_CODES.protocolError],
    [
      'an unknown kind',
      (c) => c.socket.send(Buffer.from([99, 0, 0, 0, 0, 0])),
      'UNSUPPORTED',
      CLOSE_CODES.protocolError,
    ],
    [
      'a kind of the server',
      (c) => c.send({ kind: 'end', failure: undefined, nextOffset: 0 }, 1),
      'INVALID',
      CLOSE_CODES.protocolError,
    ],
    [
      'an append without a batch',
      (c) => c.socket.send(Buffer.from([3, 0, 0, 0, 0, 0])),
      'INVALID',
      CLOSE_CODES.protocolError,
    ],
    [
      'a header longer than the message',
      (c) => c.socket.send(Buffer.from([12, 0, 0, 0, 0, 9, 1])),
      'INVALID',
      CLOSE_CODES.protocolError,
    ],
  ];
  test.each(cases)('%s', async (_name, act, code, closeCode) => {
    const { door } = await room();
    const client = await welcomed(door);
    act(client);
    expect(await client.closed()).toBe(closeCode);
    expect(client.of('error').at(-1)?.failure).toMatchObject({ code, outcome: 'none' });
  });

  test('a message over the limit is cut off before it is in memory', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.socket.send(Buffer.alloc(FRAME_BYTES_MAX + 1));
    expect(await client.closed()).toBe(CLOSE_CODES.tooLarge);
  });

  test('random bytes and cut messages never do more than close it', async () => {
    const { door } = await room();
    const whole = Buffer.concat(encodeFrame(0, append(1), [batchOf('a')]));
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 0, max: whole.length - 1 }).map((at) => new Uint8Array(whole.subarray(0, at))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 5 }), async (messages) => {
        const client = await welcomed(door);
        for (const message of messages) client.socket.send(message);
        client.send({ kind: 'ping', nonce: 1 });
        await until('answered or closed', () => client.closeCode !== undefined || client.of('pong').length > 0);
        client.socket.terminate();
      }),
      { numRuns: 60 },
    );
    expect((await welcomed(door)).closeCode).toBeUndefined();
  });

  test('kinds of a later version that say so are ignored', async () => {
    const { door } = await room();
    const client = await welcomed(door);
    client.socket.send(Buffer.from([0x90, 0, 0, 0, 0, 0, 1, 2, 3]));
    client.send({ kind: 'ping', nonce: 5 });
    expect((await client.got('pong')).nonce).toBe(5);
  });
});

describe('upgrades', () => {
  test.each([
    ['another path', { path: '/v1/other' }, 404],
    ['no subprotocol', { protocols: [] }, 400],
    ['another subprotocol', { protocols: ['mqtt'] }, 400],
    ['a foreign page', { origin: 'http://evil.example' }, 403],
    ['an opaque page', { origin: 'null' }, 403],
  ])('with %s are refused', async (_name, options, status) => {
    const { door } = await room();
    await expect(new Client(door, options).opened()).rejects.toThrow(`Unexpected server response: ${status}`);
  });

  test('of a page of this host, or one on the list, are taken', async () => {
    const { door } = await room({ origins: ['https://app.example'] });
    await new Client(door, { origin: `http://127.0.0.1:${door.port}` }).opened();
    await new Client(door, { origin: 'https://app.example' }).opened();
  });

  test('are told to come back while the node recovers', async () => {
    const { door } = await room();
    door.health.broker = undefined;
    await expect(new Client(door).opened()).rejects.toThrow('503');
  });

  async function raw(door: Door): Promise<Socket> {
    const socket = connect(door.port, '127.0.0.1');
    closeLater(() => void socket.destroy());
    socket.on('error', () => undefined);
    let head = '';
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1');
    });
    socket.write(
      `GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
    );
    await until('upgraded', () => head.includes('101'));
    return socket;
  }

  test.each([
    ['no mask', [0x82, 0x01, 0x00]],
    ['a reserved bit', [0xc2, 0x80, 0, 0, 0, 0]],
    ['a control frame over 125 bytes', [0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0]],
    ['a length of 2^63', [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['a length over the limit', [0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
    ['an unknown opcode', [0x83, 0x80, 0, 0, 0, 0]],
    [
      'fragments without end',
      Array.from({ length: 80 }, (_, i) => [i === 0 ? 0x02 : 0x00, 0x81, 0, 0, 0, 0, 1]).flat(),
    ],
  ])('a frame with %s closes the socket', async (_name, bytes) => {
    const { door } = await room();
    const socket = await raw(door);
    let isEnded = false;
    socket.on('end', () => {
      isEnded = true;
      socket.end();
    });
    socket.write(Buffer.from(bytes));
    await until('ended', () => isEnded);
  });
});
