/** A real node on real files whose disk fails under it: its last words, its exit code, and what it told nobody (W4, F35, F39). */
import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { configOf } from '../../src/config.ts';
import { type NodeServer, startServer } from '../../src/server/index.ts';
import { eventually } from '../support/eventually.ts';
import { MemoryLogger } from './world.ts';

type Written = (error: NodeJS.ErrnoException | null, count: number) => void;

const directories: string[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

interface Node {
  readonly server: NodeServer;
  readonly logger: MemoryLogger;
  readonly exits: number[];
  readonly dataDir: string;
}

async function start(dataDir: string): Promise<Node> {
  const logger = new MemoryLogger();
  const exits: number[] = [];
  const config = configOf({ listen: '127.0.0.1:0', dataDir, bootstrap: true });
  const server = await startServer(config, { logger, exit: (code) => void exits.push(code) });
  await server.ready({ signal: AbortSignal.timeout(15_000) });
  return { server, logger, exits, dataDir };
}

async function dataDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'logdrive-failing-'));
  directories.push(directory);
  return join(directory, 'data');
}

async function append({ server }: Node, value: string): Promise<number> {
  const response = await fetch(`${server.httpUrl}/v1/topics/t/records`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records: [{ value }] }),
    signal: AbortSignal.timeout(1_000),
  });
  return response.status;
}

async function createTopic({ server }: Node): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 't' });
  const response = await fetch(`${server.httpUrl}/v1/topics`, { method: 'POST', headers, body });
  expect(response.status).toBeLessThan(300);
}

/** Durable writes fail from now on; how many were tried. */
function failWrites(code: string): { tried: number } {
  const seen = { tried: 0 };
  vi.spyOn(fs, 'writev').mockImplementation(((_fd: number, _chunks: unknown, _position: number, done: Written) => {
    seen.tried += 1;
    setImmediate(() => done(Object.assign(new Error(code), { code }), 0));
  }) as unknown as typeof fs.writev);
  return seen;
}

describe('a write that fails for another reason than room', () => {
  test.each([
    ['EIO', /EIO \(the medium failed\)/],
    ['EROFS', /EROFS \(the file system is read-only/],
  ])('with %s ends the process with exit code 1 and a last word that names file and reason', async (code, reason) => {
    const node = await start(await dataDirectory());
    await createTopic(node);
    expect(await append(node, 'kept')).toBe(200);
    const seen = failWrites(code);
    const outcome = append(node, 'lost').then(
      (status) => status,
      () => 'no answer',
    );
    await eventually(async () => node.exits.length > 0, { what: 'the end of the process' });
    expect(node.exits[0]).toBe(1);
    const last = node.logger.lines.filter(({ level }) => level === 'fatal')[0]!;
    expect(last.message).toBe('storage failed; the process ends, and recovery decides what is true');
    const { error } = last.fields as { error: Error & { code: string; file: string } };
    expect(error.code).toBe('FLUSH_FAILED');
    expect(error.message).toMatch(reason);
    expect(error.message).toContain(node.dataDir);
    // Never tried again on the same file, and nobody was told that it is there.
    const { tried } = seen;
    expect(await outcome).not.toBe(200);
    expect(seen.tried).toBe(tried);
    vi.restoreAllMocks();
    await node.server.stop();
    // What the supervisor starts again finds what was acknowledged.
    const again = await start(node.dataDir);
    const read = await fetch(`${again.server.httpUrl}/v1/topics/t/records?offset=0&level=linearizable`);
    expect(await read.text()).toContain('kept');
    await again.server.stop();
  });
});
