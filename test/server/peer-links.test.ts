/** Links between nodes: messages, questions, and what happens when one ends. */
import { afterEach, describe, expect, test } from 'vitest';
import { LogError } from '../../src/protocol/index.ts';
import { closeAll } from './support/closing.ts';
import { node, pair, Relay } from './support/peer-nodes.ts';
import { handWorld, until } from './support/world.ts';

afterEach(closeAll);

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

  test('those that wait long, as readers at their tails do, keep no other kind out', async () => {
    const [first, second] = await pair();
    const release: (() => void)[] = [];
    second.handler.answer = (method) =>
      method === 'read' ? new Promise((resolve) => release.push(() => resolve([]))) : Promise.resolve([]);
    const ask = (method: 'read' | 'catalog'): Promise<unknown> =>
      first.links.call('n2', method, [], { timeoutMs: 5_000 });
    const reads = Array.from({ length: 1_024 }, () => ask('read'));
    await expect(ask('read')).rejects.toMatchObject({ code: 'OVERLOADED', outcome: 'none' });
    expect(await ask('catalog')).toHaveLength(0);
    for (const each of release) each();
    await Promise.all(reads);
    second.handler.answer = () => Promise.resolve([]);
    expect(await ask('read')).toHaveLength(0);
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
