import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { PeerHandler, PeerMethod } from '../../src/broker/index.ts';
import { crc32cPortable, LogError } from '../../src/protocol/index.ts';
import { encodePeerHead, type PeerFrameKind, PeerFrameReader } from '../../src/server/peer-frame.ts';
import { PeerLinks } from '../../src/server/peer-links.ts';
import { handWorld, realWorld, type TestWorld, until } from './world.ts';

/** A broker's side of the links that remembers everything. */
class Handler implements PeerHandler {
  readonly id: string;
  readonly events: string[] = [];
  readonly messages: { from: string; groupId: number; bytes: Uint8Array }[] = [];
  readonly disk: string;
  clusterId: string | undefined = 'c1';
  verdict: (peer: { nodeId: string; diskUuid: string; clusterId: string | undefined }) => true | string = () => true;
  answer: (method: PeerMethod, body: Uint8Array) => Promise<readonly Uint8Array[]> = async (_method, body) => [body];

  constructor(id: string) {
    this.id = id;
    this.disk = id.charCodeAt(1).toString(16).padStart(32, '0');
  }
  onMessage(from: string, groupId: number, bytes: Uint8Array): void {
    this.messages.push({ from, groupId, bytes });
  }
  onCall(_from: string, method: PeerMethod, body: Uint8Array): Promise<readonly Uint8Array[]> {
    return this.answer(method, body);
  }
  onUp(peer: string): void {
    this.events.push(`up ${peer}`);
  }
  onDown(peer: string): void {
    this.events.push(`down ${peer}`);
  }
  identity(): ReturnType<PeerHandler['identity']> {
    const clientUrl = `ws://${this.id}/v1/ws`;
    return { nodeId: this.id, diskUuid: this.disk, clusterId: this.clusterId, clientUrl, version: '1.2.3' };
  }
  admits(peer: Parameters<PeerHandler['admits']>[0]): true | string {
    return this.verdict(peer);
  }
}

interface Node {
  readonly links: PeerLinks;
  readonly handler: Handler;
  readonly world: Omit<TestWorld, 'time'>;
}

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A node that listens on a free port, or the one given; not attached yet. */
async function node(
  id: string,
  peers: Record<string, string>,
  port = 0,
  world: Omit<TestWorld, 'time'> = realWorld(),
): Promise<Node> {
  const listen = { host: '127.0.0.1', port };
  const links = await PeerLinks.open(world.env, world.metrics, { nodeId: id, peers, listen, crc32c: crc32cPortable });
  closers.push(() => links.close());
  return { links, handler: new Handler(id), world };
}

/** n1 dials n2; both up. */
async function pair(): Promise<[Node, Node]> {
  const second = await node('n2', { n1: '127.0.0.1:1' });
  const first = await node('n1', { n2: `127.0.0.1:${second.links.port}` });
  second.links.attach(second.handler);
  first.links.attach(first.handler);
  await until('the link is up', () => first.links.isUp('n2') && second.links.isUp('n1'));
  return [first, second];
}

/** A relay that can be cut, and that shows the bytes that pass. */
class Relay {
  readonly server: Server;
  readonly pairs: { client: Socket; server: Socket }[] = [];
  accepted = 0;
  isOpen = true;

  constructor(toPort: number) {
    this.server = createServer((client) => {
      this.accepted++;
      if (!this.isOpen) return client.destroy();
      const server = connect(toPort, '127.0.0.1');
      this.pairs.push({ client, server });
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
      }
      return undefined;
    });
  }
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      this.cut();
      this.server.close();
    });
    return (this.server.address() as { port: number }).port;
  }
  cut(): void {
    for (const { client, server } of this.pairs.splice(0)) {
      client.destroy();
      server.destroy();
    }
  }
}

