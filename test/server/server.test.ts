/** Whole nodes in this process: real ports, real links, real logs; on a disk where the disk matters. */

import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ConfigError, type ConfigInput, configOf } from '../../src/config.ts';
import { type NodeServer, startServer, VERSION } from '../../src/server/index.ts';
import { MemoryLogger } from './support/world.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A port nobody has at the moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function start(input: ConfigInput, logger = new MemoryLogger()): Promise<NodeServer> {
  const standard = { listen: '127.0.0.1:0', dataDir: 'memory', storage: 'memory' as const, bootstrap: true };
  const server = await startServer(configOf({ ...standard, ...input }), { logger });
  closers.push(() => server.stop());
  return server;
}

async function threeNodes(): Promise<NodeServer[]> {
  const ids = ['n1', 'n2', 'n3'];
  const addresses = await Promise.all(ids.map(async (id) => [id, `127.0.0.1:${await freePort()}`] as const));
  const peers = Object.fromEntries(addresses);
  const nodes = await Promise.all(ids.map((nodeId) => start({ nodeId, peers, peerListen: peers[nodeId] as string })));
  await Promise.all(nodes.map((node) => node.ready({ signal: AbortSignal.timeout(15_000) })));
  return nodes;
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes.
  readonly json: any;
}

async function call(node: NodeServer, method: string, path: string, body?: unknown): Promise<Answer> {
  const init =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await fetch(node.httpUrl + path, { method, ...init });
  const text = await response.text();
  return { status: response.status, json: text.startsWith('{') ? JSON.parse(text) : text };
}

describe('one node', () => {
  test('starts, serves, says so, and stops', async () => {
    const node = await start({});
    await node.ready();
    expect(node.status).toBe('ready');
    expect((await call(node, 'POST', '/v1/topics', { name: 't' })).status).toBe(201);
    expect((await call(node, 'POST', '/v1/topics/t/records', { records: [{ value: 'a' }] })).json.offset).toBe(0);
    const metrics = await node.metrics();
    expect(metrics).toContain('logdrive_ready 1');
    expect(metrics).toContain('logdrive_check_ok{check="recovered"} 1');
    expect(metrics).toMatch(/logdrive_partitions_led 2\n/);
    await node.stop();
    expect(node.status).toBe('stopped');
    await expect(call(node, 'GET', '/livez')).rejects.toThrow();
    await expect(node.ready()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('a port that is taken is told by key, address and reason, and nothing stays open', async () => {
    const node = await start({});
    const { port } = new URL(node.httpUrl as string);
    const refused = start({ listen: `127.0.0.1:${port}` });
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(
      `listen: cannot listen on 127.0.0.1:${port}: another process listens there already`,
    );
  });

  test('what was appended is there after a restart; meanwhile the directory belongs to one', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'logdrive-server-'));
    closers.push(() => rm(dataDir, { recursive: true, force: true }));
    const onDisk = { dataDir, storage: 'disk' as const };
    const first = await start(onDisk);
    await first.ready();
    await call(first, 'POST', '/v1/topics', { name: 't' });
    await call(first, 'POST', '/v1/topics/t/records', { records: [{ value: 'kept' }] });
    await expect(start(onDisk)).rejects.toMatchObject({ code: 'LOCKED', pid: process.pid });
    await first.drain();
    await first.stop();
    const second = await start(onDisk);
    await second.ready();
    expect((await call(second, 'GET', '/v1/topics/t/records?offset=0')).json.records[0].value).toBe('kept');
    await second.stop();
    await expect(start({ ...onDisk, nodeId: 'n2' })).rejects.toMatchObject({ code: 'FOREIGN' });
  });

  test('waiting for it can be given up', async () => {
    const peers = { n1: '127.0.0.1:1', n2: '127.0.0.1:2' };
    const node = await start({ peers, peerListen: '127.0.0.1:0' });
    expect(node.status).toBe('joining');
    const gone = new AbortController();
    const waiting = node.ready({ signal: gone.signal });
    gone.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', outcome: 'none' });
    const answer = await call(node, 'GET', '/readyz');
    expect([answer.status, (await call(node, 'GET', '/livez')).status]).toEqual([503, 200]);
  });

  test('without a listener nothing listens', async () => {
    const config = configOf({ storage: 'memory', dataDir: 'memory', bootstrap: true });
    const node = await startServer(config, { logger: new MemoryLogger(), isListening: false });
    closers.push(() => node.stop());
    await node.ready();
    expect([node.clientUrl, node.httpUrl, node.peerPort]).toEqual([undefined, undefined, 0]);
  });
});

describe('three nodes', () => {
  test('form a cluster; any node takes an append and each has the record', async () => {
    const nodes = await threeNodes();
    const cluster = (await call(nodes[2] as NodeServer, 'GET', '/v1/cluster')).json;
    expect(cluster.nodes.map(({ id, up }: { id: string; up: boolean }) => [id, up])).toEqual([
      ['n1', true],
      ['n2', true],
      ['n3', true],
    ]);
    expect((await call(nodes[1] as NodeServer, 'POST', '/v1/topics', { name: 't' })).status).toBe(201);
    for (const [i, node] of nodes.entries()) {
      const answer = await call(node, 'POST', '/v1/topics/t/records', { records: [{ value: `from ${i}` }] });
      expect(answer.json).toMatchObject({ offset: i, count: 1 });
    }
    for (const node of nodes) {
      const { json } = await call(node, 'GET', '/v1/topics/t/records?offset=0&waitMs=5000');
      expect(json.node).toBe(node.nodeId);
      expect(json.records[0]).toMatchObject({ offset: 0, value: 'from 0' });
    }
  });

  test('a node that drains is not ready, leads nothing, and the others go on', async () => {
    const nodes = await threeNodes();
    const [first, ...others] = nodes as [NodeServer, ...NodeServer[]];
    await call(first, 'POST', '/v1/topics', { name: 't', partitions: 3 });
    await first.drain();
    expect(first.status).toBe('draining');
    expect((await call(first, 'GET', '/readyz')).status).toBe(503);
    const topic = await call(others[0] as NodeServer, 'GET', '/v1/topics/t');
    expect(topic.json.partitions.map(({ leader }: { leader: string }) => leader)).not.toContain('n1');
    await first.stop();
    const answer = await call(others[0] as NodeServer, 'POST', '/v1/topics/t/records', { records: [{ value: 'a' }] });
    expect(answer.status).toBe(200);
  });
});

test('the version is that of the package', () => {
  expect(VERSION).toBe(JSON.parse(readFileSync('package.json', 'utf8')).version);
});
