/** Who is let in at the peer port, and what becomes of those who are not. */
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { crc32cPortable } from '../../src/protocol/index.ts';
import { encodePeerHead, type PeerFrameKind, PeerFrameReader } from '../../src/server/peer-frame.ts';
import { closeAll, closeLater } from './support/closing.ts';
import { type Handler, type Node, node } from './support/peer-nodes.ts';
import { until } from './support/world.ts';

afterEach(closeAll);

describe('a node that is not in --peers', () => {
  /** n2 knows n1; n1 knows nobody. */
  async function strangers(): Promise<[Node, Node]> {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const first = await node('n1', {});
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    return [first, second];
  }

  test('is linked once it is learnt, and not a second time', async () => {
    const [first, second] = await strangers();
    first.links.learn('n2', `127.0.0.1:${second.links.port}`);
    first.links.learn('n2', '127.0.0.1:1');
    await until('the link is up', () => first.links.isUp('n2') && second.links.isUp('n1'));
    expect(first.links.list).toMatchObject([{ id: 'n2', isUp: true, peerAddress: `127.0.0.1:${second.links.port}` }]);
  });

  test('is let go when it is forgotten, for good', async () => {
    const [first, second] = await strangers();
    first.links.learn('n2', `127.0.0.1:${second.links.port}`);
    await until('the link is up', () => first.links.isUp('n2') && second.links.isUp('n1'));
    first.links.forget('n2');
    await until('both heard it', () => [first, second].every(({ handler }) => handler.events.length === 2));
    expect(first.links.list).toEqual([]);
    expect(first.links.send('n2', 'control', 1, [new Uint8Array(1)])).toBe(false);
  });

  test('that does not answer says why in the list of peers', async () => {
    const [first, second] = await strangers();
    Object.assign(second.handler, { clusterId: 'c2' });
    first.links.learn('n2', `127.0.0.1:${second.links.port}`);
    await until('the reason is known', () => first.links.list.some(({ trouble }) => trouble !== undefined));
    expect(first.links.list[0]!.trouble).toMatch(/belongs to cluster/);
  });
});

describe('who is let in', () => {
  test.each([
    ['another cluster', (_a: Handler, b: Handler) => Object.assign(b, { clusterId: 'c2' }), /belongs to cluster c/],
    [
      'a stranger, by the answerer',
      (_a: Handler, b: Handler) => Object.assign(b, { verdict: () => 'new disk' }),
      /new disk/,
    ],
    ['a stranger, by the dialer', (a: Handler) => Object.assign(a, { verdict: () => 'new disk' }), /new disk/],
  ])('%s is refused, with the reason in both logs and no message passed', async (_name, change, reason) => {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const first = await node('n1', { n2: `127.0.0.1:${second.links.port}` });
    change(first.handler, second.handler);
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    const tells = ({ world }: Node): boolean =>
      world.logger.lines.some(({ level, fields }) => level === 'warn' && reason.test(String(fields.reason)));
    await until('both say why', () => tells(first) && tells(second));
    expect([first.handler.events, second.handler.events]).toEqual([[], []]);
    expect(first.links.isUp('n2') || second.links.isUp('n1')).toBe(false);
  });

  test('before the birth of the cluster no cluster id is asked for', async () => {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const first = await node('n1', { n2: `127.0.0.1:${second.links.port}` });
    first.handler.clusterId = undefined;
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    await until('up', () => first.links.isUp('n2') && second.links.isUp('n1'));
    expect(second.links.list[0]?.clusterId).toBeUndefined();
  });

  test('an address that leads to another node is told by name', async () => {
    const third = await node('n3', { n1: '127.0.0.1:1', n2: '127.0.0.1:1' });
    const first = await node('n1', { n2: `127.0.0.1:${third.links.port}` });
    third.links.attach(third.handler);
    first.links.attach(first.handler);
    await until('the reason', () =>
      first.world.logger.lines.some(({ fields }) => String(fields.reason).includes('meant for node n2, this is n3')),
    );
  });
});

/** A stranger with a socket of its own. */
class Stranger {
  readonly frames: { kind: PeerFrameKind; text: string }[] = [];
  isClosed = false;
  readonly #socket: Socket;
  #sequence = 0;