describe('two nodes', () => {
  test('find each other, know what the other said, and pass messages both ways in order', async () => {
    const [first, second] = await pair();
    expect([first.handler.events, second.handler.events]).toEqual([['up n2'], ['up n1']]);
    expect(second.links.list).toEqual([
      {
        id: 'n1',
        peerAddress: '127.0.0.1:1',
        isUp: true,
        diskUuid: first.handler.disk,
        clusterId: 'c1',
        clientUrl: 'ws://n1/v1/ws',
        version: '1.2.3',
      },
    ]);
    for (let i = 0; i < 100; i++) {
      expect(first.links.send('n2', 'control', i, [Buffer.from(`a${i}`), Buffer.from('!')])).toBe(true);
      expect(second.links.send('n1', 'bulk', i, [Buffer.from(`b${i}`)])).toBe(true);
    }
    await until('all arrived', () => first.handler.messages.length === 100 && second.handler.messages.length === 100);
    const texts = second.handler.messages.map(({ groupId, bytes }) => `${groupId}:${Buffer.from(bytes)}`);
    expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `${i}:a${i}!`));
  });

  test('a large message arrives whole, and bulk does not delay control', async () => {
    const [first, second] = await pair();
    const large = Buffer.alloc(16 * 1024 * 1024, 7);
    first.links.send('n2', 'bulk', 1, [large.subarray(0, 5), large.subarray(5)]);
    first.links.send('n2', 'control', 2, [Buffer.from('heartbeat')]);
    await until('both arrived', () => second.handler.messages.length === 2);
    expect(second.handler.messages.map(({ groupId }) => groupId)).toEqual([2, 1]);
    expect(large.equals(second.handler.messages[1]?.bytes as Uint8Array)).toBe(true);
  });

  test('a lane takes no more than its cap, and the other lane stays open', async () => {
    const [first] = await pair();
    const chunk = Buffer.alloc(8 * 1024 * 1024);
    let taken = 0;
    while (taken < 64 && first.links.send('n2', 'bulk', 1, [chunk])) taken++;
    // 64 MiB in chunks of 8, each with a head of a few bytes.
    expect(taken).toBe(7);
    expect(first.links.queuedBytes('n2', 'bulk')).toBeGreaterThan(56 * 1024 * 1024);
    expect(first.links.send('n2', 'control', 1, [Buffer.from('x')])).toBe(true);
    expect(first.world.metrics.get('logdrive_peer_sends_refused_total', { lane: 'bulk' })).toBe(1);
  });

  test('nothing is taken for a peer that is not there', async () => {
    const lonely = await node('n1', { n2: '127.0.0.1:1' });
    lonely.links.attach(lonely.handler);
    expect(lonely.links.send('n2', 'control', 1, [Buffer.from('x')])).toBe(false);
    expect(lonely.links.send('n9', 'control', 1, [Buffer.from('x')])).toBe(false);
    await expect(lonely.links.call('n2', 'read-index', [], { timeoutMs: 10 })).rejects.toMatchObject({
      code: 'CONNECTION',
      outcome: 'none',
    });
  });
});