  constructor(port: number) {
    const reader = new PeerFrameReader(crc32cPortable);
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.on('data', (chunk: Buffer) =>
      reader.push(chunk, (kind, body) => this.frames.push({ kind, text: Buffer.from(body).toString() }) > 0),
    );
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isClosed = true;
    });
    closeLater(() => void this.#socket.destroy());
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  frame(kind: PeerFrameKind, body: string | Uint8Array): void {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.write(Buffer.concat([encodePeerHead(kind, this.#sequence++, [bytes], crc32cPortable), bytes]));
  }
}

const hello = (changes: Record<string, unknown> = {}): string =>
  JSON.stringify({
    versionMin: 1,
    versionMax: 1,
    lane: 'control',
    link: 'a'.repeat(32),
    from: 'n1',
    to: 'n2',
    diskUuid: '0'.repeat(32),
    clusterId: 'c1',
    version: '1',
    ...changes,
  });

describe('what strangers send to the peer port', () => {
  async function target(): Promise<Node> {
    const second = await node('n2', { n1: '127.0.0.1:1', n3: '127.0.0.1:1' });
    second.links.attach(second.handler);
    return second;
  }

  test.each([
    ['an unknown node', { from: 'n9' }, 'node n9 is not among the peers of n2'],
    ['a node that should be dialed', { from: 'n3' }, 'node n2 dials n3'],
    ['a hello for another node', { to: 'n7' }, 'meant for node n7'],
    ['another cluster', { clusterId: 'c2' }, 'belongs to cluster c2'],
    ['an old version', { versionMin: 0, versionMax: 0 }, 'speaks peer protocol 0 to 0'],
    ['a lane that does not exist', { lane: 'side' }, 'hello names no lane'],
    ['a disk that is no id', { diskUuid: '../..' }, 'hello names no disk'],
  ])('%s is rejected with the reason, then closed', async (_name, changes, reason) => {
    const second = await target();
    const stranger = new Stranger(second.links.port);
    stranger.frame('hello', hello(changes));
    await until('closed', () => stranger.isClosed);
    expect(stranger.frames).toHaveLength(1);
    expect(stranger.frames[0]).toMatchObject({ kind: 'reject', text: expect.stringContaining(reason) });
    expect(second.handler.events).toEqual([]);
  });

  const head = (changes: { magic?: number; length?: number }): Buffer => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32BE(changes.magic ?? 0x4c445031, 0);
    bytes.writeUInt32BE(changes.length ?? 10, 4);
    return bytes;
  };

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['wrong magic', head({ magic: 1 })],
    ['length 0', head({ length: 0 })],
    ['a length over the cap of the handshake', head({ length: 4_097 })],
    ['length 2^32-1', head({ length: 0xffff_ffff })],
    ['a wrong checksum', Buffer.concat([head({ length: 2 }), Buffer.from([1, 1])])],
  ])('%s ends the connection, with nothing delivered', async (_name, bytes) => {
    const second = await target();
    const stranger = new Stranger(second.links.port);
    stranger.write(bytes);
    await until('closed', () => stranger.isClosed);
    expect(second.handler.messages).toEqual([]);
    expect(second.links.isUp('n1')).toBe(false);
  });

  test.each(['batch', 'call', 'accept', 'ready', 'ping'] as const)(
    '%s before hello ends the connection',
    async (kind) => {
      const second = await target();
      const stranger = new Stranger(second.links.port);
      stranger.frame(kind, Buffer.alloc(16));
      await until('closed', () => stranger.isClosed);
      expect(second.handler.messages).toEqual([]);
    },
  );

  test('messages before both lanes are agreed on end the connection', async () => {
    const second = await target();
    const stranger = new Stranger(second.links.port);
    stranger.frame('hello', hello());
    await until('accepted', () => stranger.frames.length === 1);
    expect(stranger.frames[0]?.kind).toBe('accept');
    stranger.frame('accept', '');
    stranger.frame('batch', Buffer.alloc(16));
    await until('closed', () => stranger.isClosed);
    expect([second.handler.messages, second.handler.events]).toEqual([[], []]);
  });

  test('a frame that was sent before, byte for byte, breaks the link', async () => {
    const second = await target();
    const [control, bulk] = [new Stranger(second.links.port), new Stranger(second.links.port)];
    control.frame('hello', hello());
    bulk.frame('hello', hello({ lane: 'bulk' }));
    await until('accepted', () => control.frames.length === 1 && bulk.frames.length === 1);
    control.frame('accept', '');
    bulk.frame('accept', '');
    await until('up', () => second.links.isUp('n1'));
    const body = Buffer.from([0, 0, 0, 7, 0, 0, 0, 1, 0x61]);
    const frame = Buffer.concat([encodePeerHead('batch', 2, [body], crc32cPortable), body]);
    bulk.write(frame);
    bulk.write(frame);
    await until('closed', () => bulk.isClosed && control.isClosed);
    expect(second.handler.messages.map(({ groupId, bytes }) => [groupId, Buffer.from(bytes).toString()])).toEqual([
      [7, 'a'],
    ]);
    expect(second.handler.events).toEqual(['up n1', 'down n1']);
  });

  test('a newer link of a node replaces the older one', async () => {
    const second = await target();
    const open = async (link: string): Promise<Stranger> => {
      const [control, bulk] = [new Stranger(second.links.port), new Stranger(second.links.port)];
      control.frame('hello', hello({ link }));
      bulk.frame('hello', hello({ link, lane: 'bulk' }));
      await until('accepted', () => control.frames.length === 1 && bulk.frames.length === 1);
      control.frame('accept', '');
      bulk.frame('accept', '');
      await until('ready', () => control.frames.some(({ kind }) => kind === 'ready'));
      return control;
    };
    const older = await open('1'.repeat(32));
    await open('2'.repeat(32));
    await until('the older one is closed', () => older.isClosed);
    expect(second.handler.events).toEqual(['up n1', 'down n1', 'up n1']);
    expect(second.links.isUp('n1')).toBe(true);
  });

  test('many strangers do not keep a peer out once they are gone, and no more than 64 are held', async () => {
    const second = await target();
    const strangers = Array.from({ length: 80 }, () => new Stranger(second.links.port));
    await until('some are turned away', () => strangers.filter(({ isClosed }) => isClosed).length >= 16);
    expect(strangers.filter(({ isClosed }) => !isClosed)).toHaveLength(64);
  });
});