describe('questions', () => {
  test('come back answered, small and large, each to its asker', async () => {
    const [first, second] = await pair();
    second.handler.answer = async (method, body) => [Buffer.from(method), body];
    const large = Buffer.alloc(3 * 1024 * 1024, 5);
    const [small, big] = await Promise.all([
      first.links.call('n2', 'read-index', [Buffer.from('?'), Buffer.from('!')], { timeoutMs: 5_000 }),
      first.links.call('n2', 'append', [large], { timeoutMs: 5_000 }),
    ]);
    expect(Buffer.from(small).toString()).toBe('read-index?!');
    expect(Buffer.concat([Buffer.from('append'), large]).equals(big)).toBe(true);
  });

  test('an error arrives with its code, outcome and details', async () => {
    const [first, second] = await pair();
    second.handler.answer = () =>
      Promise.reject(new LogError('TRIMMED', 'gone', { outcome: 'unknown', details: { earliest: 5, tail: 9 } }));
    await expect(first.links.call('n2', 'read', [], { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'TRIMMED',
      message: 'gone',
      outcome: 'unknown',
      details: { earliest: 5, tail: 9 },
    });
  });

  test('a defect of the answerer is INTERNAL, with nothing of it told', async () => {
    const [first, second] = await pair();
    second.handler.answer = () => Promise.reject(new TypeError('secret'));
    await expect(first.links.call('n2', 'read', [], { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'read failed',
    });
    expect(second.world.logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test('one that is not answered in time is TIMEOUT, outcome unknown; a late answer disturbs nobody', async () => {
    const [first, second] = await pair();
    let release: (() => void) | undefined;
    second.handler.answer = () => new Promise((resolve) => (release = () => resolve([Buffer.from('late')])));
    await expect(first.links.call('n2', 'status', [], { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      outcome: 'unknown',
    });
    release?.();
    second.handler.answer = async () => [Buffer.from('fresh')];
    expect(Buffer.from(await first.links.call('n2', 'status', [], { timeoutMs: 5_000 })).toString()).toBe('fresh');
  });

  test('one whose link breaks before the answer is CONNECTION, outcome unknown', async () => {
    const [first, second] = await pair();
    second.handler.answer = () => new Promise(() => undefined);
    const call = first.links.call('n2', 'append', [Buffer.from('x')], { timeoutMs: 60_000 });
    const refused = expect(call).rejects.toMatchObject({ code: 'CONNECTION', outcome: 'unknown' });
    await until('it is sent', () => first.links.queuedBytes('n2', 'control') === 0);
    await second.links.close();
    await refused;
  });
});

describe('a link that ends', () => {
  test('is told at once on both sides, and comes back by itself', async () => {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const relay = new Relay(second.links.port);
    const first = await node('n1', { n2: `127.0.0.1:${await relay.listen()}` });
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    const bothUp = (): boolean => first.links.isUp('n2') && second.links.isUp('n1');
    await until('up', bothUp);
    relay.cut();
    await until('down', () => first.handler.events.includes('down n2') && second.handler.events.includes('down n1'));
    await until('up again', bothUp);
    expect(first.handler.events).toEqual(['up n2', 'down n2', 'up n2']);
    expect(second.handler.events).toEqual(['up n1', 'down n1', 'up n1']);
  });

  test('half a link is no link: one lane cut ends both', async () => {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const relay = new Relay(second.links.port);
    const first = await node('n1', { n2: `127.0.0.1:${await relay.listen()}` });
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    await until('up', () => first.links.isUp('n2') && second.links.isUp('n1'));
    relay.pairs[1]?.client.destroy();
    await until('down', () => first.handler.events.includes('down n2') && second.handler.events.includes('down n1'));
  });

  test('silence ends it: a peer that is stopped, or a cable that is cut, closes no socket', async () => {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const relay = new Relay(second.links.port);
    const world = handWorld();
    const first = await node('n1', { n2: `127.0.0.1:${await relay.listen()}` }, 0, world);
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    await until('up', () => first.links.isUp('n2') && second.links.isUp('n1'));
    // While the other side answers, time alone does nothing.
    for (let i = 1; i <= 5; i++) {
      world.time.advance(1_000);
      const rtts = (): number => world.metrics.get('logdrive_raft_peer_rtt_seconds', { peer: 'n2' });
      await until('pong', () => rtts() === i);
    }
    expect(first.handler.events).toEqual(['up n2']);
    for (const { client, server } of relay.pairs) {
      client.pause();
      server.pause();
    }
    world.time.advance(3_000);
    expect(first.handler.events).toEqual(['up n2']);
    world.time.advance(1_000);
    expect(first.handler.events).toEqual(['up n2', 'down n2']);
  });

  test('a stall of this node is not taken for silence of the other', async () => {
    const second = await node('n2', { n1: '127.0.0.1:1' });
    const world = handWorld();
    const first = await node('n1', { n2: `127.0.0.1:${second.links.port}` }, 0, world);
    second.links.attach(second.handler);
    first.links.attach(first.handler);
    await until('up', () => first.links.isUp('n2') && second.links.isUp('n1'));
    world.time.stall(60_000);
    expect(first.links.isUp('n2')).toBe(true);
  });

  test('a node that starts anew on its port is found again', async () => {
    const [first, second] = await pair();
    const { port } = second.links;
    await second.links.close();
    await until('down', () => first.handler.events.includes('down n2'));
    const again = await node('n2', { n1: '127.0.0.1:1' }, port);
    again.links.attach(again.handler);
    await until('up again', () => first.links.isUp('n2') && again.links.isUp('n1'));
  });
});

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
    closers.push(() => void this.#socket.destroy());
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
